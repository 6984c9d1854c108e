package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"masar/config"
)

// Exit codes, the same for every command.
const (
	exitDone   = 0
	exitFailed = 1 // the work was tried and did not come out well
	exitUsage  = 2 // wrong usage or configuration: nothing was tried
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with its surroundings as parameters: the tests call it.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)

	// Whatever cobra refuses before a command's own code runs (an unknown command or
	// flag, too many arguments) is wrong usage.
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }

	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	var quiet quietError
	var mistakes config.Errors
	switch {
	case errors.As(err, &quiet):
	case errors.As(err, &mistakes): // each line begins with its place, for editors
		fmt.Fprintf(errs, "%v\nmasar: %s\n", err, count(len(mistakes), "mistake"))
	case strings.Contains(err.Error(), "\n"):
		fmt.Fprintln(errs, err)
	default:
		fmt.Fprintf(errs, "masar: %v\n", err)
	}
	var usage *usageError
	if !started || errors.As(err, &usage) {
		if !started || !usage.config {
			fmt.Fprintf(errs, "see: %s --help\n", cmd.CommandPath())
		}
		return exitUsage
	}
	return exitFailed
}

// usageError ends the process with exitUsage.
type usageError struct {
	err    error
	config bool // a mistake in a file: --help is no help
}

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return u.err }

// usagef is an error of wrong flags or arguments.
func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// configError is an error of the configuration: exit code 2, without the hint at --help.
func configError(err error) error { return &usageError{err: err, config: true} }

// noArgs is for a command that takes flags alone.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no %q, only flags", cmd.CommandPath(), args[0])
	}
	return nil
}

// newHelp is cobra's help command, but for a topic that is none: wrong usage like any other.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Say more about one command",
		GroupID: groupTools,
		Example: "  masar help send",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("no command is called %q", strings.Join(args, " "))
			}
			return about.Help()
		},
	}
}

// hostPort refuses what is no host:port; flag is how it was given.
func hostPort(flag, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return usagef("--%s %q: write host:port", flag, addr)
	}
	return nil
}

// quietError ends the process with exitFailed after the command has itself said why.
type quietError struct{ error }

const (
	groupGateway = "gateway"
	groupPeers   = "peers"
	groupTools   = "tools"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "masar",
		Short: "An SMPP gateway, and the peers to try it with",
		Long: `masar takes short messages from SMPP clients, keeps them on disk, and carries
them to SMPP carriers; delivery receipts travel the other way. What it is told to send by
itself, reminders before a date and campaigns to many, it keeps until it is time.`,
		Example: `  make run                                        # gateway and three simulated carriers
  masar send --to 966501234567 --text "مرحبا"     # second terminal: one message, its receipt
  masar segment "مرحبا"                           # how a text is encoded and cut
  masar queue                                     # what waits, and how long it takes
  masar stop --all --dry-run                      # what a stop of everything would hold`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("masar {{.Version}}\n")
	root.SetUsageTemplate(usageTemplate)
	root.AddGroup(
		&cobra.Group{ID: groupGateway, Title: "The gateway:"},
		&cobra.Group{ID: groupPeers, Title: "Clients and carriers to try it with:"},
		&cobra.Group{ID: groupTools, Title: "Tools:"},
	)
	root.AddCommand(
		newServe(),
		newCheck(),
		newReload(),
		newQueue(),
		newSubs(),
		newNotice(),
		newReminders(),
		newCampaign(),
		newStop(),
		newPasswd(),
		newKey(),
		newSegment(),
		newSend(),
		newSim(),
		newLoad(),
		newMO(),
		newDemo(),
		newBench(),
		newVersion(),
	)
	root.SetHelpCommand(newHelp())
	root.SetCompletionCommandGroupID(groupTools)
	return root
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		GroupID: groupTools,
		Args:    noArgs,
		Example: "  masar version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "masar", version())
			return err
		},
	}
}

// version is the module's version, or the commit a working tree was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			commit = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	if commit == "" {
		return "devel"
	}
	return "devel " + commit + dirty
}

// usageTemplate is cobra's own with the example first: who has it seldom reads on.
const usageTemplate = `{{if .HasExample}}Examples:
{{.Example}}

{{end}}Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{range $group := .Groups}}{{$any := false}}{{range $cmds}}{{if (and (eq .GroupID $group.ID) .IsAvailableCommand)}}{{$any = true}}{{end}}{{end}}{{if $any}}

{{.Title}}{{range $cmds}}{{if (and (eq .GroupID $group.ID) .IsAvailableCommand)}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{range $cmds}}{{if (and (eq .GroupID "") .IsAvailableCommand)}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Global Flags:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableSubCommands}}

{{.CommandPath}} [command] --help says more about one command.{{end}}

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
`
