package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"masar/admin"
)

func newCampaign() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "campaign",
		Short:   "Bulk jobs: one service to a file of recipients",
		GroupID: groupGateway,
		Long: `Runs bulk jobs of the running gateway. A campaign is made, given its file of recipients,
checked (how many would be sent, why not the others, how long it takes), tested on the
agency's own numbers, released by a second person where it is large, and started. It can be
paused, resumed and stopped; a restart of the gateway in the middle of it sends nobody twice.
Its report has the end of every recipient.`,
		Example: `  masar campaign create --name "storm warning" --service WEATH --account civil-defence
  masar campaign upload 1 people.csv
  masar campaign check 1
  masar campaign test 1
  masar campaign release 1 --as sara
  masar campaign start 1 && masar campaign status 1 --follow
  masar campaign report 1 --output report.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("masar campaign has no command %q", args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newCampaignCreate(), newCampaignUpload(), newCampaignCheck(), newCampaignTest(),
		newCampaignAct("release", "Say, as a second person, that a large campaign may start",
			`A campaign of more than campaigns.release_above recipients starts only once somebody else than
who made it, and who brought its file, has released it. On a login that several use, --as
says who that is.`, " --as sara"),
		newCampaignAct("start", "Begin to send", "Begins to send, at the pace of the queue and of create --pace. masar campaign status --follow shows how far it is.", ""),
		newCampaignAct("pause", "Hold a campaign back", "Holds a campaign back: within a second of the answer nothing of it leaves. What is in the queue waits there.", ""),
		newCampaignAct("resume", "Let a paused campaign go on", "Lets a paused campaign go on where it was.", ""),
		newCampaignAct("stop", "End a campaign for good", "Ends a campaign: what waits ends DELETED, and nobody else gets anything. It cannot be started again; pause can be taken back.", ""),
		newCampaignStatus(), newCampaignList(),
		newCampaignFile("report", "Write each recipient's end as CSV", "Writes a row for each recipient: message_id, state, err, the reason of a refusal, and when. While it runs, as it is now."),
		newCampaignFile("bad", "Write the rows that could not be read as CSV", "Writes the rows of the campaign's file that could not be read, with line, column and rule. Mended, they are a file for another campaign."),
		newCampaignRemove())
	return cmd
}

// campaignID reads the number that a command is about.
func campaignID(cmd *cobra.Command, args []string) (string, error) {
	if len(args) == 0 {
		return "", usagef("name the campaign by its number: %s 1; masar campaign list shows them", cmd.CommandPath())
	}
	if n, err := strconv.ParseUint(args[0], 10, 64); err != nil || n == 0 {
		return "", usagef("%q is no campaign's number; masar campaign list shows them", args[0])
	}
	return args[0], nil
}

// onlyID is campaignID for a command that takes nothing else.
func onlyID(cmd *cobra.Command, args []string) (string, error) {
	if len(args) > 1 {
		return "", usagef("%s takes one campaign, not %q as well", cmd.CommandPath(), args[1])
	}
	return campaignID(cmd, args)
}

func campaignPath(id, rest string) string { return "/v1/campaigns/" + id + rest }

func newCampaignCreate() *cobra.Command {
	var f apiFlags
	var p printer
	var q admin.CampaignRequest
	cmd := &cobra.Command{
		Use:   "create --name NAME --service CODE",
		Short: "Make a campaign",
		Long: `Makes a campaign, without recipients yet. With --text all get the same; without it the rows
of its file carry the parameters of the service's template, or each its own text.`,
		Example: `  masar campaign create --name "storm warning" --service WEATH --account civil-defence
  masar campaign create --name opening --service AWARE --account nic --text "نستقبلكم في مقرنا الجديد" --pace 200`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.Name == "" || q.Service == "" {
				return usagef("--name NAME and --service CODE: say what it is called, and what is sent; masar notice --list shows the services")
			}
			q.Account = f.accountOr(q.Account)
			var c admin.CampaignView
			if err := f.send(cmd.Context(), http.MethodPost, "/v1/campaigns", q, &c); err != nil {
				return err
			}
			return p.print(cmd, c, func(w io.Writer) {
				fmt.Fprintf(w, "campaign\t%d, %s\nnext\tmasar campaign upload %d FILE\n", c.ID, c.Name, c.ID)
			})
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&q.Name, "name", "", "for people")
	fl.StringVar(&q.Service, "service", "", "code of the catalogue")
	fl.StringVar(&q.Text, "text", "", "the same for all, of a service without template")
	fl.Float64Var(&q.Pace, "pace", 0, "messages a second (default as the queue takes them)")
	registerAccount(cmd, &q.Account)
	p.register(cmd)
	f.registerAs(cmd)
	return cmd
}

