package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"masar/admin"
)

func newStop() *cobra.Command {
	var f apiFlags
	var p printer
	var q admin.HaltRequest
	cmd := &cobra.Command{
		Use:     "stop --service CODE",
		Short:   "Hold back what waits and what arrives, at once",
		GroupID: groupGateway,
		Long: `Holds everything of a service, an agency, an account, a sender, a campaign, a class or a
carrier, or all: within a second of the answer nothing of it leaves any more, one-time codes
too. Clients' submits are still taken, and wait. What is given together has to agree
together: --service IDREN --carrier stc stops IDREN over stc alone.

It holds until masar stop resume, across restarts of the gateway. What must not leave any
more is ended by masar stop cancel. --dry-run counts and does nothing.`,
		Example: `  masar stop --service IDREN --dry-run
  masar stop --service IDREN --reason "wrong date in the text"
  masar stop list
  masar stop resume ID`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("masar stop has no command %q; its commands are list, resume and cancel", args[0])
			}
			named := q.HaltScope
			named.All = false
			switch none := named == (admin.HaltScope{}); {
			case none && !q.All:
				return usagef("say what to hold: --service CODE, --agency, --account, --sender, --campaign, --class, --carrier, or --all")
			case !none && q.All:
				return usagef("--all stands alone: it is everything already")
			}
			var got admin.HaltAnswer
			if err := f.sendSlowly(cmd.Context(), http.MethodPost, "/v1/halts", q, &got); err != nil {
				return err
			}
			return p.print(cmd, got, func(w io.Writer) { showStopped(w, &got, &q.HaltScope) })
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&q.Service, "service", "", "code of the catalogue")
	fl.StringVar(&q.Agency, "agency", "", "code of the catalogue")
	fl.StringVar(&q.Account, "account", "", "system_id of a client")
	fl.StringVar(&q.Sender, "sender", "", "sender name")
	fl.Uint64Var(&q.Campaign, "campaign", 0, "its number")
	fl.StringVar(&q.Class, "class", "", "urgent, normal or bulk")
	fl.StringVar(&q.Carrier, "carrier", "", "its name: what would leave by it")
	fl.BoolVar(&q.All, "all", false, "everything")
	fl.StringVar(&q.Reason, "reason", "", "why, for who finds it")
	fl.BoolVar(&q.DryRun, "dry-run", false, "count what it would hold, hold nothing")
	p.register(cmd)
	f.registerAs(cmd)
	cmd.AddCommand(newStopList(), newStopResume(), newStopCancel())
	return cmd
}

func newStopList() *cobra.Command {
	var f apiFlags
	var p printer
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "What is held back now",
		Long:    "Lists what masar stop, the API and paused campaigns hold back, the oldest first.",
		Example: "  masar stop list",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var found struct {
				Halts []admin.HaltRow `json:"halts"`
			}
			if err := f.call(cmd.Context(), http.MethodGet, "/v1/halts", &found); err != nil {
				return err
			}
			return p.print(cmd, found.Halts, func(w io.Writer) {
				if len(found.Halts) == 0 {
					fmt.Fprintln(w, "nothing is held back")
					return
				}
				fmt.Fprintln(w, "id\twhat\tby\tsince\tcancelled\treason")
				for i := range found.Halts {
					h := &found.Halts[i]
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", h.ID, scopeText(&h.Scope), h.By, moment(h.Since), whole(h.Cancelled), h.Reason)
				}
			})
		},
	}
	p.register(cmd)
	f.register(cmd)
	return cmd
}

func newStopResume() *cobra.Command {
	return newStopEnd("resume", "Let what is held back leave",
		"Ends a stop: what it held leaves, in its order and at the carriers' pace; what has expired meanwhile ends EXPIRED. --dry-run counts.",
		func(w io.Writer, a *admin.HaltAnswer) {
			fmt.Fprintf(w, "resumed\t%s, %s\n", a.Halt.ID, scopeText(&a.Halt.Scope))
		})
}

func newStopCancel() *cobra.Command {
	return newStopEnd("cancel", "End what is held back, with receipts",
		`Ends everything that a stop holds: state DELETED, err halted, with the receipts that were asked
for. It cannot be undone. The stop itself stays until masar stop resume, so that what arrives
meanwhile does not leave. --dry-run counts.`,
		func(w io.Writer, a *admin.HaltAnswer) {
			n := int64(0)
			if a.Cancelled != nil {
				n = *a.Cancelled
			}
			fmt.Fprintf(w, "cancelled\t%s\n", messages(n))
			if a.Halt != nil {
				fmt.Fprintf(w, "still held\t%s; masar stop resume %s ends the stop\n", scopeText(&a.Halt.Scope), a.Halt.ID)
			}
		})
}

