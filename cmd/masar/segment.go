package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"masar/smpp/text"
)

// segmentation is what `masar segment` finds out about a text; --json prints it as it
// is, so its keys are part of the outside face.
type segmentation struct {
	Encoding string        `json:"encoding"`
	Units    int           `json:"units"`
	Parts    []segmentPart `json:"parts"`
	Options  []text.Saving `json:"options"` // of the text as it was given, whatever was chosen
}

type segmentPart struct {
	Text  string `json:"text"`
	Units int    `json:"units"`
}

func newSegment() *cobra.Command {
	var (
		asJSON bool
		style  string
		chosen segmentOptions
	)
	cmd := &cobra.Command{
		Use:   "segment [TEXT]",
		Short: "Show how a text is encoded and cut into parts",
		Long: `Shows the encoding a text needs, its size in code units, and the parts it is cut
into. Without TEXT, or with -, the text is read from standard input (one line end at
its end is not part of it).

Units are septets for gsm7 (characters of the extension table count two) and UTF-16
units for ucs2. A text is cut between grapheme clusters, so Arabic harakat stay on
their letter.

The options are those that a service of the catalogue may have under text. None is on
here unless asked for. The last table shows what the text as given comes to with each of
them alone, and with all that can save; those that change nothing are left out.`,
		Example: `  masar segment "تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما"
  masar segment --harakat strip --digits european "سُجِّلت مخالفة برقم ٩٣٥٥"
  masar segment --style udh16 --json < notice.txt`,
		GroupID: groupTools,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			st, err := text.ParseStyle(style)
			if err != nil {
				return usagef("--style %q: one of udh8, udh16, sar, payload", style)
			}
			o, err := chosen.options()
			if err != nil {
				return err
			}
			given, err := segmentInput(args, cmd.InOrStdin())
			if err != nil {
				return err
			}
			if !utf8.ValidString(given) {
				return fmt.Errorf("the text is not UTF-8; convert it first: iconv -t UTF-8")
			}
			s := o.Apply(given)
			seg, err := segmentText(s, st)
			if err != nil {
				return err
			}
			seg.Options = text.Savings(given, st)
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetEscapeHTML(false)
				return enc.Encode(seg)
			}
			return printSegmentation(cmd.OutOrStdout(), s, seg, st)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, `print {"encoding","units","parts":[{"text","units"}],"options":[{"option","encoding","units","parts"}]}`)
	cmd.Flags().StringVar(&style, "style", text.UDH8.String(), "how parts are marked: udh8, udh16, sar, payload")
	chosen.flags(cmd)
	return cmd
}

// segmentOptions are text.Options as the flags spell them.
type segmentOptions struct {
	fold, isolate                         bool
	harakat, tatweel, digits, punctuation string
}

func (so *segmentOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&so.fold, "fold", false, "first replace Arabic presentation forms (U+FB50-FDFF, U+FE70-FEFF) by their letters")
	f.StringVar(&so.harakat, "harakat", "keep", "keep or strip the vowel signs")
	f.StringVar(&so.tatweel, "tatweel", "keep", "keep or strip the tatweel")
	f.StringVar(&so.digits, "digits", "keep", "keep, european or arabic-indic")
	f.StringVar(&so.punctuation, "punctuation", "keep", "keep, or gsm: typographic quotes, dashes, ellipses and spaces in their GSM form, where that alone saves ucs2")
	f.BoolVar(&so.isolate, "isolate", false, "set direction marks around Latin runs of an Arabic text")
}

func (so *segmentOptions) options() (text.Options, error) {
	o := text.Options{FoldPresentation: so.fold, Isolate: so.isolate}
	for _, x := range []struct {
		flag, value, yes string
		on               *bool
	}{
		{"harakat", so.harakat, "strip", &o.StripHarakat},
		{"tatweel", so.tatweel, "strip", &o.StripTatweel},
		{"punctuation", so.punctuation, "gsm", &o.GSMPunctuation},
	} {
		switch x.value {
		case "keep":
		case x.yes:
			*x.on = true
		default:
			return o, usagef("--%s %q: keep or %s", x.flag, x.value, x.yes)
		}
	}
	var err error
	if o.Digits, err = text.ParseDigits(so.digits); err != nil {
		return o, usagef("--digits %q: keep, european or arabic-indic", so.digits)
	}
	return o, nil
}

func segmentInput(args []string, in io.Reader) (string, error) {
	if len(args) == 1 && args[0] != "-" {
		return args[0], nil
	}
	b, err := io.ReadAll(in)
	if err != nil {
		return "", fmt.Errorf("read the text: %w", err)
	}
	s := strings.TrimSuffix(string(b), "\n")
	return strings.TrimSuffix(s, "\r"), nil
}

