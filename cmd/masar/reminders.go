package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"masar/admin"
)

func newReminders() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "reminders",
		Short:   "Reminders before a date: a document that expires",
		GroupID: groupGateway,
		Long: `Keeps reminders of the running gateway. A reminder is told so many days before a date as
its service says (lead_days), or as --lead says: what leaves is written on its day, so that
the days left, the language, the number and the wording are those of then.

The key is the agency's own, the reference of the document. Putting the same key with
another date moves the reminder, and takes back what waits to be sent for the old one.`,
		Example: `  masar reminders put ID-1012345678 --to 966501234567 --service IDREN --expires 1449-10-22 --calendar hijri --param document=1234
  masar reminders show ID-1012345678
  masar reminders due
  masar reminders remove ID-1012345678`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("masar reminders has no command %q", args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newRemindersPut(), newRemindersShow(), newRemindersRemove(), newRemindersDue(), newRemindersUnreached(), newRemindersImport(), newRemindersMove())
	return cmd
}

// registerAccount is the flag of whose reminders or campaigns these are.
func registerAccount(cmd *cobra.Command, account *string) {
	cmd.Flags().StringVar(account, "account", "", "system_id they are sent under (default "+runNoticesID+", which make run has, or the key's)")
}

// accountOr is the account that was given, or the one of make run; over HTTP a key has one
// of its own.
func (f *apiFlags) accountOr(account string) string {
	if account == "" && f.url == "" {
		return runNoticesID
	}
	return account
}

// reminderPath is where a reminder is asked for.
func (f *apiFlags) reminderPath(key, account string, q url.Values) string {
	if q == nil {
		q = url.Values{}
	}
	if account = f.accountOr(account); account != "" {
		q.Set("account", account)
	}
	return "/v1/reminders/" + url.PathEscape(key) + "?" + q.Encode()
}

// oneKey reads the key that a command is about.
func oneKey(cmd *cobra.Command, args []string) (string, error) {
	switch {
	case len(args) == 0 || args[0] == "":
		return "", usagef("name the reminder by its key: %s ID-1012345678", cmd.CommandPath())
	case len(args) == 1:
		return args[0], nil
	}
	return "", usagef("%s takes one key, not %q as well", cmd.CommandPath(), args[1])
}

func newRemindersPut() *cobra.Command {
	var f apiFlags
	var p printer
	var params []string
	q := admin.ReminderRequest{By: operator()}
	cmd := &cobra.Command{
		Use:   "put KEY --to NUMBER --service CODE --expires DATE",
		Short: "Remind somebody before a date, or change that",
		Long: `Makes a reminder, or changes the one with that key. Days whose time has come already are
passed by, but for one that is today's.`,
		Example: `  masar reminders put ID-1012345678 --to 966501234567 --service IDREN --expires 2027-02-11 --param document=1234
  masar reminders put ID-1012345678 --person 1012345678 --service IDREN --expires 1449-10-22 --calendar hijri --param document=1234 --lead 30,7`,
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := oneKey(cmd, args)
			if err != nil {
				return err
			}
			if (q.Number == "") == (q.Person == "") {
				return usagef("--to NUMBER or --person REF: give one of them")
			}
			if q.Service == "" {
				return usagef("--service is missing: the code of a service of kind expiry, as IDREN; masar notice --list shows all")
			}
			if q.Expires == "" {
				return usagef("--expires is missing: the date that is reminded of, as 2027-02-11, or 1448-09-04 with --calendar hijri")
			}
			if q.Params, err = parseParams(params); err != nil {
				return err
			}
			q.Account = f.accountOr(q.Account)
			var got admin.ReminderAnswer
			if err := f.send(cmd.Context(), http.MethodPut, "/v1/reminders/"+url.PathEscape(key), q, &got); err != nil {
				return err
			}
			return p.print(cmd, got, func(w io.Writer) {
				fmt.Fprintln(w, putSays(&got))
				showReminder(w, &got.Reminder)
			})
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&q.Number, "to", "", "the number")
	fl.StringVar(&q.Person, "person", "", "instead of the number: the person's reference; it goes to his number of the day")
	fl.StringVar(&q.Service, "service", "", "code of the catalogue")
	fl.StringVar(&q.Expires, "expires", "", "the date that is reminded of")
	fl.StringVar(&q.Calendar, "calendar", "gregorian", "of --expires: gregorian or hijri (Umm al-Qura)")
	fl.IntSliceVar(&q.Lead, "lead", nil, "days before the date, falling, as 60,30,7 (default the service's)")
	fl.StringArrayVar(&params, "param", nil, "NAME=VALUE of the template; may be given again. expiry_date and days are filled in")
	registerAccount(cmd, &q.Account)
	p.register(cmd)
	f.registerAs(cmd)
	return cmd
}

// parseParams reads NAME=VALUE of a template.
func parseParams(params []string) (map[string]string, error) {
	out := map[string]string{}
	for _, one := range params {
		name, value, ok := strings.Cut(one, "=")
		if !ok || name == "" {
			return nil, usagef("--param %q: write NAME=VALUE", one)
		}
		out[name] = value
	}
	return out, nil
}

// putSays tells what became of a PUT beside its one word.
func putSays(a *admin.ReminderAnswer) string {
	says := []string{a.Status}
	if a.Withdrawn {
		says = append(says, "what waited for the old date is taken back")
	}
	if a.Leaving {
		says = append(says, "a message for the old date is leaving or has left")
	}
	if a.Reminder.Next == nil && a.Reminder.State == "pending" {
		says = append(says, "nothing more is to come of it")
	}
	return strings.Join(says, "; ")
}

