package service

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrNoTemplate: the service has no template, or none of its versions is valid yet.
var ErrNoTemplate = errors.New("the service has no template in force")

// A ParamError is one parameter that a template cannot take. Those of one Render are
// joined with errors.Join.
type ParamError struct {
	Param string // name; empty for what concerns the text as a whole
	Rule  string // "has 23 characters, at most 20 are allowed"
}

func (e *ParamError) Error() string {
	if e.Param == "" {
		return e.Rule
	}
	return e.Param + ": " + e.Rule
}

// Rendered is a text made from a template.
type Rendered struct {
	Text     string
	Language string // the one it is in, which may be a fallback
	Version  int
}

// Template names what it was made from, "IDREN/2/ar": kept with the message.
func (r Rendered) Template(code string) string {
	return code + "/" + strconv.Itoa(r.Version) + "/" + r.Language
}

// wording is a Version, its texts cut into segments.
type wording struct {
	*Version
	texts map[string][]segment
}

// A segment is a piece of a template: its text, or the name of what stands there.
type segment struct {
	text  string
	param bool
}

// InForce is the version of a service's template that holds at now; nil: none.
func (c *Catalogue) InForce(s *Service, now time.Time) *Version {
	if w := s.inForce(now); w != nil {
		return w.Version
	}
	return nil
}

func (s *Service) inForce(now time.Time) *wording {
	for i := len(s.wording) - 1; i >= 0; i-- {
		if w := &s.wording[i]; !w.ValidFrom.After(now) {
			return w
		}
	}
	return nil
}

// Render fills in the template in force at now, in a language or the next one of the
// catalogue's order that it has. Every parameter has to be there, known, within its length,
// and a line of plain text; what a link among them leads to has to be the service's.
//
// Errors: ErrNoTemplate; else every *ParamError, joined, in the order of the service's
// parameters, then unknown ones by name.
func (c *Catalogue) Render(s *Service, language string, params map[string]string, now time.Time) (Rendered, error) {
	w := s.inForce(now)
	if w == nil {
		return Rendered{}, ErrNoTemplate
	}
	r := Rendered{Language: w.language(language, c.languages), Version: w.Number}
	if err := s.checkParams(params); err != nil {
		return Rendered{}, err
	}
	var b strings.Builder
	for _, seg := range w.texts[r.Language] {
		if seg.param {
			b.WriteString(params[seg.text])
		} else {
			b.WriteString(seg.text)
		}
	}
	r.Text = b.String()
	if foreign, ok := c.Links(r.Text, s); !ok {
		return Rendered{}, &ParamError{s.holding(foreign, params), foreignLink(foreign, s.Domains)}
	}
	return r, nil
}

// language is the first of asked and the order of fallback that a version has.
func (w *wording) language(asked string, order []string) string {
	if _, ok := w.texts[asked]; ok {
		return asked
	}
	for _, l := range order {
		if _, ok := w.texts[l]; ok {
			return l
		}
	}
	return "" // REQUIRES of New: a version has at least one text
}

func (s *Service) checkParams(params map[string]string) error {
	var wrong []error
	for i := range s.Params {
		p := &s.Params[i]
		value, given := params[p.Name]
		if rule := p.refuses(value, given); rule != "" {
			wrong = append(wrong, &ParamError{p.Name, rule})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if s.param(name) == nil {
			wrong = append(wrong, &ParamError{name, "is no parameter of " + s.Code + "; it takes " + s.paramNames()})
		}
	}
	return errors.Join(wrong...)
}

func (p *Param) refuses(value string, given bool) (rule string) {
	switch {
	case !given:
		return "is missing"
	case strings.TrimSpace(value) == "":
		return "is empty"
	case !utf8.ValidString(value):
		return "is not UTF-8"
	}
	if n := utf8.RuneCountInString(value); n > p.Max {
		return fmt.Sprintf("has %d characters, at most %d are allowed", n, p.Max)
	}
	if i := strings.IndexFunc(value, breaksLine); i >= 0 {
		r, _ := utf8.DecodeRuneInString(value[i:])
		return fmt.Sprintf("holds %U, which is no character of a line of text", r)
	}
	return ""
}

// breaksLine is true of control characters and of Unicode's own line ends.
func breaksLine(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// holding is the parameter that a part of the rendered text came from; empty: from none alone.
func (s *Service) holding(part string, params map[string]string) string {
	for i := range s.Params {
		if strings.Contains(params[s.Params[i].Name], part) {
			return s.Params[i].Name
		}
	}
	return ""
}

func (s *Service) param(name string) *Param {
	for i := range s.Params {
		if s.Params[i].Name == name {
			return &s.Params[i]
		}
	}
	return nil
}

func (s *Service) paramNames() string {
	if len(s.Params) == 0 {
		return "none"
	}
	names := make([]string, len(s.Params))
	for i := range s.Params {
		names[i] = s.Params[i].Name
	}
	return strings.Join(names, ", ")
}

// parseTemplate cuts a template at its placeholders, {name}. A brace stands for nothing
// else: doubled braces, in other systems a brace itself or a placeholder, are a mistake.
func parseTemplate(text string) (segments []segment, rule string) {
	for rest := text; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			return append(segments, segment{text: rest}), ""
		}
		if rest[i] == '}' {
			return nil, fmt.Sprintf("has a } without { after %q", tail(text[:len(text)-len(rest)+i]))
		}
		if i > 0 {
			segments = append(segments, segment{text: rest[:i]})
		}
		rest = rest[i+1:]
		end := strings.IndexAny(rest, "{}")
		if end < 0 || rest[end] == '{' {
			return nil, fmt.Sprintf("has a { that is not closed: %q", head(rest))
		}
		if name := rest[:end]; !isParamName(name) {
			return nil, fmt.Sprintf("has a placeholder {%s}, which is no name", head(name))
		}
		segments = append(segments, segment{rest[:end], true})
		rest = rest[end+1:]
	}
	return segments, ""
}

// isParamName: lower-case letters, digits and _, a letter first, at most 32.
func isParamName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != "" && len(name) <= 32
}

// head and tail keep the first and last few characters, for a message of one line.
func head(s string) string {
	if r := []rune(s); len(r) > 20 {
		return string(r[:20])
	}
	return s
}

func tail(s string) string {
	if r := []rune(s); len(r) > 20 {
		return string(r[len(r)-20:])
	}
	return s
}
