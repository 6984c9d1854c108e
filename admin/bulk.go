package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// JobKind is what a file's rows do.
type JobKind string

// The kinds of bulk jobs.
const (
	BulkEnrolments JobKind = "enrolments"
	BulkBlocklist  JobKind = "blocklist"
	BulkReminders  JobKind = "reminders"
)

// JobState is how far a job is.
type JobState string

// The states of a bulk job.
const (
	JobQueued  JobState = "queued"
	JobRunning JobState = "running"
	JobDone    JobState = "done"
	JobFailed  JobState = "failed"
)

var jobStates = []JobState{JobQueued, JobRunning, JobDone, JobFailed}

// BulkJob is one uploaded file and what has become of its rows.
type BulkJob struct {
	ID       string     `json:"id"`
	Kind     JobKind    `json:"kind" enum:"enrolments,blocklist,reminders"`
	State    JobState   `json:"state" enum:"queued,running,done,failed"`
	Error    string     `json:"error,omitempty" doc:"why it failed: line, rule and cure. What stands before that line is applied; a failed header applies nothing"`
	Channel  string     `json:"channel"`
	Account  string     `json:"account,omitempty" doc:"reminders: system_id they are sent under"`
	Octets   int64      `json:"octets" doc:"of the file"`
	Rows     int64      `json:"rows" doc:"done so far"`
	Good     int64      `json:"good"`
	Bad      int64      `json:"bad" doc:"GET /v1/bulk/{id}/bad tells each with line and reason"`
	Changed  int64      `json:"changed" doc:"good rows that changed something"`
	Nothing  int64      `json:"nothing" doc:"good rows that changed nothing"`
	Rate     float64    `json:"rows_per_s" doc:"while it runs: now; afterwards: on the whole"`
	Left     *float64   `json:"eta_s,omitempty" doc:"seconds until it is done, while it runs"`
	Progress float64    `json:"progress" minimum:"0" maximum:"1" doc:"share of the file that is done"`
	Created  time.Time  `json:"created"`
	Started  *time.Time `json:"started,omitempty"`
	Finished *time.Time `json:"finished,omitempty"`
}

// jobFile is what the bulk folder keeps of a job beside its file. Rows are counted in the
// registry's Bookmark, in one write with what they did, and here only once it is over.
type jobFile struct {
	BulkJob
	Name      string     `json:"name"`               // of the key
	Services  []string   `json:"services,omitempty"` // the key's
	Own       bool       `json:"own,omitempty"`      // the key sees its own channel alone
	Sum       []byte     `json:"sum"`                // SHA-256 of the file
	Params    bulkQuery  `json:"params"`
	bulkCount `json:"-"` // while it runs
	part      string     // the file, before it is a job
}

// bulkCount is what a run has done.
type bulkCount struct {
	offset int64     // octets of the file that are done
	began  time.Time // this run
	from   int64     // offset when it began
	rows   int64     // Rows when it began
	at     time.Time // of the latest progress
}

// bulk owns the folder of jobs and runs them one after the other: two at a time would
// only fight for the same disk.
type bulk struct {
	a   *api
	dir string
	log *slog.Logger

	mu   sync.Mutex
	jobs map[string]*jobFile
	up   int           // uploads under way
	wake chan struct{} // holds one token while there may be something to run

	cancel context.CancelFunc
	done   sync.WaitGroup
}

const (
	uploadsMost = 4    // at a time
	jobsMost    = 1000 // that wait or run
)

// openBulk reads the folder: what was queued or running when the process ended goes on,
// what was never wholly uploaded goes away.
func openBulk(a *api) (*bulk, error) {
	b := &bulk{a: a, dir: a.opt.Bulk.Dir, log: a.opt.Log, jobs: map[string]*jobFile{}, wake: make(chan struct{}, 1)}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, fmt.Errorf("api.bulk.dir: %w", err)
	}
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, fmt.Errorf("api.bulk.dir: %w", err)
	}
	damaged := map[string]bool{}
	for _, e := range entries {
		id, isJob := strings.CutSuffix(e.Name(), ".json")
		if !isJob {
			continue
		}
		text, err := os.ReadFile(filepath.Join(b.dir, e.Name()))
		j := new(jobFile)
		if err == nil {
			err = json.Unmarshal(text, j)
		}
		if err != nil || j.ID != id {
			b.log.Error("a bulk job cannot be read and is left where it is", slog.String("job", id), slog.Any("err", err))
			damaged[id] = true
			continue
		}
		if j.State == JobRunning {
			j.State = JobQueued
		}
		b.jobs[id] = j
	}
	for _, e := range entries {
		id, ext, _ := strings.Cut(e.Name(), ".")
		j := b.jobs[id]
		left := strings.HasSuffix(e.Name(), partSuffix) || (ext == "csv" || ext == "jsonl") && (j == nil || j.over())
		if left && isJobID(id) && !damaged[id] {
			os.Remove(filepath.Join(b.dir, e.Name()))
		}
	}
	b.count()
	return b, nil
}

