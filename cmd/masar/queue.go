package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"masar/admin"
)

func newQueue() *cobra.Command {
	var f apiFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "queue",
		Short:   "Show what waits",
		GroupID: groupGateway,
		Long: `Shows how many messages wait for each carrier in each class, and how old the oldest is.
A message waits for its route; it is counted for the first carrier of the route that may
take it. (aside) are scheduled messages, held ones and those between two tries.`,
		Example: "  masar queue\n  masar queue --json --api http://127.0.0.1:8775",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var rows []admin.QueueRow
			if err := f.call(cmd.Context(), http.MethodGet, "/v1/queue", &rows); err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(rows)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(w, "carrier\tclass\twaiting\toldest\t")
			total := int64(0)
			for _, r := range rows {
				oldest := "-"
				if r.Messages > 0 {
					oldest = time.Duration(r.OldestSeconds * float64(time.Second)).Round(100 * time.Millisecond).String()
				}
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\t\n", r.Carrier, r.Class, r.Messages, oldest)
				total += r.Messages
			}
			fmt.Fprintf(w, "all\t\t%d\t\t\n", total)
			return w.Flush()
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
