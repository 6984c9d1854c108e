package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"masar/admin"
)

// pageRows is how many rows of a list are asked for at a time.
const pageRows = 1000

// pages reads a list page by page until it has max rows or its end; more says that there
// are others.
func pages[T any](ctx context.Context, f *apiFlags, path string, q url.Values, most int, rows func(body *pageBody) []T) (all []T, more bool, err error) {
	for after := ""; ; {
		q.Set("max", strconv.Itoa(min(most-len(all), pageRows)))
		if after != "" {
			q.Set("after", after)
		}
		var page pageBody
		if err := f.call(ctx, http.MethodGet, path+"?"+q.Encode(), &page); err != nil {
			return nil, false, err
		}
		all = append(all, rows(&page)...)
		if page.Next == "" || len(all) >= most {
			return all, page.Next != "", nil
		}
		after = page.Next
	}
}

// pageBody is any page of the API's lists.
type pageBody struct {
	Due       []admin.DueRow       `json:"due"`
	Unreached []admin.UnreachedRow `json:"unreached"`
	Next      string               `json:"next"`
}

func newRemindersDue() *cobra.Command {
	var f apiFlags
	var p printer
	var account, service, from, to string
	var most int
	cmd := &cobra.Command{
		Use:   "due [--service CODE] [--from DAY] [--to DAY]",
		Short: "What is due when, the next first",
		Long:  "Lists the messages that are to come, by when they are due. --to is included.",
		Example: `  masar reminders due
  masar reminders due --service IDREN --from 2027-01-01 --to 2027-01-31 --max 10000 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for name, value := range map[string]string{"account": f.accountOr(account), "service": service, "from": from, "to": to} {
				if value != "" {
					q.Set(name, value)
				}
			}
			if most < 1 {
				return usagef("--max %d: 1 or more", most)
			}
			rows, more, err := pages(cmd.Context(), &f, "/v1/reminders", q, most, func(b *pageBody) []admin.DueRow { return b.Due })
			if err != nil {
				return err
			}
			if rows == nil {
				rows = []admin.DueRow{}
			}
			return p.print(cmd, rows, func(w io.Writer) {
				if len(rows) == 0 {
					fmt.Fprintln(w, "nothing is due; masar reminders put makes a reminder")
					return
				}
				fmt.Fprintln(w, "due\tkey\tfor\tservice\texpires\tdays before\ttries")
				for _, d := range rows {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\n", moment(d.Due), d.Key, recipient(d.PersonID, d.Number), d.Service, d.Expires, d.Lead, d.Tries)
				}
				andMore(w, more, most)
			})
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&service, "service", "", "only of this one")
	fl.StringVar(&from, "from", "", "first day, as 2027-01-01, or moment")
	fl.StringVar(&to, "to", "", "last day, or moment")
	fl.IntVar(&most, "max", 100, "most rows")
	registerAccount(cmd, &account)
	p.register(cmd)
	f.register(cmd)
	return cmd
}

// andMore says that a list was cut.
func andMore(w io.Writer, more bool, most int) {
	if more {
		fmt.Fprintf(w, "... and more: --max shows more than %d\n", most)
	}
}

func newRemindersUnreached() *cobra.Command {
	var f apiFlags
	var p printer
	var account, service, day, output string
	var most int
	cmd := &cobra.Command{
		Use:   "unreached [--day DAY]",
		Short: "Who was not reached on a day, and why",
		Long: `Lists the people whom no try of a reminder has reached: those whose last try ended on that
day, with its reason. With --csv the whole day is written as CSV, for the agency.`,
		Example: `  masar reminders unreached
  masar reminders unreached --day 2027-01-31 --csv unreached.csv`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{"day": {day}}
			if day == "" {
				q.Set("day", time.Now().In(here).Format(time.DateOnly))
			}
			if account = f.accountOr(account); account != "" {
				q.Set("account", account)
			}
			if service != "" {
				q.Set("service", service)
			}
			if output != "" {
				q.Set("format", "csv")
				return saveTo(cmd.Context(), &f, "/v1/reminders-unreached?"+q.Encode(), output, cmd.OutOrStdout())
			}
			if most < 1 {
				return usagef("--max %d: 1 or more", most)
			}
			rows, more, err := pages(cmd.Context(), &f, "/v1/reminders-unreached", q, most, func(b *pageBody) []admin.UnreachedRow { return b.Unreached })
			if err != nil {
				return err
			}
			if rows == nil {
				rows = []admin.UnreachedRow{}
			}
			return p.print(cmd, rows, func(w io.Writer) {
				if len(rows) == 0 {
					fmt.Fprintf(w, "nobody on %s\n", q.Get("day"))
					return
				}
				fmt.Fprintln(w, "at\tkey\tfor\tservice\texpires\tdays before\ttries\twhy")
				for _, u := range rows {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", moment(u.At), u.Key, recipient(u.PersonID, u.Number), u.Service, u.Expires, u.Lead, u.Tries, u.Reason)
				}
				andMore(w, more, most)
			})
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&day, "day", "", "by the clock of the service's agency (default today)")
	fl.StringVar(&service, "service", "", "only of this one")
	fl.StringVar(&output, "csv", "", "write the whole day to this file; - is standard output")
	fl.IntVar(&most, "max", 100, "most rows, without --csv")
	registerAccount(cmd, &account)
	p.register(cmd)
	f.register(cmd)
	return cmd
}