const partSuffix = ".part"

// isJobID keeps what is not ours in the folder from being touched, and paths out of ids.
func isJobID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// ext is how the name of its file ends.
func (j *jobFile) ext() string {
	if j.Params.JSONLines {
		return ".jsonl"
	}
	return ".csv"
}

// seenBy tells whether a job is c's to see: its channel's, and of reminders its account's.
func (j *jobFile) seenBy(c *caller) bool {
	if !c.sees(j.Channel) {
		return false
	}
	return j.Kind != BulkReminders || c.scopes&scopeOperator != 0 || c.account == j.Account
}

func (j *jobFile) over() bool { return j.State == JobDone || j.State == JobFailed }

// start runs jobs until close.
func (b *bulk) start() {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.done.Go(func() { b.run(ctx) })
	b.kick()
}

// close stops the runner where it stands: the registry knows how far it came.
func (b *bulk) close() {
	if b.cancel != nil {
		b.cancel()
	}
	b.done.Wait()
}

func (b *bulk) kick() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// path is a job's file in the folder.
func (b *bulk) path(id, ext string) string { return filepath.Join(b.dir, id+ext) }

// save writes what is kept of a job. REQUIRES: b.mu.
func (b *bulk) save(j *jobFile) error {
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	temp := b.path(j.ID, ".json"+partSuffix)
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(temp)
		return err
	}
	if err := os.Rename(temp, b.path(j.ID, ".json")); err != nil {
		return err
	}
	return syncDir(b.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// count tells the gauge how many jobs there are in each state. REQUIRES: b.mu, or nobody
// else knows b yet.
func (b *bulk) count() {
	n := map[JobState]int{}
	for _, j := range b.jobs {
		n[j.State]++
	}
	for _, s := range jobStates {
		b.a.met.bulkJobs.WithLabelValues(string(s)).Set(float64(n[s]))
	}
}

// find is a job as the API tells of it, where the caller may see it.
func (b *bulk) find(c *caller, id string) (BulkJob, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.jobs[id]
	if j == nil || !j.seenBy(c) {
		return BulkJob{}, false
	}
	return j.view(b.a.opt.Now()), true
}

// list is every job that the caller may see, the latest first.
func (b *bulk) list(c *caller) []BulkJob {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := []BulkJob{}
	now := b.a.opt.Now()
	for _, j := range b.jobs {
		if j.seenBy(c) {
			all = append(all, j.view(now))
		}
	}
	slices.SortFunc(all, func(x, y BulkJob) int {
		if n := y.Created.Compare(x.Created); n != 0 {
			return n
		}
		return strings.Compare(x.ID, y.ID)
	})
	return all
}

// view is a job with its rates. REQUIRES: b.mu.
func (j *jobFile) view(now time.Time) BulkJob {
	v := j.BulkJob
	switch {
	case j.State == JobDone:
		v.Progress = 1
	case j.Octets > 0:
		v.Progress = min(1, float64(j.offset)/float64(j.Octets))
	}
	switch {
	case j.State == JobRunning && j.at.After(j.began):
		span := j.at.Sub(j.began).Seconds()
		v.Rate = float64(j.Rows-j.rows) / span
		if octets := float64(j.offset-j.from) / span; octets > 0 {
			left := max(0, float64(j.Octets-j.offset)/octets-now.Sub(j.at).Seconds())
			v.Left = &left
		}
	case j.over() && j.Started != nil && j.Finished != nil:
		if span := j.Finished.Sub(*j.Started).Seconds(); span > 0 {
			v.Rate = float64(j.Rows) / span
		}
	}
	return v
}

// next is the oldest job that waits; nil: none.
func (b *bulk) next() *jobFile {
	b.mu.Lock()
	defer b.mu.Unlock()
	var first *jobFile
	for _, j := range b.jobs {
		if j.State == JobQueued && (first == nil || j.Created.Before(first.Created)) {
			first = j
		}
	}
	return first
}

// sweep forgets jobs that have been over for longer than they are kept.
func (b *bulk) sweep() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.a.opt.Now()
	for id, j := range b.jobs {
		if j.over() && j.Finished != nil && now.Sub(*j.Finished) > b.a.opt.Bulk.Keep {
			delete(b.jobs, id)
			for _, ext := range []string{".json", j.ext(), badSuffix} { // the job first: a file without one is swept at the next start
				if err := os.Remove(b.path(id, ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					b.log.Warn("a finished bulk job could not be removed", slog.String("job", id), slog.Any("err", err))
				}
			}
		}
	}
	b.count()
}

const badSuffix = ".bad.csv"
