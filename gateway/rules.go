package gateway

import (
	"errors"
	"time"

	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/smpp/text"
)

// rules are one service of the catalogue as the gateway asks for it.
type rules struct {
	service *service.Service
	sender  queue.Address // of its messages that name none
	text    text.Options
}

// errNoClass: the text changed alphabets and the new one has no message class.
var errNoClass = errors.New("the message class cannot be kept with the service's text options")

// buildRules makes what the accounts' messages are asked: rules of each service, and of
// each governed account those it is granted.
func (w *world) buildRules() {
	w.services, w.grants = map[*service.Service]*rules{}, map[uint32]map[*service.Service]*rules{}
	cat := w.setup.Catalogue
	if cat == nil {
		return
	}
	for _, s := range cat.Services() {
		r := &rules{service: s, text: textOptions(&s.Text)}
		if name := cat.SenderOf(s); name != "" {
			r.sender = alphanumericOrE164(name)
		}
		w.services[s] = r
	}
	for n, a := range w.byNumber {
		o := w.options(a)
		if o == nil || o.Agency == "" && len(o.Services) == 0 {
			continue
		}
		granted := map[*service.Service]*rules{}
		for _, code := range o.Services {
			if s := cat.Service(code); s != nil {
				granted[s] = w.services[s]
			}
		}
		if len(o.Services) == 0 {
			for _, s := range cat.Services() {
				if s.Agency == o.Agency {
					granted[s] = w.services[s]
				}
			}
		}
		w.grants[n] = granted
	}
}

// options are an account's in this world's Setup: those it runs with may still be of the
// one before.
func (w *world) options(a *account) *Account {
	for i := range w.setup.Accounts {
		if w.setup.Accounts[i].SystemID == a.name {
			return &w.setup.Accounts[i]
		}
	}
	return nil
}

func textOptions(o *service.TextOptions) text.Options {
	digits, _ := text.ParseDigits(o.Digits) // New has refused what is none
	return text.Options{
		FoldPresentation: o.FoldPresentation, StripHarakat: o.StripHarakat, StripTatweel: o.StripTatweel,
		Digits: digits, Isolate: o.Isolate, GSMPunctuation: o.GSMPunctuation,
	}
}

func (w *world) catalogue() *service.Catalogue { return w.setup.Catalogue }

// governs tells whether an account's messages have to be of a service it is granted.
func (w *world) governs(account uint32) bool {
	_, is := w.grants[account]
	return is
}

// granted is what the catalogue says of a service that an account names. The gateway's own
// messages may be of any service, or of none: nil.
func (w *world) granted(account uint32, code []byte, system bool) (*rules, Refusal) {
	var s *service.Service
	if cat := w.setup.Catalogue; cat != nil {
		s = cat.ServiceBytes(code)
	}
	switch {
	case system && len(code) == 0:
		return nil, Accepted
	case s == nil:
		return nil, UnknownService
	case system:
		return w.services[s], Accepted
	}
	if r := w.grants[account][s]; r != nil {
		return r, Accepted
	}
	return nil, ForeignService
}

// rulesOf is granted for a message that was accepted. One whose account is gone still goes
// out, and still only to those who are enrolled.
func (w *world) rulesOf(m *queue.Message) (*rules, Refusal) {
	cat := w.setup.Catalogue
	if cat == nil || m.System && m.ServiceType == "" {
		return nil, Accepted
	}
	s := cat.Service(m.ServiceType)
	granted, governed := w.grants[m.Account]
	switch {
	case !governed && !m.System && w.byNumber[m.Account] != nil:
		return nil, Accepted
	case !governed:
		return w.services[s], Accepted // nil, too, where the catalogue does not have it
	case s == nil:
		return nil, UnknownService
	case m.System:
		return w.services[s], Accepted
	}
	if r := granted[s]; r != nil {
		return r, Accepted
	}
	return nil, ForeignService
}

// isTest tells whether a number is a test number.
func (w *world) isTest(dest string) bool {
	if w.setup.Test == nil {
		return false
	}
	_, is := w.setup.Test(dest)
	return is
}

// mayTry tells whether the account's trial, where it is on one, reaches a number.
func (o *Account) mayTry(n number.E164) bool {
	if o.Trial == nil {
		return true
	}
	_, listed := o.Trial[n]
	return listed
}

// judge asks whether what is known of a number lets the message go there, and who gets it.
// Hours are not asked here. The gateway's own messages, and those of no service, only a
// block of scope all keeps away.
func (w *world) judge(m *queue.Message, r *rules, st *service.Standing, now time.Time) (Refusal, service.Person) {
	if r == nil || m.System {
		if st != nil && st.Block.In(now) == service.BlockAll {
			return Blocked, service.Person{}
		}
		return Accepted, m.Person
	}
	a := w.setup.Catalogue.Judge(service.Question{Service: r.service, Standing: st, Person: m.Person, Now: now})
	return refusalOf(a.Reason), a.Person
}

// refusals of the catalogue's reasons.
var reasonRefusals = [...]Refusal{
	service.Allowed:        Accepted,
	service.NotEnrolled:    NotEnrolled,
	service.Unverified:     Unverified,
	service.Suspended:      Suspended,
	service.Blocked:        Blocked,
	service.SenderUnknown:  SenderUnknown,
	service.SenderInactive: SenderInactive,
	service.UnknownPerson:  UnknownPerson,
}

func refusalOf(r service.Reason) Refusal { return reasonRefusals[r] }

// marker is what makes a message of a service free at the carrier; nil: nothing does.
func (o *Carrier) marker(code string) *Marker {
	for i := range o.Free.Markers {
		m := &o.Free.Markers[i]
		if len(m.Services) == 0 {
			return m
		}
		for _, s := range m.Services {
			if s == code {
				return m
			}
		}
	}
	return nil
}

// barredAt tells whether a message may not go over one carrier: its sender is not active
// there, or its service has no marker and the carrier requires one.
func (w *world) barredAt(o *Carrier, r *rules, m *queue.Message, now time.Time) Refusal {
	switch {
	case r == nil:
		return Accepted
	case !w.setup.Catalogue.ActiveAt(m.Source.Addr, o.Name, now):
		return SenderInactive
	case o.Free.Required && o.marker(r.service.Code) == nil:
		return NoRoute
	}
	return Accepted
}

// whyBarred tells the operator why no carrier of a route is left.
var whyBarred = map[Refusal]string{
	SenderInactive: "the sender is active at none of its carriers",
	NoRoute:        "its carriers require a marker and have none for the service",
}

// bars are the bits of a group's carriers that a message may not go over; with a reason
// when that is all of them. Test numbers are played by a carrier that knows no senders.
func (w *world) bars(grp *group, r *rules, m *queue.Message, now time.Time) (barred uint16, why Refusal) {
	if r == nil || w.isTest(m.Dest.Addr) {
		return 0, Accepted
	}
	for i := range grp.members {
		if no := w.barredAt(grp.members[i].carrier.opt, r, m, now); no != Accepted {
			barred |= 1 << i
			if why != SenderInactive {
				why = no
			}
		}
	}
	if barred != grp.all() {
		why = Accepted
	}
	return barred, why
}
