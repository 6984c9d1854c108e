package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"masar/admin"
)

func jobOver(j *admin.BulkJob) bool { return j.State == admin.JobDone || j.State == admin.JobFailed }

func newSubsImport() *cobra.Command {
	var f apiFlags
	var p printer
	var encoding, at, badFile string
	var blocklist, verified, wait bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Enrol everybody in a CSV file",
		Long: `Sends a CSV file to the gateway, which takes its rows one by one: good ones are kept, each
bad one is reported with its line and the rule it breaks. The first line names the columns:
person or number, services (codes between blanks), and as there are language, consent_at,
verified, by, action (enrol or withdraw). With --blocklist they are number, scope, reason,
expires. "-" reads standard input.

Bad rows are no failure: the exit code is 0 where all rows were read. Nothing of a file in
another encoding, or with an unknown header, is taken.

Nothing is lost when the gateway or this command is killed: the gateway goes on where it
was, and the same file sent again is not counted twice.`,
		Example: `  masar subs import people.csv
  masar subs import --encoding windows-1256 --verified people.csv
  masar subs import --blocklist blocked.csv`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name the file: masar subs import people.csv")
			}
			q := url.Values{}
			if encoding != "utf-8" && encoding != "windows-1256" {
				return usagef("--encoding %q: one of utf-8, windows-1256", encoding)
			}
			q.Set("encoding", encoding)
			path := "/v1/bulk/enrolments"
			if blocklist {
				if at != "" || verified {
					return usagef("--at and --verified are of people, not of a blocklist")
				}
				path = "/v1/bulk/blocklist"
			}
			if verified {
				q.Set("verified", "true")
			}
			if t, err := parseMoment("at", at); err != nil {
				return err
			} else if !t.IsZero() {
				q.Set("at", t.Format(time.RFC3339))
			}
			if badFile == "" && args[0] != "-" {
				badFile = args[0] + ".bad.csv"
			}
			file, size, err := openUpload(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer file.Close()
			i := importing{f: &f, line: newProgress(cmd.ErrOrStderr()), contentType: "text/csv", nothing: "were so already or stay withdrawn"}
			job, err := i.run(cmd.Context(), path+"?"+q.Encode(), file, size, wait)
			i.line.end()
			if err != nil {
				return err
			}
			return i.report(cmd, &p, job, badFile)
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&encoding, "encoding", "utf-8", "utf-8 (with or without a byte order mark) or windows-1256")
	fl.BoolVar(&verified, "verified", false, "the numbers are known to be theirs, where a row does not say")
	fl.StringVar(&at, "at", "", "when consent was given, where a row does not say (default: undated, which counts as older than any withdrawal)")
	fl.BoolVar(&blocklist, "blocklist", false, "the file is of numbers to be blocked")
	fl.BoolVar(&wait, "wait", true, "wait until all rows are done; --wait=false leaves it to the gateway")
	fl.StringVar(&badFile, "bad", "", "the file for the bad rows (default FILE.bad.csv)")
	p.register(cmd)
	f.register(cmd)
	return cmd
}

// openUpload opens the file that is to be sent; size is 0 where it cannot be known.
func openUpload(name string, in io.Reader) (file io.ReadCloser, size int64, err error) {
	if name == "-" {
		return io.NopCloser(in), 0, nil
	}
	opened, err := os.Open(name)
	if err != nil {
		return nil, 0, usagef("%w", err)
	}
	if info, err := opened.Stat(); err == nil && info.IsDir() {
		opened.Close()
		return nil, 0, usagef("%s is a folder", name)
	} else if err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return opened, size, nil
}

// importing is one file on its way into the registry, or among the reminders.
type importing struct {
	f           *apiFlags
	line        *progress
	contentType string
	nothing     string // what good rows are that changed nothing
}

const jobPoll = 200 * time.Millisecond

// run sends the file and waits for its job.
func (i *importing) run(ctx context.Context, path string, file io.Reader, size int64, wait bool) (admin.BulkJob, error) {
	var job admin.BulkJob
	err := i.f.do(ctx, apiRequest{method: http.MethodPost, path: path, body: sending(i.line, file, size), contentType: i.contentType, unbounded: true}, &job)
	if err != nil {
		return job, err
	}
	tick := time.NewTicker(jobPoll)
	defer tick.Stop()
	for wait && !jobOver(&job) {
		select {
		case <-ctx.Done():
			return job, fmt.Errorf("the gateway goes on with job %s; masar subs jobs shows it", job.ID)
		case <-tick.C:
		}
		var now admin.BulkJob // what an answer leaves out is not as it was
		if err := i.f.call(ctx, http.MethodGet, "/v1/bulk/"+job.ID, &now); err != nil {
			return job, err
		}
		job = now
		i.line.at(job.Progress, "%s", jobProgress(&job))
	}
	return job, nil
}

// jobProgress is a job in one line.
func jobProgress(j *admin.BulkJob) string {
	s := whole(j.Rows) + " rows"
	if j.Rate > 0 {
		s += fmt.Sprintf(", %s/s", whole(int64(j.Rate)))
	}
	if j.Left != nil {
		s += ", " + lasting(time.Duration(*j.Left*float64(time.Second))) + " left"
	}
	return s + ", bad " + whole(j.Bad)
}

