package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"masar/admin"
)

// keyScopes are the scopes of package admin, and what each allows.
var keyScopes = []struct{ name, allows string }{
	{"enrol", "add people to services"},
	{"withdraw", "take them off"},
	{"read", "look at people and their history"},
	{"number", "tell of a new number, or of one that has a new owner"},
	{"bulk", "upload files"},
	{"export", "fetch all people"},
	{"blocklist", "block and unblock numbers"},
	{"notices", "send notices and codes"},
	{"catalogue", "see the services"},
	{"all-channels", "see and change what other channels enrolled"},
	{"reminders", "keep reminders of its account"},
	{"campaigns", "make and run campaigns of its account"},
	{"release", "release large campaigns that others made"},
	{"halt", "stop what waits and arrives, and end it"},
}

func newKey() *cobra.Command {
	var scopes, services []string
	var channel, account string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "key NAME",
		Short:   "Make a key of the HTTP API",
		GroupID: groupTools,
		Long: `Makes a random key for one partner (a portal, a bank, an office) and prints it, once,
with the entry for api.keys of the configuration. Only the hash stands there: who loses a
key gets a new one.

Scopes: ` + scopesHelp(),
		Example: `  masar key bank-a
  masar key portal --scopes enrol,withdraw,read,notices --account civil-affairs --services IDREN,IDNEW`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || strings.TrimSpace(args[0]) == "" {
				return usagef("name whom the key is for: masar key bank-a")
			}
			if _, err := admin.ParseScopes(scopes); err != nil {
				return usagef("--scopes: %w", err)
			}
			for _, s := range []string{"notices", "reminders", "campaigns"} {
				if slices.Contains(scopes, s) && account == "" {
					return usagef("--scopes %s needs --account: the system_id that it sends under", s)
				}
			}
			key, hash := admin.NewKey()
			e := keyEntry{Name: args[0], KeyHash: hash.String(), Channel: channel, Scopes: scopes, Account: account, Services: services}
			if e.Channel == "" {
				e.Channel = e.Name
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return json.NewEncoder(out).Encode(struct {
					Key string `json:"key"`
					keyEntry
				}{key, e})
			}
			fmt.Fprintf(out, "key    %s\n\nIt is not kept anywhere: give it to %s now. In the configuration, then masar reload:\n\n%s", key, e.Name, e.yaml())
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&scopes, "scopes", []string{"enrol", "withdraw", "read"}, "what it may do")
	f.StringVar(&channel, "channel", "", "the channel its enrolments are recorded under (default NAME)")
	f.StringVar(&account, "account", "", "system_id that its notices, reminders and campaigns are sent under")
	f.StringSliceVar(&services, "services", nil, "the only services it may name (default all)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// keyEntry is one entry of api.keys.
type keyEntry struct {
	Name     string   `json:"name"`
	KeyHash  string   `json:"key_hash"`
	Channel  string   `json:"channel"`
	Scopes   []string `json:"scopes"`
	Account  string   `json:"account,omitempty"`
	Services []string `json:"services,omitempty"`
}

func (e *keyEntry) yaml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "api:\n  keys:\n    - name: %s\n      key_hash: %q\n      channel: %s\n      scopes: [%s]\n",
		yamlText(e.Name), e.KeyHash, yamlText(e.Channel), strings.Join(e.Scopes, ", "))
	if e.Account != "" {
		fmt.Fprintf(&b, "      account: %s\n", yamlText(e.Account))
	}
	if len(e.Services) > 0 {
		var services []string
		for _, s := range e.Services {
			services = append(services, yamlText(s))
		}
		fmt.Fprintf(&b, "      services: [%s]\n", strings.Join(services, ", "))
	}
	return b.String()
}

// yamlText is s as the value of a key, in quotes where YAML needs them: what is printed is
// pasted.
func yamlText(s string) string {
	b, err := yaml.Marshal(s)
	if err != nil {
		return strconv.Quote(s)
	}
	return strings.TrimSpace(string(b))
}

func scopesHelp() string {
	var lines []string
	for _, s := range keyScopes {
		lines = append(lines, fmt.Sprintf("\n  %-13s %s", s.name, s.allows))
	}
	return strings.Join(lines, "")
}
