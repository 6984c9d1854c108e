package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"
)

// smppPasswordMax is the room of the bind's password field without its NUL (SMPP v3.4
// section 4.1). Most peers, ours included, take more; some clients cannot send more.
const smppPasswordMax = 8

func newPasswd() *cobra.Command {
	var cost int
	cmd := &cobra.Command{
		Use:   "passwd",
		Short: "Hash an account's password for the configuration",
		Long: `Reads a password from standard input and prints its bcrypt hash, to be put into
an account's password_hash. On a terminal it asks twice and shows nothing.`,
		Example: `  masar passwd
  printf %s 's3cret' | masar passwd`,
		GroupID: groupTools,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cost < bcrypt.MinCost || cost > bcrypt.MaxCost {
				return usagef("--cost %d: bcrypt knows %d to %d", cost, bcrypt.MinCost, bcrypt.MaxCost)
			}
			password, err := readPassword(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			hash, err := bcrypt.GenerateFromPassword(password, cost)
			if errors.Is(err, bcrypt.ErrPasswordTooLong) {
				return fmt.Errorf("the password has %d octets, bcrypt takes at most 72", len(password))
			}
			if err != nil {
				return err
			}
			if len(password) > smppPasswordMax {
				fmt.Fprintf(cmd.ErrOrStderr(), "masar: note: %d octets; SMPP v3.4 has room for %d, and some clients cannot send more\n",
					len(password), smppPasswordMax)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", hash)
			return err
		},
	}
	cmd.Flags().IntVar(&cost, "cost", bcrypt.DefaultCost, "bcrypt cost; each step doubles the time of a bind (10: some 50 ms)")
	return cmd
}

// readPassword asks twice on a terminal; otherwise it takes all of in, less one line end.
func readPassword(in io.Reader, ask io.Writer) ([]byte, error) {
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		first, err := askHidden(f, ask, "Password: ")
		if err != nil {
			return nil, err
		}
		again, err := askHidden(f, ask, "Again: ")
		if err != nil {
			return nil, err
		}
		if string(first) != string(again) {
			return nil, errors.New("the two passwords differ; nothing was hashed")
		}
		return checkPassword(first)
	}
	// More than bcrypt takes is refused later; this only bounds a wrong pipe.
	all, err := io.ReadAll(io.LimitReader(bufio.NewReader(in), 4096))
	if err != nil {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	s := strings.TrimSuffix(string(all), "\n")
	return checkPassword([]byte(strings.TrimSuffix(s, "\r")))
}

func askHidden(f *os.File, ask io.Writer, prompt string) ([]byte, error) {
	fmt.Fprint(ask, prompt)
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(ask)
	return b, err
}

func checkPassword(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errors.New("the password is empty; type one, or pipe it in: printf %s 's3cret' | masar passwd")
	}
	for _, c := range b {
		if c == 0 || c == '\n' || c == '\r' {
			return nil, errors.New("the password has a line end or NUL inside; SMPP cannot carry it")
		}
	}
	return b, nil
}

// clientPassword is the password a client command binds with: --password, else the
// first line of --password-file, else MASAR_PASSWORD, else what fits `make run`.
func clientPassword(flag, file, fallback string) (string, error) {
	switch {
	case flag != "" && file != "":
		return "", usagef("--password and --password-file: give one of them")
	case flag != "":
		return flag, nil
	case file != "":
		b, err := os.ReadFile(file)
		if err != nil {
			return "", usagef("--password-file: %w", err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			return "", usagef("--password-file %s: its first line is empty", file)
		}
		return line, nil
	}
	if env := os.Getenv("MASAR_PASSWORD"); env != "" {
		return env, nil
	}
	return fallback, nil
}
