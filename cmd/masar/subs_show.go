package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"masar/admin"
)

func newSubsShow() *cobra.Command {
	var f apiFlags
	var p printer
	var w who
	cmd := &cobra.Command{
		Use:   "show NUMBER",
		Short: "Who has a number, and what he enrolled in",
		Long: `Shows everybody who has a number, or one person: his state, and what he is enrolled in,
by which channel and since when; and whether the number is blocked.`,
		Example: `  masar subs show 966501234567
  masar subs show --person 1012345678`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.read(cmd, args); err != nil {
				return err
			}
			found, err := w.find(cmd.Context(), &f)
			if refused := (*apiError)(nil); errors.As(err, &refused) && refused.Status == http.StatusNotFound {
				return fmt.Errorf("%w; masar subs add %s --service CODE enrols one", err, w.number)
			}
			if err != nil {
				return err
			}
			return p.print(cmd, found, func(out io.Writer) {
				for i := range found.Subscribers {
					if i > 0 {
						fmt.Fprintln(out)
					}
					showSubscriber(out, &found.Subscribers[i])
				}
				if found.Block != nil {
					showBlock(out, found.Block)
				}
			})
		},
	}
	w.register(cmd)
	p.register(cmd)
	f.register(cmd)
	return cmd
}

func showBlock(w io.Writer, b *admin.Block) {
	fmt.Fprintf(w, "blocked\t%s", b.Scope)
	if b.Reason != "" {
		fmt.Fprintf(w, ": %s", b.Reason)
	}
	if b.Expires != nil {
		fmt.Fprintf(w, ", until %s", moment(*b.Expires))
	}
	fmt.Fprintln(w)
}

func showSubscriber(w io.Writer, s *admin.Subscriber) {
	fmt.Fprintf(w, "number\t%s\nid\t%s\nstate\t%s\n", s.Number, s.ID, s.State)
	if s.Language != "" {
		fmt.Fprintf(w, "language\t%s\n", s.Language)
	}
	fmt.Fprintf(w, "since\t%s\n", moment(s.Since))
	for _, e := range s.Enrolments {
		at := "undated"
		if e.At != nil {
			at = moment(*e.At)
		}
		by := "by " + e.Channel
		if e.ByPerson {
			by += ", by himself"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.Service, e.State, at, by)
	}
}

func newSubsHistory() *cobra.Command {
	var f apiFlags
	var p printer
	var w who
	cmd := &cobra.Command{
		Use:     "history --person REF",
		Short:   "What happened to a person: consent, withdrawals, numbers",
		Long:    "Shows every change of a person, oldest first: what, when, by which channel and whom, with the date of the consent.",
		Example: "  masar subs history --person 1012345678\n  masar subs history 966501234567",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.read(cmd, args); err != nil {
				return err
			}
			people := []who{w}
			if w.person == "" {
				found, err := w.find(cmd.Context(), &f)
				if err != nil {
					return err
				}
				people = people[:0]
				for _, s := range found.Subscribers {
					people = append(people, who{person: s.ID})
				}
			}
			all := []admin.HistoryRow{}
			for _, one := range people {
				q := url.Values{}
				one.into(q)
				var found struct {
					History []admin.HistoryRow `json:"history"`
				}
				if err := f.call(cmd.Context(), http.MethodGet, "/v1/subscribers/history?"+q.Encode(), &found); err != nil {
					return err
				}
				all = append(all, found.History...)
			}
			slices.SortStableFunc(all, func(a, b admin.HistoryRow) int { return a.At.Compare(b.At) })
			return p.print(cmd, all, func(out io.Writer) {
				fmt.Fprintln(out, "at\twhat\tservices\tnumber\tchannel\tby\tconsent")
				for _, e := range all {
					number, consent := e.Number, "-"
					if e.Was != "" {
						number = e.Was + " -> " + e.Number
					}
					if e.Consent != nil {
						consent = moment(*e.Consent)
					}
					what := e.Kind
					if e.ByPerson {
						what += " (himself)"
					}
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", moment(e.At), what, codes(e.Services), number, e.Channel, e.By, consent)
				}
			})
		},
	}
	w.register(cmd)
	p.register(cmd)
	f.register(cmd)
	return cmd
}

func newSubsStats() *cobra.Command {
	var f apiFlags
	var p printer
	cmd := &cobra.Command{
		Use:     "stats",
		Short:   "How many people are enrolled in what",
		Long:    "Counts subscribers, numbers, suspended and blocked ones, and by service the enrolled and those who wait for their code.",
		Example: "  masar subs stats",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s admin.Stats
			if err := f.call(cmd.Context(), http.MethodGet, "/v1/stats/subscribers", &s); err != nil {
				return err
			}
			return p.print(cmd, s, func(w io.Writer) {
				fmt.Fprintf(w, "subscribers\t%s\nnumbers\t%s\nsuspended\t%s\nblocked\t%s\n",
					whole(s.Subscribers), whole(s.Numbers), whole(s.Suspended), whole(s.Blocked))
				if len(s.Services) > 0 {
					fmt.Fprintln(w, "\nservice\tenrolled\twait for a code")
				}
				for _, code := range slices.Sorted(maps.Keys(s.Services)) {
					fmt.Fprintf(w, "%s\t%s\t%s\n", code, whole(s.Services[code].Enrolled), whole(s.Services[code].Pending))
				}
			})
		},
	}
	p.register(cmd)
	f.register(cmd)
	return cmd
}
