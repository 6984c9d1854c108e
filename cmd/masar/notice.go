package main

import (
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"masar/admin"
)

func newNotice() *cobra.Command {
	var f apiFlags
	var p printer
	var q admin.NoticeRequest
	var params []string
	var at string
	var list bool
	cmd := &cobra.Command{
		Use:   "notice SERVICE --to NUMBER --param NAME=VALUE",
		Short: "Send somebody a notice of a service, from its template",
		Long: `Fills a service's template in the person's language and sends it, as POST /v1/notices does:
only where he is enrolled, and at an hour at which it may. --dry-run shows the text and its
parts and sends nothing. --list shows the services and the parameters of their templates.`,
		Example: `  masar notice --list
  masar notice IDREN --to 966501234567 --param document=1234 --param expiry_date=1449/10/22 --param days=60 --dry-run
  masar notice IDREN --person 1012345678 --param document=1234 --param expiry_date=1449/10/22 --param days=60`,
		GroupID: groupGateway,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return listServices(cmd, &f, &p)
			}
			if len(args) == 0 {
				return usagef("name the service: masar notice IDREN --to 966501234567; masar notice --list shows them")
			}
			q.Service = args[0]
			if (q.To.Number == "") == (q.To.Person == "") {
				return usagef("--to NUMBER or --person REF: give one of them")
			}
			var err error
			if q.Params, err = parseParams(params); err != nil {
				return err
			}
			t, err := parseMoment("at", at)
			if err != nil {
				return err
			}
			q.Schedule = optional(t)
			q.Account = f.accountOr(q.Account)
			var got admin.NoticeAnswer
			if err := f.send(cmd.Context(), http.MethodPost, "/v1/notices", q, &got); err != nil {
				return err
			}
			return p.print(cmd, got, func(w io.Writer) { showNotice(w, &got) })
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&q.To.Number, "to", "", "the number")
	fl.StringVar(&q.To.Person, "person", "", "instead of the number: the person's reference")
	fl.StringArrayVar(&params, "param", nil, "NAME=VALUE of the template; may be given again")
	fl.StringVar(&q.Text, "text", "", "the text, of a service without template")
	fl.StringVar(&q.Language, "language", "", "instead of the person's")
	fl.StringVar(&q.Account, "account", "", "system_id it is sent under (default "+runNoticesID+", which make run has, or the key's)")
	fl.StringVar(&at, "at", "", "not before this time")
	fl.BoolVar(&q.DryRun, "dry-run", false, "show the text and its parts, send nothing")
	fl.BoolVar(&list, "list", false, "show the services")
	p.register(cmd)
	f.register(cmd)
	return cmd
}

func showNotice(w io.Writer, n *admin.NoticeAnswer) {
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("message_id", n.MessageID)
	row("template", n.Template)
	t := n.Trial
	if t == nil {
		return
	}
	row("number", t.Number)
	row("route", t.Route)
	if t.HoldUntil != nil {
		row("leaves", moment(*t.HoldUntil)+", when its hours begin")
	}
	row("encoding", fmt.Sprintf("%s, %d units, %s", t.Encoding, t.Units, count(len(t.Parts), "part")))
	for i, part := range t.Parts {
		row(fmt.Sprintf("part %d", i+1), fmt.Sprintf("%d units: %s", part.Units, quoteText(part.Text)))
	}
	fmt.Fprintln(w, "\nnothing was sent; without --dry-run it is")
}

// listServices shows the catalogue: what may be sent, and what its template needs.
func listServices(cmd *cobra.Command, f *apiFlags, p *printer) error {
	var found struct {
		Languages []string           `json:"languages"`
		Services  []admin.ServiceRow `json:"services"`
	}
	if err := f.call(cmd.Context(), http.MethodGet, "/v1/services", &found); err != nil {
		return err
	}
	return p.print(cmd, found, func(w io.Writer) {
		fmt.Fprintln(w, "code\tagency\tsender\tclass\tmode\tparameters")
		for _, s := range found.Services {
			var params []string
			for _, one := range s.Params {
				params = append(params, one.Name)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Code, s.Agency, s.Sender, s.Class, s.Mode, codes(params))
		}
	})
}
