package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"masar/admin"
)

func newSubsAdd() *cobra.Command {
	var f apiFlags
	var p printer
	var w who
	var at string
	q := admin.EnrolRequest{By: operator()}
	cmd := &cobra.Command{
		Use:   "add NUMBER --service CODE",
		Short: "Enrol somebody in services",
		Long: `Enrols a person in services. With --verified you say that the number is known to be his;
without it the services wait for a code that is sent to the number (masar subs code), unless
it was verified before. Somebody who withdrew himself stays withdrawn, unless --at is later.`,
		Example: `  masar subs add 966501234567 --service IDREN --verified
  masar subs add 0501234567 --person 1012345678 --service IDREN,IDNEW --language ar --at 2026-11-01`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := w.read(cmd, args); err != nil {
				return err
			}
			if len(q.Services) == 0 {
				return usagef("--service is missing: the code of a service, as IDREN; masar notice --list shows them")
			}
			if q.At, err = consentAt(at); err != nil {
				return err
			}
			q.Number, q.Person = w.number, w.person
			return change(cmd, &f, &p, "/v1/enrolments", &q, "enrolled in")
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringSliceVar(&q.Services, "service", nil, "code; several: CODE,CODE or the flag again")
	w.register(cmd)
	fl.StringVar(&q.Language, "language", "", "of his notices, as ar")
	fl.BoolVar(&q.Verified, "verified", false, "the number is known to be his")
	fl.BoolVar(&q.ByPerson, "by-person", false, "he said so himself: it counts against an earlier withdrawal of his")
	fl.StringVar(&at, "at", "", "when he gave consent (default now)")
	p.register(cmd)
	f.register(cmd)
	return cmd
}

func newSubsRemove() *cobra.Command {
	var f apiFlags
	var p printer
	var w who
	var at string
	var all bool
	q := admin.WithdrawRequest{By: operator()}
	cmd := &cobra.Command{
		Use:   "remove NUMBER --service CODE",
		Short: "Take somebody off services",
		Long: `Takes a person off services, or off all. With --by-person it outlives any later bulk file
whose consent is older or has no date: he has to enrol again himself.`,
		Example: `  masar subs remove 966501234567 --service IDREN
  masar subs remove 966501234567 --all --by-person`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := w.read(cmd, args); err != nil {
				return err
			}
			if all == (len(q.Services) > 0) {
				return usagef("--service CODE or --all: give one of them")
			}
			if q.At, err = consentAt(at); err != nil {
				return err
			}
			q.Number, q.Person = w.number, w.person
			return change(cmd, &f, &p, "/v1/withdrawals", &q, "taken off")
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringSliceVar(&q.Services, "service", nil, "code; several: CODE,CODE or the flag again")
	fl.BoolVar(&all, "all", false, "off everything")
	w.register(cmd)
	fl.BoolVar(&q.ByPerson, "by-person", false, "he asked for it himself")
	fl.StringVar(&at, "at", "", "when he asked for it (default now)")
	p.register(cmd)
	f.register(cmd)
	return cmd
}

// consentAt is when consent was given or taken back: now unless something else is said,
// for what is done by hand happens now.
func consentAt(s string) (*time.Time, error) {
	at, err := parseMoment("at", s)
	if at.IsZero() {
		at = time.Now().Truncate(time.Second)
	}
	return &at, err
}

func newSubsNumber() *cobra.Command {
	var f apiFlags
	var p printer
	var w who
	q := admin.NumberRequest{By: operator()}
	cmd := &cobra.Command{
		Use:   "number NEW-NUMBER --person REF",
		Short: "Move a person to a new number",
		Long: `Gives a person a new number: what he is enrolled in and what waits for him move along.
Without --verified his services wait for a code sent to the new number.`,
		Example: "  masar subs number 966559876543 --person 1012345678 --verified",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.read(cmd, args); err != nil {
				return err
			}
			if w.person == "" || w.number == "" {
				return usagef("name the person and his new number: masar subs number 966559876543 --person REF")
			}
			q.Number, q.Person = w.number, w.person
			return change(cmd, &f, &p, "/v1/subscribers/number", &q, "is the number now:")
		},
	}
	w.register(cmd)
	cmd.Flags().BoolVar(&q.Verified, "verified", false, "the number is known to be his")
	p.register(cmd)
	f.register(cmd)
	return cmd
}

func newSubsRecycled() *cobra.Command {
	var f apiFlags
	var p printer
	var w who
	cmd := &cobra.Command{
		Use:   "recycled NUMBER",
		Short: "A number has another owner now",
		Long: `Suspends everybody at a number that its operator gave to somebody else: until it is
verified again nothing opt-in leaves for it.`,
		Example: "  masar subs recycled 966501234567",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.read(cmd, args); err != nil {
				return err
			}
			q := admin.RecycledRequest{Person: w.person, Number: w.number, By: operator()}
			return change(cmd, &f, &p, "/v1/subscribers/recycled", &q, "is suspended until it is verified again:")
		},
	}
	w.register(cmd)
	p.register(cmd)
	f.register(cmd)
	return cmd
}

