package reminder

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"masar/service"
)

// Bounds of what a Reminder holds.
const (
	MaxKey    = 64   // characters
	MaxLead   = 3650 // days before the date
	MaxAhead  = 50   // years to the date
	maxLeads  = 32   // steps of a series
	maxParams = 64
)

// Check finds everything that is wrong with r at now: FieldErrors, joined. It returns the
// leads that hold: r's, else the service's.
func Check(r *Reminder, cat *service.Catalogue, now time.Time) (lead []int, err error) {
	var wrong []error
	no := func(field, rule string, args ...any) {
		wrong = append(wrong, &FieldError{field, fmt.Sprintf(rule, args...)})
	}
	if rule := checkKey(r.Key); rule != "" {
		no("key", "%s", rule)
	}
	switch person, number := r.Person != (service.Person{}), r.Number != 0; {
	case person && number:
		no("number", "stands beside a person, who gets it at his own number: write one of the two")
	case !person && !number:
		no("person", "is missing: a person or a number has to be told")
	}
	lead = r.Lead
	s := cat.Service(r.Service)
	switch {
	case r.Service == "":
		no("service", "is missing")
	case s == nil:
		no("service", "%q is not in the catalogue", short(r.Service))
	case s.Kind != service.ExpiryReminder:
		no("service", "%s is of kind %s: a reminder is of kind %s", s.Code, s.Kind, service.ExpiryReminder)
	case len(lead) == 0 && len(s.LeadDays) == 0:
		no("lead_days", "is missing, and %s has none of its own", s.Code)
	case len(lead) == 0:
		lead = s.LeadDays
	}
	if rule := checkLead(r.Lead); rule != "" {
		no("lead_days", "%s", rule)
	}
	zone := time.UTC
	if s != nil {
		zone = s.Zone()
	}
	today := dayOf(now.In(zone))
	switch days := daysFrom(today, r.Expires); {
	case r.Expires == (service.Day{}):
		no("expires", "is missing")
	case days < 0:
		no("expires", "%s has passed", FormatDay(r.Expires, r.Calendar))
	case days > MaxAhead*366:
		no("expires", "%s is more than %d years ahead", FormatDay(r.Expires, r.Calendar), MaxAhead)
	}
	if len(wrong) == 0 {
		if _, err := cat.Render(s, "", FillIn(r, s, today), now); err != nil {
			wrong = append(wrong, asFields(err)...)
		}
		for _, name := range [...]string{ParamExpiry, ParamDays} {
			if _, has := r.Params[name]; has {
				no("params."+name, "is filled in when the reminder leaves: leave it out")
			}
		}
	}
	return lead, errors.Join(wrong...)
}

// FillIn is r's parameters with those that only the day knows on which it leaves.
func FillIn(r *Reminder, s *service.Service, today service.Day) map[string]string {
	all := make(map[string]string, len(r.Params)+2)
	for name, value := range r.Params {
		all[name] = value
	}
	for i := range s.Params {
		switch s.Params[i].Name {
		case ParamExpiry:
			all[ParamExpiry] = FormatDay(r.Expires, s.Owner().Calendar)
		case ParamDays:
			all[ParamDays] = strconv.Itoa(max(daysFrom(today, r.Expires), 0))
		}
	}
	return all
}

// asFields names what a template does not take as the API does.
func asFields(err error) (all []error) {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range list.Unwrap() {
			all = append(all, asFields(e)...)
		}
		return all
	}
	var p *service.ParamError
	switch {
	case !errors.As(err, &p):
		return []error{&FieldError{"service", err.Error()}}
	case p.Param == "":
		return []error{&FieldError{"params", p.Rule}}
	}
	return []error{&FieldError{"params." + p.Param, p.Rule}}
}

func checkKey(key string) (rule string) {
	switch {
	case key == "":
		return "is empty"
	case !utf8.ValidString(key):
		return "is not UTF-8"
	case utf8.RuneCountInString(key) > MaxKey:
		return fmt.Sprintf("has %d characters, at most %d are allowed", utf8.RuneCountInString(key), MaxKey)
	case strings.TrimSpace(key) != key:
		return "begins or ends with a blank"
	}
	if i := strings.IndexFunc(key, func(c rune) bool { return !unicode.IsPrint(c) }); i >= 0 {
		c, _ := utf8.DecodeRuneInString(key[i:])
		return fmt.Sprintf("holds %U, which cannot be printed", c)
	}
	return ""
}

func checkLead(lead []int) (rule string) {
	if len(lead) > maxLeads {
		return fmt.Sprintf("has %d days, at most %d are allowed", len(lead), maxLeads)
	}
	for i, d := range lead {
		switch {
		case d < 0 || d > MaxLead:
			return fmt.Sprintf("%d is outside 0 to %d", d, MaxLead)
		case i > 0 && d >= lead[i-1]:
			return fmt.Sprintf("%d is not below %d, the one before: write them falling, once each", d, lead[i-1])
		}
	}
	return ""
}