func newRemindersShow() *cobra.Command {
	var f apiFlags
	var p printer
	var account string
	cmd := &cobra.Command{
		Use:     "show KEY",
		Short:   "How a reminder stands",
		Long:    "Shows one reminder: its date, and for each of its days when it is due, or what became of it.",
		Example: "  masar reminders show ID-1012345678",
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := oneKey(cmd, args)
			if err != nil {
				return err
			}
			var v admin.ReminderView
			if err := f.call(cmd.Context(), http.MethodGet, f.reminderPath(key, account, nil), &v); err != nil {
				return noReminder(err, key, f.accountOr(account))
			}
			return p.print(cmd, v, func(w io.Writer) { showReminder(w, &v) })
		},
	}
	registerAccount(cmd, &account)
	p.register(cmd)
	f.register(cmd)
	return cmd
}

// noReminder says under which account a key is not known.
func noReminder(err error, key, account string) error {
	if refused := (*apiError)(nil); errors.As(err, &refused) && refused.Status == http.StatusNotFound && account != "" {
		return fmt.Errorf("%w: %s under %s (--account)", err, key, account)
	}
	return err
}

func newRemindersRemove() *cobra.Command {
	var f apiFlags
	var p printer
	var account string
	cmd := &cobra.Command{
		Use:     "remove KEY",
		Short:   "End a reminder",
		Long:    "Ends a reminder: what waits to be sent for it is taken back. What is leaving at that moment, or has left, cannot be.",
		Example: "  masar reminders remove ID-1012345678",
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := oneKey(cmd, args)
			if err != nil {
				return err
			}
			var got admin.ReminderGone
			r := apiRequest{method: http.MethodDelete, path: f.reminderPath(key, account, url.Values{"by": {operator()}})}
			if err := f.do(cmd.Context(), r, &got); err != nil {
				return noReminder(err, key, f.accountOr(account))
			}
			return p.print(cmd, got, func(w io.Writer) {
				says := "nothing of it was on its way"
				switch {
				case got.Leaving:
					says = "a message of it is leaving or has left: it could not be taken back"
				case got.Withdrawn:
					says = "the message that waited is taken back"
				}
				fmt.Fprintf(w, "removed\t%s; %s\n", key, says)
			})
		},
	}
	registerAccount(cmd, &account)
	p.register(cmd)
	f.registerAs(cmd)
	return cmd
}

func showReminder(w io.Writer, v *admin.ReminderView) {
	expires := v.Expires
	if v.Calendar == "hijri" {
		expires += " (hijri), " + v.Gregorian
	}
	fmt.Fprintf(w, "key\t%s\nfor\t%s\nservice\t%s, under %s\nexpires\t%s\n", v.Key, recipient(v.PersonID, v.Number), v.Service, v.Account, expires)
	state := v.State
	if v.Next != nil {
		state += ", the next one leaves " + moment(*v.Next)
	}
	fmt.Fprintf(w, "state\t%s\nby\t%s, changed %s\n", state, bySomebody(v.Channel, v.By), moment(v.Changed))
	if len(v.Steps) == 0 {
		return
	}
	fmt.Fprintln(w, "\ndays before\tdue\tstate\ttries\tmessage_id\twhy")
	for _, s := range v.Steps {
		state := s.State
		if s.At != nil {
			state += " " + moment(*s.At)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\n", s.Lead, moment(s.Due), state, s.Tries, orDash(s.MessageID), orDash(s.Error))
	}
}

// recipient is whom something is for: a number, or the id of a person.
func recipient(person, number string) string {
	if person != "" {
		return "person " + person
	}
	return number
}

func bySomebody(channel, by string) string {
	if by == "" {
		return channel
	}
	return channel + " (" + by + ")"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func newRemindersMove() *cobra.Command {
	var f apiFlags
	var p printer
	q := admin.MoveRequest{By: operator()}
	cmd := &cobra.Command{
		Use:   "move --service CODE --days N",
		Short: "Move the dates of all reminders of a service",
		Long: `Moves every date of a service by so many days, as when a decree extends what they are about:
what waits to be sent for an old date is taken back. Below 0 they come earlier. One whose new
date would be past stays as it is, and is counted; --dry-run counts and moves none.`,
		Example: "  masar reminders move --service IDREN --days 90 --dry-run",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.Service == "" || q.Days == 0 {
				return usagef("--service CODE and --days N: say what is moved, and how far")
			}
			q.Account = f.accountOr(q.Account)
			began := time.Now()
			var got admin.Moved
			if err := f.sendSlowly(cmd.Context(), http.MethodPost, "/v1/reminders-move", q, &got); err != nil {
				return err
			}
			return p.print(cmd, got, func(w io.Writer) {
				did, past := "moved", "; %s would be past and stay as they were"
				if q.DryRun {
					did, past = "would move", "; %s would be past and would stay as they are"
				}
				fmt.Fprintf(w, "%s\t%s reminders of %s by %d days", did, whole(got.Moved), q.Service, q.Days)
				if !q.DryRun {
					fmt.Fprintf(w, ", in %s", lasting(time.Since(began)))
				}
				if got.Past > 0 {
					fmt.Fprintf(w, past, whole(got.Past))
				}
				fmt.Fprintln(w)
			})
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&q.Service, "service", "", "code of the catalogue")
	fl.IntVar(&q.Days, "days", 0, "how many days later; below 0: earlier")
	fl.BoolVar(&q.DryRun, "dry-run", false, "count what would be moved, and move nothing")
	registerAccount(cmd, &q.Account)
	p.register(cmd)
	f.registerAs(cmd)
	return cmd
}
