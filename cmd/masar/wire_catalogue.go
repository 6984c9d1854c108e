package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"masar/config"
	"masar/gateway"
	"masar/number"
	"masar/service"
)

// catalogue makes the catalogue that a configuration names; nil where it names none. The
// error is every *service.Mistake, joined.
func catalogue(c *config.Config) (*service.Catalogue, error) {
	if c.Catalogue == nil {
		return nil, nil
	}
	return service.New(catalogueOptions(c.Catalogue))
}

// judgeCatalogue is what the room that knows catalogues says of one, for config to give it
// a place in the file.
func judgeCatalogue(c *config.Catalogue) (mistakes, warnings []config.Finding) {
	k, err := service.New(catalogueOptions(c))
	for _, e := range each(err) {
		m := (*service.Mistake)(nil)
		if !errors.As(e, &m) {
			m = &service.Mistake{Rule: e.Error()}
		}
		mistakes = append(mistakes, config.Finding(*m))
	}
	if k != nil {
		for _, m := range k.Warnings() {
			warnings = append(warnings, config.Finding(m))
		}
	}
	return mistakes, warnings
}

// each takes errors.Join apart.
func each(err error) []error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// catalogueOptions are what a catalogue file says, as plain values.
func catalogueOptions(c *config.Catalogue) service.Options {
	zone := c.TimeZone.Location()
	o := service.Options{
		Languages: c.Languages,
		Zone:      zone,
		Calendar:  service.Calendar{Quiet: windows(c.QuietHours)},
	}
	for _, day := range c.Weekend {
		o.Calendar.Weekend = append(o.Calendar.Weekend, weekdays[day])
	}
	for _, h := range c.Holidays {
		o.Calendar.Holidays = append(o.Calendar.Holidays, dates(h.Name, h.From, h.To))
	}
	for _, v := range c.Overrides {
		one := service.Override{Dates: dates(v.Name, v.From, v.To), Quiet: ownWindows(v.QuietHours)}
		if len(v.Permitted) > 0 {
			one.Permitted = map[string]*service.Windows{}
		}
		for category, w := range v.Permitted {
			one.Permitted[category] = ownWindows(w)
		}
		o.Calendar.Overrides = append(o.Calendar.Overrides, one)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Categories)) {
		k := c.Categories[name]
		o.Categories = append(o.Categories, service.Category{Name: name, Permitted: ownWindows(k.Permitted), SenderSuffix: k.SenderSuffix})
	}
	zones := map[string]*time.Location{}
	for i := range c.Agencies {
		a := &c.Agencies[i]
		zones[a.Code] = a.TimeZone.Location()
		o.Agencies = append(o.Agencies, agencyOf(a))
	}
	for i := range c.Senders {
		o.Senders = append(o.Senders, senderName(&c.Senders[i], zone))
	}
	for i := range c.Services {
		s := &c.Services[i]
		at := zones[s.Agency]
		if at == nil {
			at = zone
		}
		o.Services = append(o.Services, serviceOf(s, at))
	}
	return o
}

var weekdays = map[string]time.Weekday{
	"sun": time.Sunday, "mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday,
	"thu": time.Thursday, "fri": time.Friday, "sat": time.Saturday,
}

// windows are hours as the file has them: where it leaves the weekend's out config has put
// the days' there, so that an empty weekend has none.
func windows(w config.Windows) service.Windows {
	return service.Windows{Days: spans(w.Days), Weekend: spans(w.Weekend)}
}

func ownWindows(w *config.Windows) *service.Windows {
	if w == nil {
		return nil
	}
	own := windows(*w)
	return &own
}

func spans(list []config.Span) []service.Span {
	out := make([]service.Span, 0, len(list))
	for _, s := range list {
		out = append(out, service.Span{From: int(s.From), To: int(s.To)})
	}
	return out
}

func dates(name string, from, to config.Day) service.Dates {
	return service.Dates{Name: name, From: service.Day(from), To: service.Day(to)}
}

// senderName is a registered sender. Its registrations end with their last day.
func senderName(s *config.Sender, zone *time.Location) service.Sender {
	out := service.Sender{Name: s.Name, Agency: s.Agency, Categories: s.Categories, AnyCarrier: s.AnyCarrier}
	if len(s.Carriers) > 0 {
		out.Carriers = map[string]service.SenderAt{}
	}
	for carrier, at := range s.Carriers {
		state, _ := service.SenderStateOf(at.State)
		one := service.SenderAt{State: state}
		if !at.Expires.IsZero() {
			one.Expires = at.Expires.End(zone)
		}
		out.Carriers[carrier] = one
	}
	return out
}