func newSubsErase() *cobra.Command {
	var f apiFlags
	var person string
	var yes bool
	cmd := &cobra.Command{
		Use:   "erase --person REF --yes",
		Short: "Forget a person and his history",
		Long: `Takes a person out of the registry with all that is known of him. A withdrawal of his own
stays as a bare mark, so that an old file does not enrol him again.`,
		Example: "  masar subs erase --person 1012345678 --yes",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if person == "" {
				return usagef("--person is missing: the person's reference")
			}
			if !yes {
				return usagef("this cannot be undone: add --yes")
			}
			q := url.Values{"by": {operator()}}
			(&who{person: person}).into(q)
			if err := f.do(cmd.Context(), apiRequest{method: http.MethodDelete, path: "/v1/subscribers?" + q.Encode()}, nil); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "forgotten")
			return nil
		},
	}
	cmd.Flags().StringVar(&person, "person", "", "the person's reference, or his id of 32 hex digits as masar subs show has it")
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, forget him")
	f.register(cmd)
	return cmd
}

func newSubsCode() *cobra.Command {
	var f apiFlags
	var p printer
	var w who
	cmd := &cobra.Command{
		Use:     "code NUMBER",
		Short:   "Send a number its verification code again",
		Long:    "Sends a code to a number where something waits for one. Whoever has the number reads it out, and masar subs verify takes it.",
		Example: "  masar subs code 966501234567",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.read(cmd, args); err != nil {
				return err
			}
			var sent admin.CodeSent
			if err := f.send(cmd.Context(), http.MethodPost, "/v1/codes", admin.CodeRequest{Person: w.person, Number: w.number}, &sent); err != nil {
				return err
			}
			return p.print(cmd, sent, func(out io.Writer) {
				fmt.Fprintf(out, "%s: a code is on its way and holds until %s; then: masar subs verify %s CODE\n", sent.Number, moment(sent.Expires), sent.Number)
			})
		},
	}
	w.register(cmd)
	p.register(cmd)
	f.register(cmd)
	return cmd
}

func newSubsVerify() *cobra.Command {
	var f apiFlags
	var p printer
	cmd := &cobra.Command{
		Use:     "verify NUMBER CODE",
		Short:   "Enter the code that a number was sent",
		Long:    "Verifies a number by the code sent to it: what waits there becomes enrolled, and a suspended number is trusted again.",
		Example: "  masar subs verify 966501234567 482913",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("name the number and the code: masar subs verify 966501234567 482913")
			}
			q := admin.VerifyRequest{Number: args[0], Code: args[1], By: operator()}
			return change(cmd, &f, &p, "/v1/codes/verify", &q, "is verified:")
		},
	}
	p.register(cmd)
	f.register(cmd)
	return cmd
}

