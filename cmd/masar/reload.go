package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func newReload() *cobra.Command {
	var f apiFlags
	cmd := &cobra.Command{
		Use:     "reload",
		Short:   "Apply the changed configuration",
		GroupID: groupGateway,
		Long: `Makes the running gateway read its configuration again and prints what changed. A file
with mistakes is refused whole and the gateway keeps running as it was. Binds whose
carrier or account did not change are not touched.`,
		Example: "  masar check masar.yaml && masar reload",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer struct {
				Changes []string `json:"changes"`
			}
			err := f.call(cmd.Context(), http.MethodPost, "/v1/reload", &answer)
			if refused := (*apiError)(nil); errors.As(err, &refused) {
				return fmt.Errorf("%w\nmasar: nothing was applied, the gateway runs on as it was", err)
			}
			if err != nil {
				return err
			}
			changed := false
			for _, c := range answer.Changes {
				fmt.Fprintln(cmd.OutOrStdout(), c)
				changed = changed || !strings.HasPrefix(c, warningPrefix)
			}
			if !changed {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing changed")
			}
			return nil
		},
	}
	f.register(cmd)
	return cmd
}
