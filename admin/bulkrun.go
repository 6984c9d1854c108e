package admin

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"masar/service"
)

const (
	sweepEvery = time.Hour
	againAfter = 10 * time.Second // a job that the disk or the registry stopped
)

// run works on one job after the other until ctx ends.
func (b *bulk) run(ctx context.Context) {
	b.sweep()
	again := time.NewTimer(sweepEvery)
	defer again.Stop()
	for {
		j := b.next()
		if j == nil {
			select {
			case <-ctx.Done():
				return
			case <-b.wake:
			case <-again.C:
				b.sweep()
				again.Reset(sweepEvery)
			}
			continue
		}
		if err := b.work(ctx, j); err != nil {
			if ctx.Err() != nil {
				return
			}
			b.log.Warn("a bulk job was interrupted and is tried again", slog.String("job", j.ID), slog.Duration("in", againAfter), slog.Any("err", err))
			select {
			case <-ctx.Done():
				return
			case <-time.After(againAfter):
			}
		}
	}
}

// work runs a job from where it stopped. An error is one that may go away: the job waits.
func (b *bulk) work(ctx context.Context, j *jobFile) error {
	at, err := b.a.opt.Registry.Bookmark(ctx, bookmarkOf(j.ID))
	if err != nil {
		return err
	}
	now := b.a.opt.Now().UTC()
	b.mu.Lock()
	j.State = JobRunning
	if j.Started == nil {
		j.Started = &now
	}
	j.went(&at)
	j.began, j.at, j.from, j.rows = now, now, j.offset, j.Rows
	err = b.save(j)
	b.count()
	b.mu.Unlock()
	if err == nil {
		err = b.load(ctx, j, func(at *service.Bookmark) { b.progress(j, at) })
	}
	var wrong *fileError
	if err != nil && !errors.As(err, &wrong) {
		b.mu.Lock()
		j.State = JobQueued
		b.count()
		b.mu.Unlock()
		return err
	}
	return b.end(j, wrong)
}

// bookmarkOf is a job's name in the registry.
func bookmarkOf(id string) string { return "bulk/" + id }

// went takes over what the registry counted. REQUIRES: bulk.mu.
func (j *jobFile) went(at *service.Bookmark) {
	j.Rows, j.Good, j.Bad, j.Changed, j.Nothing, j.offset = at.Rows, at.Good, at.Bad, at.Changed, at.Nothing, at.Offset
}

func (b *bulk) progress(j *jobFile, at *service.Bookmark) {
	now := b.a.opt.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.a.met.bulkRows.WithLabelValues(string(j.Kind), "good").Add(float64(max(0, at.Good-j.Good)))
	b.a.met.bulkRows.WithLabelValues(string(j.Kind), "bad").Add(float64(max(0, at.Bad-j.Bad)))
	j.went(at)
	j.at = now
}

// end keeps what became of a job. Its file goes: it holds the references that are stored
// nowhere else.
func (b *bulk) end(j *jobFile, wrong *fileError) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.a.opt.Now().UTC()
	j.State, j.Finished = JobDone, &now
	if wrong != nil {
		j.State, j.Error = JobFailed, wrong.Error()
	}
	if err := b.save(j); err != nil {
		j.State, j.Finished, j.Error = JobQueued, nil, ""
		return err
	}
	b.count()
	if err := os.Remove(b.path(j.ID, ".csv")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.log.Warn("a finished bulk job could not be removed", slog.String("job", j.ID), slog.Any("err", err))
	}
	b.log.Info("bulk job ended", slog.String("job", j.ID), slog.String("kind", string(j.Kind)), slog.String("channel", j.Channel), slog.String("state", string(j.State)),
		slog.Int64("rows", j.Rows), slog.Int64("good", j.Good), slog.Int64("bad", j.Bad), slog.Duration("took", now.Sub(*j.Started)))
	return nil
}

// fileError is a file that cannot be read any further: a mistake of who wrote it.
type fileError struct{ says string }

func (e *fileError) Error() string { return e.says }

// load hands the file to the room that reads it.
func (b *bulk) load(ctx context.Context, j *jobFile, progress func(*service.Bookmark)) error {
	return &fileError{"not yet"}
}
