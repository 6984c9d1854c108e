package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"masar/admin"
)

// queueRow is what waits for one carrier in one class, and how long that takes.
type queueRow struct {
	admin.QueueRow
	PerSecond *float64 `json:"per_s,omitempty"`     // what the carrier takes now
	Takes     *float64 `json:"takes_s,omitempty"`   // nil: never as things are, or not known
	HeldBulk  bool     `json:"held_bulk,omitempty"` // bulk waits for masar queue release
	drained   bool     // PerSecond and Takes are told
}

func newQueue() *cobra.Command {
	var f apiFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "queue",
		Short:   "Show what waits, and how long it takes to leave",
		GroupID: groupGateway,
		Long: `Shows how many messages wait for each carrier in each class, how old the oldest is, and
how long it takes until the last has left: at the carrier's pace of now, what goes before it
counted in; never where the carrier is down. A message waits for its route; it is counted
for the first carrier of the route that may take it. (aside) are scheduled messages, held
ones and those between two tries.

held: the carrier came back from an outage, and its configuration wants somebody to look
before it gets bulk again: masar queue release. It takes so long from then on.`,
		Example: "  masar queue\n  masar queue --json --api http://127.0.0.1:8775\n  masar queue release stc",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("masar queue has no command %q; masar queue release CARRIER lets bulk go", args[0])
			}
			rows, err := readQueue(cmd.Context(), &f)
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(rows)
			}
			if err := showQueue(cmd.OutOrStdout(), rows); err != nil {
				return err
			}
			return showHalted(cmd.Context(), &f, cmd.OutOrStdout())
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newQueueRelease())
	return cmd
}

// readQueue joins what waits with how long it takes. A gateway that does not tell the
// latter is older than this command: its queue is shown all the same.
func readQueue(ctx context.Context, f *apiFlags) ([]queueRow, error) {
	var waiting []admin.QueueRow
	if err := f.call(ctx, http.MethodGet, "/v1/queue", &waiting); err != nil {
		return nil, err
	}
	var drain []admin.DrainRow
	err := f.call(ctx, http.MethodGet, "/v1/drain", &drain)
	if refused := (*apiError)(nil); err != nil && !errors.As(err, &refused) {
		return nil, err
	}
	type place struct{ carrier, class string }
	takes := map[place]*admin.DrainRow{}
	for i := range drain {
		takes[place{drain[i].Carrier, drain[i].Class}] = &drain[i]
	}
	rows := make([]queueRow, len(waiting))
	for i, w := range waiting {
		rows[i].QueueRow = w
		if d := takes[place{w.Carrier, w.Class}]; d != nil {
			rows[i].PerSecond, rows[i].Takes, rows[i].HeldBulk, rows[i].drained = &d.PerSecond, d.Takes, d.HeldBulk && d.Class == "bulk", true
		}
	}
	return rows, nil
}

func showQueue(out io.Writer, rows []queueRow) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "carrier\tclass\twaiting\toldest\tleaves in\t")
	total := int64(0)
	held := ""
	for i := range rows {
		r := &rows[i]
		oldest, leaves := "-", "-"
		if r.Messages > 0 {
			oldest = time.Duration(r.OldestSeconds * float64(time.Second)).Round(100 * time.Millisecond).String()
			leaves = r.leaves()
		}
		if r.HeldBulk {
			held = r.Carrier
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t\n", r.Carrier, r.Class, r.Messages, oldest, leaves)
		total += r.Messages
	}
	fmt.Fprintf(w, "all\t\t%d\t\t\t\n", total)
	if err := w.Flush(); err != nil {
		return err
	}
	if held != "" {
		fmt.Fprintf(out, "\nheld: bulk waits since the carrier came back, and takes so long once masar queue release %s lets it go\n", held)
	}
	return nil
}

// showHalted says that some of what waits is stopped: how long it takes does not know of that.
func showHalted(ctx context.Context, f *apiFlags, out io.Writer) error {
	var found struct {
		Halts []admin.HaltRow `json:"halts"`
	}
	err := f.call(ctx, http.MethodGet, "/v1/halts", &found)
	if refused := (*apiError)(nil); errors.As(err, &refused) {
		return nil // older than this command, or a key that may not ask
	}
	if err != nil || len(found.Halts) == 0 {
		return err
	}
	fmt.Fprintln(out, "\nstopped, and not counted in how long it takes:")
	for i := range found.Halts {
		h := &found.Halts[i]
		fmt.Fprintf(out, "  %s (%s)\n", scopeText(&h.Scope), h.ID)
	}
	_, err = fmt.Fprintln(out, "it leaves once masar stop resume ID lets it go")
	return err
}

// leaves is how long it takes until the last of these has left.
func (r *queueRow) leaves() string {
	takes := ""
	switch {
	case r.Takes == nil:
	case *r.Takes < 1:
		takes = "< 1 s"
	default:
		takes = secondsLasting(*r.Takes)
	}
	switch {
	case r.HeldBulk && takes != "":
		return "held, " + takes
	case r.HeldBulk:
		return "held"
	case !r.drained:
		return "-"
	case r.Takes == nil:
		return "never"
	}
	return takes
}

func newQueueRelease() *cobra.Command {
	var f apiFlags
	var p printer
	cmd := &cobra.Command{
		Use:   "release CARRIER",
		Short: "Let a carrier that came back have bulk again",
		Long: `After an outage a carrier with recovery.hold_bulk gets urgent and normal messages alone,
until somebody has looked at masar queue and lets bulk go.`,
		Example: "  masar queue\n  masar queue release stc",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name one carrier: masar queue release stc")
			}
			var got struct {
				Carrier string           `json:"carrier"`
				Drain   []admin.DrainRow `json:"drain"`
			}
			if err := f.call(cmd.Context(), http.MethodPost, "/v1/carriers/"+url.PathEscape(args[0])+"/release", &got); err != nil {
				return err
			}
			return p.print(cmd, got, func(w io.Writer) {
				fmt.Fprintf(w, "%s gets bulk again", args[0])
				for _, d := range got.Drain {
					if d.Class == "bulk" && d.Takes != nil && d.Messages > 0 {
						fmt.Fprintf(w, ": %s, gone in %s", messages(d.Messages), secondsLasting(*d.Takes))
					}
				}
				fmt.Fprintln(w)
			})
		},
	}
	p.register(cmd)
	f.registerAs(cmd)
	return cmd
}
