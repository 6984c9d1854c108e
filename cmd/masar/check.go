package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"masar/config"
)

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE",
		Short:   "Check a configuration",
		GroupID: groupGateway,
		Long: `Reads a configuration as serve would, with its certificates, secrets and tables, and
says everything that is wrong with it at once: file, line, column, the key, the rule and
the cure. Nothing is started.`,
		Example: "  masar check masar.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, warnings, err := loadConfig(args[0])
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
			if err == nil {
				err = buildable(cfg)
			}
			if err != nil {
				return configError(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s, %s: ok\n", args[0],
				count(len(cfg.Accounts), "account"), count(len(cfg.Carriers), "carrier"), count(len(cfg.Routes), "route"))
			return err
		},
	}
}

// buildable opens what a configuration names: certificates, tables.
func buildable(cfg *config.Config) error {
	if _, err := setup(cfg); err != nil {
		return err
	}
	if _, _, err := listeners(cfg); err != nil {
		return err
	}
	_, err := (&ported{}).prepare(cfg)
	return err
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
