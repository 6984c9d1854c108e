package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"masar/admin"
)

func newCampaignStatus() *cobra.Command {
	var f apiFlags
	var p printer
	var follow bool
	cmd := &cobra.Command{
		Use:   "status ID",
		Short: "How far a campaign is",
		Long: `Shows a campaign: its counts, which are exact at any moment, what its check said, and who did
what. With --follow it shows how far it is until it is over, on a terminal as a bar; Ctrl-C
ends the watching, not the campaign.`,
		Example: "  masar campaign status 1\n  masar campaign status 1 --follow",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := onlyID(cmd, args)
			if err != nil {
				return err
			}
			var c admin.CampaignView
			if err := f.call(cmd.Context(), http.MethodGet, campaignPath(id, ""), &c); err != nil {
				return err
			}
			if follow {
				line := newProgress(cmd.ErrOrStderr())
				err := f.watch(cmd.Context(), id, &c, func() bool { return campaignOver(&c) }, func() { line.at(c.Progress, "%s", campaignProgress(&c)) })
				line.end()
				if err != nil {
					return err
				}
			}
			err = p.print(cmd, c, func(w io.Writer) { showCampaign(w, &c) })
			if err == nil && follow && c.State == "failed" {
				return errors.New(c.Why)
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "watch it until it is over")
	p.register(cmd)
	f.register(cmd)
	return cmd
}

// campaignOver reports that nothing more happens to a campaign.
func campaignOver(c *admin.CampaignView) bool {
	switch c.State {
	case "done", "failed":
		return true
	case "stopped":
		return c.Counts.Waiting == 0
	}
	return false
}

// campaignProgress is a campaign in one line.
func campaignProgress(c *admin.CampaignView) string {
	n := &c.Counts
	ended := int64(0)
	for _, of := range n.Ended {
		ended += of
	}
	says := []string{c.State, fmt.Sprintf("%s of %s ended", whole(ended), whole(n.Rows-n.Bad-n.Duplicate))}
	if d := n.Ended["DELIVRD"]; d > 0 {
		says = append(says, whole(d)+" delivered")
	}
	if n.Refused > 0 {
		says = append(says, whole(n.Refused)+" refused")
	}
	if pace := paceSays(c); pace != "" {
		says = append(says, pace)
	}
	for i := range c.HeldBy {
		if h := &c.HeldBy[i]; h.ID != c.Halt {
			says = append(says, "held by "+h.ID+" ("+scopeText(&h.Scope)+")")
		}
	}
	return strings.Join(says, ", ")
}

func showCampaign(w io.Writer, c *admin.CampaignView) {
	n := &c.Counts
	fmt.Fprintf(w, "campaign\t%d, %s\nservice\t%s, under %s\n", c.ID, c.Name, c.Service, c.Account)
	state := c.State
	if c.Why != "" {
		state += ": " + c.Why
	}
	fmt.Fprintf(w, "state\t%s\n", state)
	for i := range c.HeldBy {
		if h := &c.HeldBy[i]; h.ID != c.Halt {
			fmt.Fprintf(w, "held by\t%s\n", heldText(h))
		}
	}
	for _, did := range []struct {
		what, who string
		when      *time.Time
	}{{"made", c.By, &c.Created}, {"file", c.Uploaded, c.Changed}, {"tested", "", c.Tested}, {"released", c.Released, nil}, {"started", "", c.Started}, {"stopped", c.Stopper, nil}, {"ended", "", c.Ended}} {
		if did.who == "" && did.when == nil {
			continue
		}
		says := did.who
		if did.who != "" {
			says = "by " + did.who
		}
		if did.when != nil {
			says = strings.TrimSpace(moment(*did.when) + " " + says)
		}
		fmt.Fprintf(w, "%s\t%s\n", did.what, says)
	}
	if n.Rows == 0 {
		fmt.Fprintf(w, "next\t%s\n", nextSteps(c))
		return
	}
	row := func(name string, n int64, says string) {
		if n > 0 {
			fmt.Fprintf(w, "%s\t%s%s\n", name, whole(n), says)
		}
	}
	fmt.Fprintf(w, "\nrows\t%s\n", whole(n.Rows))
	row("bad", n.Bad, fmt.Sprintf("; masar campaign bad %d has them", c.ID))
	row("duplicate", n.Duplicate, "")
	if c.Started == nil && c.Check != nil && n.Stopped == 0 {
		by := ""
		if c.Check.By != "" {
			by = " by " + c.Check.By
		}
		fmt.Fprintf(w, "\nchecked\t%s%s\n", moment(c.Check.At), by)
		showCheck(w, c.Check, false)
	} else {
		row("refused", n.Refused, tally(n.Refusals))
		row("accepted", n.Accepted, ", in "+whole(n.Parts)+" parts")
		row("not sent yet", n.Left, "")
		row("never sent", n.Stopped, ": the campaign was stopped")
		row("waiting", n.Waiting, ": queued, on the wire, or without receipt yet")
		if pace := paceSays(c); pace != "" {
			fmt.Fprintf(w, "pace\t%s\n", pace)
		}
		ended := int64(0)
		for _, of := range n.Ended {
			ended += of
		}
		row("ended", ended, tally(n.Ended))
	}
	if next := nextSteps(c); next != "" {
		fmt.Fprintf(w, "\nnext\t%s\n", next)
	}
}

// heldText is a halt that is not the campaign's own.
func heldText(h *admin.CampaignHeld) string {
	says := fmt.Sprintf("%s, %s, since %s", h.ID, scopeText(&h.Scope), moment(h.Since))
	if h.By != "" {
		says += " by " + h.By
	}
	if h.Reason != "" {
		says += ": " + h.Reason
	}
	return says
}

// paceSays is how fast a campaign goes; empty where nothing can be said of that.
func paceSays(c *admin.CampaignView) string {
	if c.State != "running" || c.Rate < 1 || c.Left == nil || *c.Left < 1 {
		return ""
	}
	return fmt.Sprintf("%s/s, %s left", whole(int64(c.Rate)), secondsLasting(*c.Left))
}

// tally writes counts by reason, the largest first: ": DELIVRD 4,980, UNDELIV 5".
func tally(m map[string]int64) string {
	if len(m) == 0 {
		return ""
	}
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b)) })
	for i, name := range names {
		names[i] = name + " " + whole(m[name])
	}
	return ": " + strings.Join(names, ", ")
}

