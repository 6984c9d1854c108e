package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"masar/config"
)

func newCheck() *cobra.Command {
	var named string
	cmd := &cobra.Command{
		Use:     "check FILE",
		Short:   "Check a configuration",
		GroupID: groupGateway,
		Long: `Reads a configuration as serve would, with its certificates, secrets and tables, and
says everything that is wrong with it at once: file, line, column, the key, the rule and
the cure. Nothing is started.`,
		Example: "  masar check masar.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := configFile(named, args)
			if err != nil {
				return err
			}
			cfg, warnings, err := loadConfig(path)
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s%s\n", warningPrefix, w)
			}
			if err == nil {
				err = buildable(cfg)
			}
			if err != nil {
				return configError(err)
			}
			what := []string{count(len(cfg.Accounts), "account"), count(len(cfg.Carriers), "carrier"), count(len(cfg.Routes), "route")}
			if c := cfg.Catalogue; c != nil {
				what = append(what, count(len(c.Services), "service")+" of "+count2(len(c.Agencies), "agency", "agencies"))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s: ok\n", path, strings.Join(what, ", "))
			return err
		},
	}
	cmd.Flags().StringVarP(&named, "config", "c", "", "the file, as serve wants it")
	cmd.Flags().MarkHidden("config")
	return cmd
}

// configFile is the file that a command is about: serve and check take it either way.
func configFile(named string, args []string) (string, error) {
	switch {
	case len(args) > 1 || len(args) == 1 && named != "":
		return "", usagef("name one file")
	case len(args) == 1:
		return args[0], nil
	case named == "":
		return "", usagef("name the configuration file")
	}
	return named, nil
}

// buildable opens what a configuration names: certificates, tables.
func buildable(cfg *config.Config) error {
	s, err1 := setup(cfg)
	_, _, err2 := listeners(cfg)
	_, err3 := (&ported{}).prepare(cfg)
	_, err4 := apiKeys(cfg)
	_, err5 := new(testNumbers).into(&s, testRanges(cfg))
	_, err6 := keywords(cfg, s.Catalogue, nil)
	return errors.Join(err1, err2, err3, err4, err5, err6)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// count2 is count of a noun whose plural is its own.
func count2(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