func newCampaignUpload() *cobra.Command {
	var f apiFlags
	var p printer
	var encoding, format string
	cmd := &cobra.Command{
		Use:   "upload ID FILE",
		Short: "Give a campaign its recipients",
		Long: `Sends a file of recipients, in place of the one before. CSV has its columns in the first
line: number or person, then the template's parameters, or text; language may be there.
JSON Lines has an object with these fields in each line. "-" reads standard input.

UTF-16 is known by its byte order mark.

A file with a wrong header or in another encoding is refused and changes nothing. Rows that
cannot be read, or have too few columns or too many, are counted, and masar campaign bad has
them.`,
		Example: `  masar campaign upload 1 people.csv
  masar campaign upload 1 people.jsonl
  masar campaign upload 1 --encoding windows-1256 people.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := campaignID(cmd, args)
			if err != nil {
				return err
			}
			if len(args) != 2 {
				return usagef("name the campaign and its file: masar campaign upload %s people.csv", id)
			}
			kind, err := tableType(args[1], format)
			if err != nil {
				return err
			}
			file, size, err := openUpload(args[1], cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer file.Close()
			line := newProgress(cmd.ErrOrStderr())
			var c admin.CampaignView
			err = f.do(cmd.Context(), apiRequest{method: http.MethodPut, path: campaignPath(id, "/file?"+url.Values{"encoding": {encoding}}.Encode()),
				body: sending(line, file, size), contentType: kind, unbounded: true}, &c)
			line.end()
			if err != nil {
				return err
			}
			return p.print(cmd, c, func(w io.Writer) {
				n := &c.Counts
				fmt.Fprintf(w, "recipients\t%s of %s rows\n", whole(n.Rows-n.Bad-n.Duplicate), whole(n.Rows))
				if n.Bad > 0 {
					fmt.Fprintf(w, "bad\t%s; masar campaign bad %d tells why\n", whole(n.Bad), c.ID)
				}
				if n.Duplicate > 0 {
					fmt.Fprintf(w, "duplicate\t%s: their recipient stands in the file before\n", whole(n.Duplicate))
				}
				fmt.Fprintf(w, "next\tmasar campaign check %d\n", c.ID)
			})
		},
	}
	registerTable(cmd, &encoding, &format)
	p.register(cmd)
	f.registerAs(cmd)
	return cmd
}

// registerTable are the flags of a file with many rows.
func registerTable(cmd *cobra.Command, encoding, format *string) {
	cmd.Flags().StringVar(encoding, "encoding", "utf-8", "utf-8, also with a byte order mark, or windows-1256")
	cmd.Flags().StringVar(format, "format", "", "csv or jsonl (default by the file's name: .jsonl and .ndjson are JSON Lines)")
}

// tableType is the Content-Type of a file, by its format or by its name.
func tableType(name, format string) (string, error) {
	if format == "" {
		format = "csv"
		if ext := strings.ToLower(filepath.Ext(name)); ext == ".jsonl" || ext == ".ndjson" {
			format = "jsonl"
		}
	}
	switch format {
	case "csv":
		return "text/csv", nil
	case "jsonl":
		return "application/jsonl", nil
	}
	return "", usagef("--format %q: one of csv, jsonl", format)
}

// sending is a file on its way, with what of it has gone shown on a line.
func sending(line *progress, file io.Reader, size int64) io.Reader {
	// NopCloser: the transport would close the file; it is the caller's.
	return io.NopCloser(&countingReader{r: file, each: func(n int64) {
		if size > 0 {
			line.at(float64(n)/float64(size), "sending %s of %s", octetsOf(n), octetsOf(size))
		} else {
			line.say("sending %s", octetsOf(n))
		}
	}})
}

func newCampaignCheck() *cobra.Command {
	var f apiFlags
	var p printer
	var wait bool
	cmd := &cobra.Command{
		Use:   "check ID",
		Short: "A dry run: how many would be sent, and why not the others",
		Long: `Looks at every row as if it were sent now: consent, blocklist, template and parameters,
hours, route. Tells how many segments that is and how long it takes, with what waits before
it. Nothing is sent.`,
		Example: "  masar campaign check 1",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := onlyID(cmd, args)
			if err != nil {
				return err
			}
			var c admin.CampaignView
			if err := f.sendSlowly(cmd.Context(), http.MethodPost, campaignPath(id, "/check"), nil, &c); err != nil {
				return err
			}
			if wait {
				line := newProgress(cmd.ErrOrStderr())
				err := f.watch(cmd.Context(), id, &c, func() bool { return c.State != "checking" }, func() { line.at(c.Progress, "checked %s of %s rows", whole(c.Checked), whole(c.Counts.Rows)) })
				line.end()
				if err != nil {
					return err
				}
			}
			err = p.print(cmd, c, func(w io.Writer) {
				if c.Check == nil {
					fmt.Fprintf(w, "campaign\t%d, %s\nstate\t%s\n", c.ID, c.Name, c.State)
					return
				}
				showCheck(w, c.Check, true)
				fmt.Fprintf(w, "next\t%s\n", nextSteps(&c))
			})
			if err == nil && c.State == "failed" {
				return errors.New(c.Why)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", true, "wait until all rows are done; --wait=false leaves it to the gateway")
	p.register(cmd)
	f.registerAs(cmd)
	return cmd
}

// watch looks at a campaign again and again until over says so; each shows it.
func (f *apiFlags) watch(ctx context.Context, id string, c *admin.CampaignView, over func() bool, each func()) error {
	tick := time.NewTicker(jobPoll)
	defer tick.Stop()
	for !over() {
		each()
		select {
		case <-ctx.Done():
			return fmt.Errorf("the gateway goes on with campaign %s; masar campaign status %s shows it", id, id)
		case <-tick.C:
		}
		*c = admin.CampaignView{} // what an answer leaves out is not as it was
		if err := f.call(ctx, http.MethodGet, campaignPath(id, ""), c); err != nil {
			return err
		}
	}
	return nil
}

func newCampaignTest() *cobra.Command {
	var f apiFlags
	var p printer
	cmd := &cobra.Command{
		Use:   "test ID [NUMBER...]",
		Short: "Send it to the agency's own test numbers",
		Long: `Sends what the first row says to the agency's test numbers (test_numbers in the catalogue),
or to some of them: to nobody else.`,
		Example: "  masar campaign test 1\n  masar campaign test 1 966500000000",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := campaignID(cmd, args)
			if err != nil {
				return err
			}
			var got admin.Tests
			if err := f.sendSlowly(cmd.Context(), http.MethodPost, campaignPath(id, "/test"), admin.TestRequest{Numbers: args[1:]}, &got); err != nil {
				return err
			}
			failed := 0
			err = p.print(cmd, got, func(w io.Writer) {
				fmt.Fprintln(w, "number\tmessage_id\twhy not")
				for _, t := range got.Sent {
					fmt.Fprintf(w, "%s\t%s\t%s\n", t.Number, orDash(t.MessageID), orDash(t.Error))
				}
			})
			for _, t := range got.Sent {
				if t.Error != "" {
					failed++
				}
			}
			if err == nil && failed > 0 {
				return fmt.Errorf("%d of %d were not sent", failed, len(got.Sent))
			}
			return err
		},
	}
	p.register(cmd)
	f.registerAs(cmd)
	return cmd
}

// newCampaignAct is a command that asks one thing of a campaign and shows it then.
func newCampaignAct(name, short, long, example string) *cobra.Command {
	var f apiFlags
	var p printer
	cmd := &cobra.Command{
		Use:     name + " ID",
		Short:   short,
		Long:    long,
		Example: "  masar campaign " + name + " 1" + example,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := onlyID(cmd, args)
			if err != nil {
				return err
			}
			var c admin.CampaignView
			err = f.sendSlowly(cmd.Context(), http.MethodPost, campaignPath(id, "/"+name), nil, &c)
			if err != nil {
				return campaignHint(err, id)
			}
			return p.print(cmd, c, func(w io.Writer) {
				fmt.Fprintf(w, "campaign\t%d, %s\nstate\t%s\n", c.ID, c.Name, c.State)
				if next := nextSteps(&c); next != "" {
					fmt.Fprintf(w, "next\t%s\n", next)
				}
			})
		},
	}
	p.register(cmd)
	f.registerAs(cmd)
	return cmd
}

// campaignHint adds the command that helps.
func campaignHint(err error, id string) error {
	refused := (*apiError)(nil)
	if !errors.As(err, &refused) {
		return err
	}
	for part, cure := range map[string]string{
		"release first":      "masar campaign release " + id + " --as NAME",
		"second person has":  "where several use this login: masar campaign release " + id + " --as NAME",
		"check it first":     "masar campaign check " + id,
		"has no file yet":    "masar campaign upload " + id + " FILE",
		"no row of the file": "masar campaign check " + id + " tells why",
	} {
		if strings.Contains(err.Error(), part) {
			return fmt.Errorf("%w; %s", err, cure)
		}
	}
	return err
}

func newCampaignRemove() *cobra.Command {
	var f apiFlags
	var yes bool
	cmd := &cobra.Command{
		Use:     "remove ID --yes",
		Short:   "Forget a campaign that is over, or has not begun",
		Long:    "Forgets a campaign and its report. One that is over goes by itself after campaigns.keep.",
		Example: "  masar campaign remove 1 --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := onlyID(cmd, args)
			if err != nil {
				return err
			}
			if !yes {
				return usagef("its report goes with it: add --yes")
			}
			if err := f.do(cmd.Context(), apiRequest{method: http.MethodDelete, path: campaignPath(id, "")}, nil); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "campaign %s is forgotten\n", id)
			return nil
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, forget it")
	f.registerAs(cmd)
	return cmd
}