// report says what became of the file. Bad rows are no failure of the command: the good
// ones are kept, and a script reads the counts.
func (i *importing) report(cmd *cobra.Command, p *printer, job admin.BulkJob, badFile string) error {
	if job.Bad == 0 || !jobOver(&job) {
		badFile = ""
	}
	if badFile != "" {
		if err := saveTo(cmd.Context(), i.f, "/v1/bulk/"+job.ID+"/bad", badFile, nil); err != nil {
			return err
		}
	}
	told := struct {
		admin.BulkJob
		BadFile string `json:"bad_file,omitempty"`
	}{job, badFile}
	err := p.print(cmd, told, func(w io.Writer) {
		fmt.Fprintf(w, "job\t%s, %s\n", job.ID, job.State)
		if !jobOver(&job) {
			fmt.Fprintf(w, "\tmasar subs jobs %s shows how far it is\n", job.ID)
			return
		}
		fmt.Fprintf(w, "rows\t%s, %s/s\n", whole(job.Rows), whole(int64(job.Rate)))
		fmt.Fprintf(w, "good\t%s: %s changed something, %s %s\n", whole(job.Good), whole(job.Changed), whole(job.Nothing), i.nothing)
		fmt.Fprintf(w, "bad\t%s\n", whole(job.Bad))
		switch {
		case job.Bad == 0:
		case badFile != "":
			fmt.Fprintf(w, "\twith line and reason: %s\n", badFile)
		default:
			fmt.Fprintf(w, "\twith line and reason: masar subs jobs %s --bad FILE\n", job.ID)
		}
	})
	if err == nil && job.State == admin.JobFailed {
		return errors.New(job.Error)
	}
	return err
}

// saveTo writes what a path answers to a file, "-" is standard output. A file that is there
// is replaced once all of it has come.
func saveTo(ctx context.Context, f *apiFlags, path, name string, out io.Writer) (err error) {
	resp, err := f.open(ctx, apiRequest{method: http.MethodGet, path: path, unbounded: true})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if name == "-" {
		_, err = io.Copy(out, resp.Body)
		return err
	}
	// It has people's numbers: for its owner alone.
	file, err := os.OpenFile(name+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, resp.Body)
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(name+".part"))
	}
	return os.Rename(name+".part", name)
}

func newSubsJobs() *cobra.Command {
	var f apiFlags
	var p printer
	var badFile string
	cmd := &cobra.Command{
		Use:   "jobs [ID]",
		Short: "Files that were imported, and how far they are",
		Long:  "Lists the files that the gateway was sent, the latest first; with an ID that one, and with --bad its bad rows.",
		Example: `  masar subs jobs
  masar subs jobs 0f3c9a7e5b2d4c6180a1b2c3d4e5f607 --bad bad.csv`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if badFile != "" {
					return saveTo(cmd.Context(), &f, "/v1/bulk/"+url.PathEscape(args[0])+"/bad", badFile, cmd.OutOrStdout())
				}
				var job admin.BulkJob
				if err := f.call(cmd.Context(), http.MethodGet, "/v1/bulk/"+url.PathEscape(args[0]), &job); err != nil {
					return err
				}
				return p.print(cmd, job, func(w io.Writer) { printJobs(w, []admin.BulkJob{job}) })
			}
			if badFile != "" {
				return usagef("--bad needs the ID of a job: masar subs jobs ID --bad FILE")
			}
			var found struct {
				Jobs []admin.BulkJob `json:"jobs"`
			}
			if err := f.call(cmd.Context(), http.MethodGet, "/v1/bulk", &found); err != nil {
				return err
			}
			return p.print(cmd, found.Jobs, func(w io.Writer) { printJobs(w, found.Jobs) })
		},
	}
	cmd.Flags().StringVar(&badFile, "bad", "", "write the bad rows of job ID to this file; - is standard output")
	p.register(cmd)
	f.register(cmd)
	return cmd
}

func printJobs(w io.Writer, jobs []admin.BulkJob) {
	if len(jobs) == 0 {
		fmt.Fprintln(w, "no files; masar subs import FILE sends one")
		return
	}
	fmt.Fprintln(w, "job\twhat\tstate\trows\tgood\tbad\tsent")
	for _, j := range jobs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", j.ID, j.Kind, j.State, whole(j.Rows), whole(j.Good), whole(j.Bad), moment(j.Created))
		if !jobOver(&j) {
			fmt.Fprintf(w, "\t%.0f%%, %s\n", j.Progress*100, jobProgress(&j))
		}
		if j.Error != "" {
			fmt.Fprintf(w, "\t%s\n", j.Error)
		}
	}
}

func newSubsExport() *cobra.Command {
	var f apiFlags
	var name string
	cmd := &cobra.Command{
		Use:   "export [--output FILE]",
		Short: "Write all subscribers as CSV",
		Long: `Writes every subscriber as CSV, a line for each service that he enrolled in or left. The
person is the hash that the registry keeps: his reference is stored nowhere, so import does
not take this file. What can be restored is a copy of the registry's folder with its key.`,
		Example: `  masar subs export --output people.csv
  masar subs export | wc -l`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return saveTo(cmd.Context(), &f, "/v1/export/subscribers", name, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&name, "output", "o", "-", "the file; - is standard output")
	f.register(cmd)
	return cmd
}

// countingReader tells how much was read, now and then.
type countingReader struct {
	r    io.Reader
	n    int64
	each func(n int64)
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if n > 0 {
		c.each(c.n)
	}
	return n, err
}

// octetsOf writes a size.
func octetsOf(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d octets", n)
}
