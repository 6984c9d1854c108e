package main

import (
	"net/url"

	"github.com/spf13/cobra"
)

func newRemindersImport() *cobra.Command {
	var f apiFlags
	var p printer
	var encoding, format, account, badFile string
	var wait bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Put every reminder of a file",
		Long: `Sends a file of reminders to the gateway, which takes its rows one by one as masar reminders
put does: good ones are kept, each bad one is reported with its line and the rule it breaks.
CSV has its columns in the first line: key, person or number, service, expires, and as there
are calendar, lead_days and the template's parameters. JSON Lines has an object in each
line. "-" reads standard input.

Bad rows are no failure: the exit code is 0 where all rows were read. Nothing is lost when
the gateway or this command is killed: the gateway goes on where it was, and the same file
sent again changes nothing.`,
		Example: `  masar reminders import expiring.csv
  masar reminders import expiring.jsonl --account civil-affairs`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name the file: masar reminders import expiring.csv")
			}
			kind, err := tableType(args[0], format)
			if err != nil {
				return err
			}
			q := url.Values{"encoding": {encoding}, "by": {operator()}}
			if account = f.accountOr(account); account != "" {
				q.Set("account", account)
			}
			if badFile == "" && args[0] != "-" {
				badFile = args[0] + ".bad.csv"
			}
			file, size, err := openUpload(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer file.Close()
			i := importing{f: &f, line: newProgress(cmd.ErrOrStderr()), contentType: kind, nothing: "were so already"}
			job, err := i.run(cmd.Context(), "/v1/bulk/reminders?"+q.Encode(), file, size, wait)
			i.line.end()
			if err != nil {
				return err
			}
			return i.report(cmd, &p, job, badFile)
		},
	}
	registerTable(cmd, &encoding, &format)
	fl := cmd.Flags()
	fl.BoolVar(&wait, "wait", true, "wait until all rows are done; --wait=false leaves it to the gateway")
	fl.StringVar(&badFile, "bad", "", "the file for the bad rows (default FILE.bad.csv)")
	registerAccount(cmd, &account)
	p.register(cmd)
	f.registerAs(cmd)
	return cmd
}
