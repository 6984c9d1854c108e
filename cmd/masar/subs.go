package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/user"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"masar/admin"
)

func newSubs() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "subs",
		Short:   "People: what they enrolled in, and numbers that get nothing",
		GroupID: groupGateway,
		Long: `Shows and changes the registry of the running gateway: a person (the reference that an
agency knows him by, kept as a hash), his one current number, and the services that he
enrolled in. Where nobody but the number is known, the number stands for the person.

What is done here is recorded in the person's history under the channel cli, with the name
of the user who did it.`,
		Example: `  masar subs add 966501234567 --service IDREN --verified
  masar subs show 966501234567
  masar subs import people.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("masar subs has no command %q", args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(
		newSubsAdd(), newSubsRemove(), newSubsShow(), newSubsHistory(),
		newSubsNumber(), newSubsRecycled(), newSubsErase(), newSubsCode(), newSubsVerify(),
		newSubsBlock(), newSubsUnblock(),
		newSubsImport(), newSubsJobs(), newSubsExport(), newSubsStats(),
	)
	return cmd
}

// who is whom a command is about: a number, a person, or both.
type who struct{ number, person string }

func (w *who) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.person, "person", "", "the person's reference, as the agency writes it")
	cmd.Flags().StringVar(&w.number, "number", "", "the number, as people write it; may stand without --number too")
}

// read takes the number from the arguments.
func (w *who) read(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 1:
		return usagef("%s takes one number, not %q as well", cmd.CommandPath(), args[1])
	case len(args) == 1 && w.number != "" && w.number != args[0]:
		return usagef("two numbers: %s and --number %s", args[0], w.number)
	case len(args) == 1:
		w.number = args[0]
	}
	if w.number == "" && w.person == "" {
		return usagef("name a number: %s 966501234567", cmd.CommandPath())
	}
	return nil
}

var personID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// into puts who into a query. A person may also be given by the id that answers tell.
func (w *who) into(q url.Values) {
	switch {
	case w.person == "":
		q.Set("number", w.number)
	case personID.MatchString(w.person):
		q.Set("id", w.person)
	default:
		q.Set("person", w.person)
	}
}

// find looks somebody up; by the person where both are known.
func (w *who) find(ctx context.Context, f *apiFlags) (found admin.Subscribers, err error) {
	q := url.Values{}
	w.into(q)
	err = f.call(ctx, http.MethodGet, "/v1/subscribers?"+q.Encode(), &found)
	return found, err
}

// operator is the user who runs the command, for the history.
func operator() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// printer is what a command says: for people, or as JSON.
type printer struct {
	out    io.Writer
	asJSON bool
}

func (p *printer) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.asJSON, "json", false, "print JSON")
}

// print writes v as JSON where that was asked for, else calls table with a writer that
// lines up what stands between tabs.
func (p *printer) print(cmd *cobra.Command, v any, table func(w io.Writer)) error {
	p.out = cmd.OutOrStdout()
	if p.asJSON {
		enc := json.NewEncoder(p.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// codes writes service codes in a row; "-" for none.
func codes(list []string) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, ", ")
}

// moment is when something was, in the clock of the one who reads it; "-" for never.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(here).Format("2006-01-02 15:04")
}

// here is the zone of who reads and types; tests are in Riyadh.
var here = time.Local

// parseMoment reads a day or a time: 2027-12-31, 2027-12-31 08:00, or RFC 3339.
func parseMoment(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(form, s, here); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("--%s %q: write 2027-12-31, \"2027-12-31 08:00\" or 2027-12-31T08:00:00+03:00", flag, s)
}

// optional is t for JSON: nil where there is none.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// whole writes 1234567 as 1,234,567.
func whole(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