func segmentText(s string, st text.Style) (segmentation, error) {
	e := text.Choose(s)
	if _, err := text.Encode(nil, s, e); err != nil {
		return segmentation{}, err
	}
	parts, err := text.Split(s, e, st)
	if err != nil {
		return segmentation{}, err
	}
	seg := segmentation{Encoding: e.String(), Units: text.Units(s, e), Parts: []segmentPart{}}
	for _, p := range parts {
		seg.Parts = append(seg.Parts, segmentPart{Text: p, Units: text.Units(p, e)})
	}
	return seg, nil
}

func printSegmentation(w io.Writer, s string, seg segmentation, st text.Style) error {
	e, _ := text.ParseEncoding(seg.Encoding)
	single, part := text.Limits(e, st)
	unit := "septets"
	if e == text.UCS2 {
		unit = "UTF-16 units"
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "encoding\t%s%s\n", seg.Encoding, whyUCS2(s, e))
	if st == text.Payload {
		fmt.Fprintf(tw, "units\t%d %s; a message_payload holds %d\n", seg.Units, unit, single)
	} else {
		fmt.Fprintf(tw, "units\t%d %s; one message holds %d, a part of several %d\n", seg.Units, unit, single, part)
	}
	fmt.Fprintf(tw, "parts\t%d (%s)\n\n", len(seg.Parts), st)
	fmt.Fprintf(tw, "part\tunits\tfrom\tto\ttext\n")
	at := 0
	for i, p := range seg.Parts {
		fmt.Fprintf(tw, "%d\t%d\t%d\t%d\t%s\n", i+1, p.Units, at, at+p.Units, quoteText(p.Text))
		at += p.Units
	}
	if len(seg.Parts) > 1 {
		fmt.Fprintf(tw, "\ncut\tafter unit\tbetween\n")
		at = 0
		for i, p := range seg.Parts[:len(seg.Parts)-1] {
			at += p.Units
			last, _ := utf8.DecodeLastRuneInString(p.Text)
			first, _ := utf8.DecodeRuneInString(seg.Parts[i+1].Text)
			fmt.Fprintf(tw, "%d\t%d\t%s and %s\n", i+1, at, runeName(last), runeName(first))
		}
	}
	printSavings(tw, seg.Options)
	return tw.Flush()
}

// printSavings prints the options that change the size of the text; the first row of all
// is the text as it was given.
func printSavings(w io.Writer, rows []text.Saving) {
	head := false
	for _, r := range rows[1:] {
		if r.Encoding == rows[0].Encoding && r.Units == rows[0].Units && r.Parts == rows[0].Parts {
			continue
		}
		if !head {
			fmt.Fprintf(w, "\noption\tencoding\tunits\tparts\n")
			printSaving(w, "none", rows[0])
			head = true
		}
		name := "--" + r.Option
		if r.Option == "all" {
			name = "all that save"
		}
		printSaving(w, name, r)
	}
	if !head {
		fmt.Fprintf(w, "\nno option would change its size\n")
	}
}

func printSaving(w io.Writer, name string, r text.Saving) {
	parts := strconv.Itoa(r.Parts)
	if r.Parts == 0 {
		parts = "more than 255"
	}
	fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", name, r.Encoding, r.Units, parts)
}

// quoteText leaves Arabic readable and shows what a terminal would hide or obey
// (direction marks, joiners, line ends).
func quoteText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x20 || hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// hidden says whether a terminal shows nothing, or reorders the line, for r.
func hidden(r rune) bool {
	return r >= 0x200B && r <= 0x200F || r >= 0x202A && r <= 0x202E ||
		r >= 0x2066 && r <= 0x2069 || r == 0x061C || r == 0xFEFF || r == 0x00A0
}

// whyUCS2 names the first character that keeps the text out of GSM 7-bit.
func whyUCS2(s string, e text.Encoding) string {
	if e != text.UCS2 {
		return ""
	}
	at, n, first := 0, 0, rune(0)
	for _, r := range s {
		if text.Choose(string(r)) == text.UCS2 {
			if n == 0 {
				first = r
			}
			n++
		}
		if n == 0 {
			at++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s, character %d, is not in GSM 03.38; %d such)", runeName(first), at+1, n)
}

func runeName(r rune) string {
	if hidden(r) || r < 0x20 || unicode.IsMark(r) {
		return fmt.Sprintf("U+%04X", r)
	}
	return fmt.Sprintf("U+%04X %c", r, r)
}
