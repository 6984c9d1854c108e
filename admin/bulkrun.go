package admin

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/text/encoding/charmap"

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
	at, err := b.bookmark(ctx, j)
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
		err = b.load(ctx, j)
	}
	var wrong *service.FileError
	if err != nil && !errors.As(err, &wrong) {
		b.mu.Lock()
		j.State = JobQueued
		b.count()
		b.mu.Unlock()
		return err
	}
	return b.end(j, wrong)
}

// bookmark is how far a job came, as whoever keeps its rows knows it.
func (b *bulk) bookmark(ctx context.Context, j *jobFile) (service.Bookmark, error) {
	if j.Kind != BulkReminders {
		return b.a.opt.Registry.Bookmark(ctx, bookmarkOf(j.ID))
	}
	r, err := b.a.reminders()
	if err != nil {
		return service.Bookmark{}, err
	}
	return r.BookmarkOf(ctx, bookmarkOf(j.ID))
}

// bookmarkOf is a job's name where its bookmark is.
func bookmarkOf(id string) string { return "bulk/" + id }

// went takes over what was counted with the rows. REQUIRES: bulk.mu.
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
func (b *bulk) end(j *jobFile, wrong *service.FileError) error {
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
	if err := os.Remove(b.path(j.ID, j.ext())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.log.Warn("a finished bulk job could not be removed", slog.String("job", j.ID), slog.Any("err", err))
	}
	b.log.Info("bulk job ended", slog.String("job", j.ID), slog.String("kind", string(j.Kind)), slog.String("channel", j.Channel), slog.String("state", string(j.State)),
		slog.Int64("rows", j.Rows), slog.Int64("good", j.Good), slog.Int64("bad", j.Bad), slog.Duration("took", now.Sub(*j.Started)))
	return nil
}

// load reads the job's file from where it stopped. A *service.FileError is the fault of
// who wrote the file.
func (b *bulk) load(ctx context.Context, j *jobFile) error {
	file, err := os.Open(b.path(j.ID, j.ext()))
	if errors.Is(err, fs.ErrNotExist) {
		return &service.FileError{Rule: "the uploaded file is gone from api.bulk.dir: upload it again"}
	}
	if err != nil {
		return err
	}
	defer file.Close()
	bad, err := os.OpenFile(b.path(j.ID, badSuffix), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	progress := func(at service.Bookmark) { b.progress(j, &at) }
	switch j.Kind {
	case BulkBlocklist:
		err = b.loadBlocklist(ctx, j, file, bad, progress)
	case BulkReminders:
		err = b.loadReminders(ctx, j, file, bad, progress)
	default:
		err = b.loadEnrolments(ctx, j, file, bad, progress)
	}
	return errors.Join(err, bad.Sync(), bad.Close())
}

func (b *bulk) loadEnrolments(ctx context.Context, j *jobFile, file io.ReadSeeker, bad service.BadRows, progress func(service.Bookmark)) error {
	cat, err := b.a.catalogue()
	if err != nil {
		return err
	}
	c := &caller{channel: j.Channel, services: j.Services}
	im := service.Import{
		Registry: b.a.opt.Registry, Key: b.a.opt.PersonKey, Country: b.a.opt.Country,
		Services:  func(code string) bool { return cat.Service(code) != nil && c.may(code) },
		Languages: func(tag string) bool { return slices.Contains(cat.Languages(), tag) },
		Channel:   j.Channel, By: j.Params.By, Verified: j.Params.Verified, Own: j.Own, All: j.Services,
		Encoding: j.Params.Encoding, DayFirst: j.Params.DayFirst, Zone: b.a.opt.Bulk.Zone,
		Job: bookmarkOf(j.ID), Now: b.a.opt.Now, Progress: progress,
	}
	_, err = im.Run(ctx, file, bad)
	return err
}

// loadBlocklist adds the numbers of a file. It begins at the start again after a restart:
// what is there already is left alone, and the rows are counted when it is over.
func (b *bulk) loadBlocklist(ctx context.Context, j *jobFile, file io.Reader, bad service.BadRows, progress func(service.Bookmark)) error {
	if err := bad.Truncate(0); err != nil {
		return err
	}
	if j.Params.Encoding == service.Windows1256 {
		file = charmap.Windows1256.NewDecoder().Reader(file)
	}
	out := csv.NewWriter(bad)
	out.Write([]string{"line", "column", "rule", "row"}) // its error stays until Flush
	f := service.BlockFile{
		Country: b.a.opt.Country, Channel: j.Channel, Zone: b.a.opt.Bulk.Zone, AddOnly: true, MaxBad: 1, MaxShrink: 1, Now: b.a.opt.Now,
		BadRow: func(r service.BlockBadRow) {
			out.Write([]string{strconv.FormatInt(r.Line, 10), r.Column, r.Rule, r.Row})
		},
	}
	r, err := f.Sync(ctx, b.a.opt.Registry, file)
	out.Flush()
	var wrong *service.FileError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &wrong):
		return wrong
	case err != nil:
		return err
	}
	changed := r.Added + r.Changed - r.Refused
	progress(service.Bookmark{Rows: r.Rows, Good: r.Good - r.Refused, Bad: r.Bad + r.Refused, Changed: changed, Nothing: r.Good - r.Refused - changed, Offset: j.Octets})
	return out.Error()
}
