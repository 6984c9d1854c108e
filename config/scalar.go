package config

import (
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// scalars reads the types of ours that are one word in the file.
var scalars = map[reflect.Type]func(*decoder, string) (any, *fault){
	reflect.TypeFor[time.Duration]():    plain(parseDuration),
	reflect.TypeFor[Rate]():             plain(parseRate),
	reflect.TypeFor[Size]():             plain(parseSize),
	reflect.TypeFor[Percent]():          plain(parsePercent),
	reflect.TypeFor[TimeZone]():         plain(parseTimeZone),
	reflect.TypeFor[InterfaceVersion](): plain(parseInterfaceVersion),
	reflect.TypeFor[Clock]():            plain(parseClock),
	reflect.TypeFor[Secret]():           (*decoder).secret,
	reflect.TypeFor[netip.Prefix]():     plain(parsePrefix),
	reflect.TypeFor[Span]():             plain(parseSpan),
	reflect.TypeFor[Day]():              plain(parseDay),
	reflect.TypeFor[NumberRange]():      plain(parseNumberRange),
	reflect.TypeFor[Status](): func(d *decoder, s string) (any, *fault) {
		return parseStatus(s, d.opts.StatusName)
	},
}

func plain[T any](parse func(string) (T, *fault)) func(*decoder, string) (any, *fault) {
	return func(_ *decoder, s string) (any, *fault) { return parse(s) }
}

func parsePrefix(s string) (netip.Prefix, *fault) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, &fault{"is not a network", "write it as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32"}
	}
	if p != p.Masked() {
		return p, &fault{"has bits behind its mask", "write " + p.Masked().String() + ", or the address alone"}
	}
	return p, nil
}

// scalar decodes one word.
func (d *decoder) scalar(path string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) {
	if n.Kind != yaml.ScalarNode {
		d.add(n, path, "", fault{"is " + what(n) + ", not one value", "write one value" + example(tag)})
		return
	}
	shown := n.Value
	if v.Type() == reflect.TypeFor[Secret]() {
		shown = ""
	}
	if isNull(n) {
		d.add(n, path, "", fault{"has no value", "write one" + example(tag) + ", or remove the key"})
		return
	}
	if f := d.set(n.Value, v, tag); f != nil {
		d.add(n, path, shown, *f)
	}
}

func example(tag reflect.StructTag) string {
	if eg := tag.Get("eg"); eg != "" && eg[0] != '[' && eg[0] != '{' {
		return ", such as " + eg
	}
	return ""
}

func (d *decoder) set(s string, v reflect.Value, tag reflect.StructTag) *fault {
	if parse, ok := scalars[v.Type()]; ok {
		x, f := parse(d, s)
		if f != nil {
			return f
		}
		v.Set(reflect.ValueOf(x))
		return bounds(v, tag)
	}
	switch v.Kind() {
	case reflect.String:
		if words := strings.Fields(tag.Get("one")); len(words) > 0 {
			w, f := oneOf(s, words)
			if f != nil {
				return f
			}
			s = w
		}
		if tag.Get("path") != "" && s != "" && !filepath.IsAbs(s) {
			s = filepath.Join(d.dir, s)
		}
		v.SetString(s)
	case reflect.Bool:
		if s != "true" && s != "false" {
			return &fault{"is neither true nor false", "write true or false"}
		}
		v.SetBool(s == "true")
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 0, 64)
		if len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' { // 010 is eight to some and ten to others
			return &fault{"has a leading zero", "write " + strings.TrimLeft(s, "0")}
		}
		if err != nil {
			return &fault{"is not a whole number", "write digits" + example(tag)}
		}
		v.SetInt(i)
		if words := strings.Fields(tag.Get("one")); len(words) > 0 && !slices.Contains(words, s) {
			return &fault{"is none of " + strings.Join(words, ", "), "write one of them"}
		}
		return bounds(v, tag)
	default:
		panic("config: no way to decode " + v.Type().String())
	}
	return nil
}

// synonyms are second spellings that carriers' papers use.
var synonyms = map[string]string{"dec": "decimal", "latin-1": "latin1", "gsm7": "gsm"}

func oneOf(s string, words []string) (string, *fault) {
	if slices.Contains(words, s) {
		return s, nil
	}
	if w, ok := synonyms[s]; ok && slices.Contains(words, w) {
		return w, nil
	}
	cure := "write one of them"
	if near := nearest(s, words); near != "" {
		cure = "did you mean " + near + "?"
	}
	return "", &fault{"is none of " + strings.Join(words, ", "), cure}
}

// bounds checks min and max, which are written as values of the same type.
func bounds(v reflect.Value, tag reflect.StructTag) *fault {
	lo, hi := tag.Get("min"), tag.Get("max")
	less, more := lo != "" && number64(v) < bound(lo, v.Type()), hi != "" && number64(v) > bound(hi, v.Type())
	switch {
	case !less && !more:
		return nil
	case lo != "" && hi != "":
		return &fault{"is outside " + lo + " to " + hi, "write a value between the two"}
	case less:
		return &fault{"is less than " + lo, "write " + lo + " or more"}
	}
	return &fault{"is more than " + hi, "write " + hi + " or less"}
}

// number64 is exact: our values stay far below 2^53 of their unit, or are int64 anyway.
func number64(v reflect.Value) float64 {
	if v.CanFloat() {
		return v.Float()
	}
	if v.CanUint() {
		return float64(v.Uint())
	}
	return float64(v.Int())
}

func bound(s string, t reflect.Type) float64 {
	v := reflect.New(t).Elem()
	if f := (&decoder{}).set(s, v, ""); f != nil {
		panic("config: bound " + s + " " + f.rule) // a tag of ours; TestEveryTagIsReadable
	}
	return number64(v)
}