// newStopEnd is a command that does something with one stop.
func newStopEnd(name, short, long string, done func(io.Writer, *admin.HaltAnswer)) *cobra.Command {
	var f apiFlags
	var p printer
	var q admin.HaltDo
	cmd := &cobra.Command{
		Use:     name + " ID",
		Short:   short,
		Long:    long,
		Example: fmt.Sprintf("  masar stop list\n  masar stop %[1]s ID --dry-run\n  masar stop %[1]s ID", name),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name one stop: masar stop %s ID; masar stop list shows them", name)
			}
			var got admin.HaltAnswer
			err := f.sendSlowly(cmd.Context(), http.MethodPost, "/v1/halts/"+url.PathEscape(args[0])+"/"+name, q, &got)
			if refused := (*apiError)(nil); errors.As(err, &refused) && refused.Status == http.StatusNotFound {
				return fmt.Errorf("no stop is called %s; masar stop list shows those in force", args[0])
			}
			if err != nil {
				return err
			}
			return p.print(cmd, got, func(w io.Writer) {
				if !got.DryRun {
					done(w, &got)
					return
				}
				if got.Halt != nil {
					fmt.Fprintf(w, "%s\t%s, %s, since %s\n", name, got.Halt.ID, scopeText(&got.Halt.Scope), moment(got.Halt.Since))
				}
				showCounts(w, got.Counts, map[string]string{"resume": "leaves", "cancel": "ends"}[name])
				fmt.Fprintln(w, "\nnothing was done; without --dry-run it is")
			})
		},
	}
	cmd.Flags().BoolVar(&q.DryRun, "dry-run", false, "count, do nothing")
	p.register(cmd)
	f.registerAs(cmd)
	return cmd
}

func showStopped(w io.Writer, a *admin.HaltAnswer, asked *admin.HaltScope) {
	if a.Halt == nil { // nothing was held back
		fmt.Fprintf(w, "what\t%s\n", scopeText(asked))
		showCounts(w, a.Counts, "would be held")
		fmt.Fprintln(w, "\nnothing was stopped; without --dry-run it is")
		return
	}
	fmt.Fprintf(w, "stopped\t%s\nid\t%s\n", scopeText(&a.Halt.Scope), a.Halt.ID)
	showCounts(w, a.Counts, "held")
	fmt.Fprintf(w, "next\tmasar stop resume %s lets it go, masar stop cancel %s ends it\n", a.Halt.ID, a.Halt.ID)
}

// showCounts tells what a scope holds, and what of it is out already.
func showCounts(w io.Writer, n *admin.HaltCounts, held string) {
	if n == nil {
		fmt.Fprintf(w, "%s\tit is held; counting took too long: the same with --dry-run counts\n", held)
		return
	}
	fmt.Fprintf(w, "%s\t%s: %s waiting, %s scheduled or set aside\n", held, whole(n.Waiting+n.Aside), whole(n.Waiting), whole(n.Aside))
	if n.OnWire > 0 {
		fmt.Fprintf(w, "on the way\t%s at a carrier that has not answered: they cannot be called back\n", whole(n.OnWire))
	}
	fmt.Fprintf(w, "sent\t%s already: %s without receipt yet, %s ended since %s, %s of them delivered\n",
		whole(n.Sent+n.Ended), whole(n.Sent), whole(n.Ended), moment(n.Since), whole(n.Delivered))
}

// scopeText writes a scope as its flags would: service IDREN, carrier stc.
func scopeText(s *admin.HaltScope) string {
	if s.All {
		return "everything"
	}
	var all []string
	add := func(name, value string) {
		if value != "" {
			all = append(all, name+" "+value)
		}
	}
	add("service", s.Service)
	add("agency", s.Agency)
	add("account", s.Account)
	add("sender", s.Sender)
	if s.Campaign > 0 {
		add("campaign", fmt.Sprint(s.Campaign))
	}
	add("class", s.Class)
	add("carrier", s.Carrier)
	return strings.Join(all, ", ")
}

// secondsLasting is lasting of what JSON has as seconds.
func secondsLasting(s float64) string { return lasting(time.Duration(s * float64(time.Second))) }

// messages counts them: 1 message, 4,333 messages.
func messages(n int64) string {
	if n == 1 {
		return "1 message"
	}
	return whole(n) + " messages"
}