const checkErrors = 5 // bad rows that are shown; the others are in masar campaign bad

// showCheck tells what a dry run found.
// rows: with what is wrong with the file's rows.
func showCheck(w io.Writer, k *admin.CampaignCheck, rows bool) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("good", "%s of %s rows would be sent", whole(k.Good), whole(k.Rows))
	if k.Bad > 0 && rows {
		row("bad", "%s", whole(k.Bad))
	}
	if k.Duplicate > 0 && rows {
		row("duplicate", "%s", whole(k.Duplicate))
	}
	refused := int64(0)
	for _, n := range k.Refused {
		refused += n
	}
	if refused > 0 {
		row("refused", "%s%s", whole(refused), tally(k.Refused))
	}
	if k.Held > 0 {
		row("held", "%s would wait for their hours, were it started now", whole(k.Held))
	}
	routes := map[string]int64{}
	for route, n := range k.Parts {
		name, _, _ := strings.Cut(route, "=") // what follows are its carriers
		routes[name] += n
	}
	row("segments", "%s%s", whole(k.Segments), tally(routes))
	if k.Takes != nil {
		row("takes", "%s at the carriers' pace, with what waits before it", secondsLasting(*k.Takes))
	} else {
		row("takes", "nobody knows: a carrier is down")
	}
	if !rows {
		return
	}
	for i, e := range k.Errors {
		if i == checkErrors {
			fmt.Fprintf(w, "\t... and %d more\n", len(k.Errors)-checkErrors)
			break
		}
		at := fmt.Sprintf("row %d", e.Row)
		if e.Field != "" {
			at += ", " + e.Field
		}
		fmt.Fprintf(w, "\t%s: %s\n", at, e.Rule)
	}
}

// nextSteps is what may be done with a campaign as it is.
func nextSteps(c *admin.CampaignView) string {
	steps := map[string][]string{
		"draft":    {"check"},
		"checking": {"status"},
		"released": {"start"},
		"running":  {"status --follow", "pause", "stop"},
		"paused":   {"resume", "stop"},
		"done":     {"report"},
		"stopped":  {"report"},
	}[c.State]
	if c.State == "draft" && c.Counts.Rows == 0 {
		return fmt.Sprintf("masar campaign upload %d FILE", c.ID)
	}
	switch {
	case c.State != "checked" || c.Check == nil:
	case c.Check.Good == 0:
		steps = []string{"bad"}
	case c.Needs:
		steps = []string{"test", "release --as NAME"} // a second person's
	default:
		steps = []string{"test", "start"}
	}
	var all []string
	for _, s := range steps {
		name, flags, _ := strings.Cut(s, " ")
		all = append(all, strings.TrimSpace(fmt.Sprintf("masar campaign %s %d %s", name, c.ID, flags)))
	}
	return strings.Join(all, ", ")
}

func newCampaignList() *cobra.Command {
	var f apiFlags
	var p printer
	var account, service, state string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "The campaigns, the latest first",
		Long:    "Lists campaigns with their state and counts. One that is over is kept for campaigns.keep.",
		Example: "  masar campaign list\n  masar campaign list --state running",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for name, value := range map[string]string{"account": account, "service": service, "state": state} {
				if value != "" {
					q.Set(name, value)
				}
			}
			var found struct {
				Campaigns []admin.CampaignView `json:"campaigns"`
			}
			if err := f.call(cmd.Context(), http.MethodGet, "/v1/campaigns?"+q.Encode(), &found); err != nil {
				return err
			}
			return p.print(cmd, found.Campaigns, func(w io.Writer) {
				if len(found.Campaigns) == 0 {
					fmt.Fprintln(w, "no campaigns; masar campaign create makes one")
					return
				}
				fmt.Fprintln(w, "id\tname\tservice\tstate\tdone\trows\tdelivered\trefused\tmade")
				for i := range found.Campaigns {
					c := &found.Campaigns[i]
					fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%.0f%%\t%s\t%s\t%s\t%s by %s\n", c.ID, c.Name, c.Service, c.State, c.Progress*100,
						whole(c.Counts.Rows), whole(c.Counts.Ended["DELIVRD"]), whole(c.Counts.Refused), moment(c.Created), c.By)
				}
			})
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&state, "state", "", "only in this one, as running")
	fl.StringVar(&service, "service", "", "only of this one")
	fl.StringVar(&account, "account", "", "only under this one")
	p.register(cmd)
	f.register(cmd)
	return cmd
}

// newCampaignFile is a command that fetches a CSV file of a campaign.
func newCampaignFile(name, short, long string) *cobra.Command {
	var f apiFlags
	var output string
	cmd := &cobra.Command{
		Use:     name + " ID [--output FILE]",
		Short:   short,
		Long:    long,
		Example: fmt.Sprintf("  masar campaign %[1]s 1 --output %[1]s.csv\n  masar campaign %[1]s 1 | head", name),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := onlyID(cmd, args)
			if err != nil {
				return err
			}
			return saveTo(cmd.Context(), &f, campaignPath(id, "/"+name), output, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "-", "the file; - is standard output")
	f.register(cmd)
	return cmd
}