func newSubsBlock() *cobra.Command {
	var f apiFlags
	var w who
	b := admin.BlockRequest{By: operator()}
	var until string
	cmd := &cobra.Command{
		Use:   "block NUMBER",
		Short: "Keep messages from a number",
		Long: `Puts a number on the blocklist: it gets nothing (--scope all), or nothing but mandatory
services (--scope opt-in). What waits for it ends REJECTD. Many numbers:
masar subs import --blocklist FILE.`,
		Example: `  masar subs block 966501234567 --reason "asked by letter 4711"
  masar subs block 966501234567 --scope opt-in --until 2027-12-31`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.read(cmd, args); err != nil {
				return err
			}
			if w.number == "" {
				return usagef("a block is of a number: masar subs block 966501234567")
			}
			if b.Scope != "all" && b.Scope != "opt-in" {
				return usagef("--scope %q: one of all, opt-in", b.Scope)
			}
			at, err := parseMoment("until", until)
			if err != nil {
				return err
			}
			b.Expires = optional(at)
			if err := f.send(cmd.Context(), http.MethodPut, "/v1/blocklist/"+url.PathEscape(w.number), b, nil); err != nil {
				return err
			}
			what := map[string]string{"all": "gets nothing", "opt-in": "gets mandatory services alone"}[b.Scope]
			if !at.IsZero() {
				what += " until " + moment(at)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s; masar subs unblock %s takes it back\n", w.number, what, w.number)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&b.Scope, "scope", "all", "all: nothing leaves for it; opt-in: mandatory services do")
	fl.StringVar(&b.Reason, "reason", "", "why, at most 100 octets")
	fl.StringVar(&until, "until", "", "when it ends (default never)")
	fl.StringVar(&w.number, "number", "", "the number; may stand without --number too")
	f.register(cmd)
	return cmd
}

func newSubsUnblock() *cobra.Command {
	var f apiFlags
	var w who
	cmd := &cobra.Command{
		Use:     "unblock NUMBER",
		Short:   "Take a number off the blocklist",
		Long:    "Takes a number off the blocklist. One that stands in the blocklist file comes back with its next change.",
		Example: "  masar subs unblock 966501234567",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.read(cmd, args); err != nil {
				return err
			}
			if err := f.do(cmd.Context(), apiRequest{method: http.MethodDelete, path: "/v1/blocklist/" + url.PathEscape(w.number) + "?" + url.Values{"by": {operator()}}.Encode()}, nil); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is not blocked\n", w.number)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&w.number, "number", "", "the number; may stand without --number too")
	f.register(cmd)
	return cmd
}

// change makes one and says what became of it, and what to do about what is left. done is
// said between the number and the services; one that ends in a colon also stands alone.
func change(cmd *cobra.Command, f *apiFlags, p *printer, path string, body any, done string) error {
	var c admin.Consent
	if err := f.send(cmd.Context(), http.MethodPost, path, body, &c); err != nil {
		return err
	}
	return p.print(cmd, c, func(w io.Writer) { sayConsent(w, &c, done) })
}

func sayConsent(w io.Writer, c *admin.Consent, done string) {
	name := c.Number
	if name == "" {
		name = "nobody known"
	}
	alone, can := strings.CutSuffix(done, ":")
	switch moved := without(c.Moved, c.Pending); {
	case c.People == 0 && c.Changed:
		// A withdrawal of somebody unknown stands for what comes later; a mistyped number
		// must not read as the one that was meant.
		fmt.Fprintf(w, "%s: nobody is known there, so nobody was taken off; the withdrawal is kept against older consent that comes later\n", name)
	case c.People == 0 && done == "taken off":
		fmt.Fprintf(w, "%s: nobody is known there\n", name)
	case len(moved) > 0:
		fmt.Fprintf(w, "%s %s %s\n", name, done, codes(moved))
	case c.Changed && can && len(c.Pending) == 0:
		fmt.Fprintf(w, "%s %s\n", name, alone)
	case c.Changed && len(c.Pending) == 0 && len(c.Kept) == 0:
		// His number is trusted again, say, or his language is another.
		fmt.Fprintf(w, "%s: changed; the services are what they were\n", name)
	case len(c.Pending) == 0 && len(c.Kept) == 0:
		fmt.Fprintf(w, "%s: it was so already\n", name)
	}
	switch {
	case len(c.Pending) == 0:
	case c.CodeNotSent == "":
		fmt.Fprintf(w, "%s waits for the code that is on its way: %s\nthen: masar subs verify %s CODE\n", name, codes(c.Pending), name)
	default:
		fmt.Fprintf(w, "%s waits for a code: %s\nnone was sent: %s\nwhere the number is known to be his: the same again with --verified\n",
			name, codes(c.Pending), c.CodeNotSent)
	}
	if len(c.Kept) > 0 {
		fmt.Fprintf(w, "%s withdrew himself and stays off: %s\nwhere he asked for it again: the same again with --by-person\n", name, codes(c.Kept))
	}
}

// without is list less what is in others.
func without(list, others []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(others, s) {
			out = append(out, s)
		}
	}
	return out
}