// agencyOf leaves out what is no number; config has told of it.
func agencyOf(a *config.Agency) service.Agency {
	style, _ := service.DateStyleOf(a.Calendar)
	out := service.Agency{
		Code: a.Code, Name: service.Texts(a.Name), Sender: a.Sender, Zone: a.TimeZone.Location(), Quiet: ownWindows(a.QuietHours), Calendar: style,
	}
	for _, s := range a.TestNumbers {
		if n, ok := number.Of(s); ok {
			out.TestNumbers = append(out.TestNumbers, n)
		}
	}
	return out
}

func serviceOf(s *config.Service, zone *time.Location) service.Service {
	kind, _ := service.KindOf(s.Kind)
	mode, _ := service.ModeOf(s.Mode)
	out := service.Service{
		Code: s.Code, Agency: s.Agency, Name: service.Texts(s.Name), Kind: kind, Class: uint8(class(s.Class)),
		Category: s.Category, Mode: mode, Validity: s.Validity,
		Hold: s.QuietHours.Hold(), Quiet: ownWindows(s.QuietHours.Own),
		Drop: s.Unenrolled == "drop", Merge: s.Merge, Sender: s.Sender, Domains: s.Domains, LeadDays: s.LeadDays, Pilot: s.Pilot,
		Text: service.TextOptions{
			FoldPresentation: s.Text.Fold,
			StripHarakat:     s.Text.Harakat == "strip",
			StripTatweel:     s.Text.Tatweel == "strip",
			Isolate:          s.Text.Isolate,
			GSMPunctuation:   s.Text.Punctuation == "gsm",
		},
	}
	if s.Text.Digits != "keep" {
		out.Text.Digits = s.Text.Digits
	}
	for _, p := range s.Params {
		out.Params = append(out.Params, service.Param{Name: p.Name, Max: p.Max})
	}
	for _, t := range s.Templates {
		v := service.Version{Number: t.Version, Author: t.Author, Approver: t.Approver, Text: service.Texts(t.Text)}
		if !t.ValidFrom.IsZero() {
			v.ValidFrom = t.ValidFrom.Start(zone)
		}
		out.Versions = append(out.Versions, v)
	}
	return out
}

// keywords is what people may write to the short codes; nil where there are none. Whoever
// is not known is known by person.
func keywords(c *config.Config, k *service.Catalogue, person func(number.E164) service.Person) (*gateway.Keywords, error) {
	if len(c.Keywords) == 0 {
		return nil, nil
	}
	out := &gateway.Keywords{Account: c.Subscribers.Account, Person: person}
	for i := range c.Keywords {
		code, words := shortCode(&c.Keywords[i])
		words.Known = func(code string) bool { return k != nil && k.Service(code) != nil }
		var err error
		if code.Words, err = service.NewKeywords(words); err != nil {
			return nil, fmt.Errorf("keywords[%d].words: %w", i, err)
		}
		out.Codes = append(out.Codes, code)
	}
	return out, nil
}

// shortCode is what may be written to one, and its answers; its Words are made of words.
func shortCode(k *config.Keywords) (code gateway.ShortCode, words service.Words) {
	return gateway.ShortCode{
			Numbers: k.Numbers, Enrolled: k.Enrolled, Withdrawn: k.Withdrawn,
			Replies: map[gateway.Reply]service.Texts{
				gateway.ReplyEnrolled:       service.Texts(k.Replies.Enrolled),
				gateway.ReplyWithdrawn:      service.Texts(k.Replies.Withdrawn),
				gateway.ReplyWithdrawnAll:   service.Texts(k.Replies.WithdrawnAll),
				gateway.ReplyHelp:           service.Texts(k.Replies.Help),
				gateway.ReplyUnknownService: service.Texts(k.Replies.UnknownService),
				gateway.ReplyNotEnrolled:    service.Texts(k.Replies.NotEnrolled),
				gateway.ReplyAlready:        service.Texts(k.Replies.Already),
			},
		}, service.Words{
			Enrol: k.Words.Enrol, Withdraw: k.Words.Withdraw, All: k.Words.All, Help: k.Words.Help,
		}
}
