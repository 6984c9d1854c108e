package service

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"masar/number"
)

// An Import lays a CSV file of enrolments and withdrawals over a Registry. Its first line
// names the columns, in any order: person, number, services (codes between blanks ; | or
// quoted commas), language, consent_at (2026-11-23 or RFC 3339), verified (true, false), by,
// action (enrol, withdraw). Either person or number must be there; services too. Fields are
// parted by comma, semicolon or tab, as the header is.
//
// A row that is wrong, or that the Registry refuses, goes to the bad rows with line, column
// and reason, and costs the others nothing. A file that cannot be what was meant (no
// header, unknown column, another encoding) is refused whole, before anything is applied.
type Import struct {
	Registry  Registry
	Key       *Key                   // hashes the column person; nil: the file has none
	Country   string                 // country code for numbers in national form
	Services  func(code string) bool // whether the file may name it
	Languages func(tag string) bool  // nil: any
	Channel   string                 // who uploads
	By        string                 // where the file says nothing
	Verified  bool                   // where the file says nothing
	Own       bool                   // withdrawals take off only what Channel enrolled
	All       []string               // what a withdrawal takes off that names no service; nil: everything
	Encoding  string                 // UTF8 (or empty), Windows1256
	DayFirst  bool                   // also takes dates as 23/11/2026
	Zone      *time.Location         // of days without time; nil: UTC
	Job       string                 // names the file by its content: what is known of it is gone on with
	Now       func() time.Time       // nil: time.Now
	Progress  func(Bookmark)         // nil, or called after each batch
	BatchRows int                    // rows applied together; 0: 2000
}

// BadRows is where bad rows go: a file, cut back to what was committed when a job goes on.
type BadRows interface {
	io.WriteSeeker
	Truncate(size int64) error
}

const (
	batchRows   = 2000
	batchOctets = 4 << 20 // of rows as given; long rows make a batch of fewer
)

func (im *Import) zone() *time.Location {
	if im.Zone == nil {
		return time.UTC
	}
	return im.Zone
}

// A batch is what one Apply takes: rows read, not yet applied.
type importBatch struct {
	changes []Change
	from    []rowAt // of each change
	raw     []byte  // rows as given, of changes
	bad     []badAt
	rows    int64
	line    int64
	offset  int64
	last    bool
	byPhone bool  // some change has no Person
	err     error // reading failed behind these rows
}

type rowAt struct {
	line     int64
	from, to int // in raw
}

type badAt struct {
	line         int64
	column, rule string
	row          string
}

func (b *importBatch) reset() {
	clear(b.changes)
	*b = importBatch{changes: b.changes[:0], from: b.from[:0], raw: b.raw[:0], bad: b.bad[:0]}
}

// Run applies the file, from where an earlier Run of the same Job came to, and returns how
// far the job is: also with an error, when what it tells was committed. Errors: *FileError;
// the context's; a Registry's or a file's as they come. After any of them Run may be called
// again.
//
// Each batch carries its Bookmark in the same atomic write, so every row is applied and
// counted once, whenever the process is killed. The bad rows of a batch are written
// before its commit, and what of them was not committed is cut off on going on. Only a
// disk that is full or loses power can lose bad rows that the counts hold; then a row says
// so.
//
// It keeps three batches in memory, whatever the size of the file.
func (im *Import) Run(ctx context.Context, src io.ReadSeeker, bad BadRows) (Bookmark, error) {
	if err := im.check(); err != nil {
		return Bookmark{}, err
	}
	bm, err := im.Registry.Bookmark(ctx, im.Job)
	if err != nil || bm.Done {
		return bm, err // nothing is written to the bad rows after the commit that says so
	}
	if bm.Offset == 0 {
		if _, err := src.Seek(0, io.SeekStart); err != nil {
			return bm, err
		}
		if err := checkEncoding(ctxReader{ctx, src}, im.Encoding); err != nil {
			return bm, err
		}
	}
	bm.Job = im.Job
	rd, err := im.open(src, bm)
	if err != nil {
		return bm, err
	}
	out, err := openBad(bad, bm.BadOffset, rd.header, rd.lines.csv.Comma)
	if err != nil {
		return bm, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ready, free := make(chan *importBatch, 1), make(chan *importBatch, 3)
	for range cap(free) {
		free <- new(importBatch)
	}
	done := make(chan struct{})
	go func() { // owned by Run: ends when ctx does, and Run waits
		defer close(done)
		rd.read(ctx, free, ready)
	}()
	defer func() {
		cancel()
		<-done
	}()
	for {
		select {
		case <-ctx.Done():
			return bm, ctx.Err()
		case b := <-ready:
			next, err := im.apply(ctx, b, bm, out)
			if err != nil {
				return bm, err
			}
			bm = next
			if im.Progress != nil {
				im.Progress(bm)
			}
			if b.err != nil || b.last {
				return bm, b.err
			}
			b.reset()
			free <- b
		}
	}
}

func (im *Import) check() error {
	switch im.Encoding {
	case "":
		im.Encoding = UTF8
	case UTF8, Windows1256:
	default:
		return &FileError{Rule: fmt.Sprintf("encoding %q is not known; %s or %s", im.Encoding, UTF8, Windows1256)}
	}
	if im.Job == "" {
		return errors.New("an import needs a job's name")
	}
	if im.Now == nil {
		im.Now = time.Now
	}
	if im.BatchRows <= 0 {
		im.BatchRows = batchRows
	}
	return nil
}

// importReader reads rows into batches, on a goroutine of its own.
type importReader struct {
	lines  *lines
	rows   *rowReader
	header []string
	batch  int
}

// open reads the header and goes to where the bookmark is.
func (im *Import) open(src io.ReadSeeker, bm Bookmark) (*importReader, error) {
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	l := newLines(src, im.Encoding)
	switch has, err := l.next(); {
	case err != nil:
		return nil, err
	case !has:
		return nil, &FileError{Rule: "the file is empty"}
	}
	l.delimit(delimiter(l.raw))
	f, wrong := l.fields()
	if wrong != nil {
		return nil, &FileError{Line: l.line, Rule: wrong.rule}
	}
	header := slices.Clone(f)
	rows, err := im.newRowReader(header, im.Now())
	if err != nil {
		return nil, onLine(err, l.line)
	}
	if bm.Offset > l.offset {
		size, err := src.Seek(0, io.SeekEnd)
		if err == nil && size < bm.Offset {
			err = &FileError{Rule: fmt.Sprintf("the file has %d octets, and %d of it are done: it is not the same", size, bm.Offset)}
		}
		if err == nil {
			_, err = src.Seek(bm.Offset, io.SeekStart)
		}
		if err != nil {
			return nil, err
		}
		l.br.Reset(src)
		l.line, l.offset = bm.Line, bm.Offset
	}
	return &importReader{lines: l, rows: rows, header: header, batch: im.BatchRows}, nil
}

// read fills batches till the file ends or ctx does. The last has last or err set.
func (r *importReader) read(ctx context.Context, free <-chan *importBatch, ready chan<- *importBatch) {
	for {
		var b *importBatch
		select {
		case <-ctx.Done():
			return
		case b = <-free:
		}
		r.fill(b)
		end := b.last || b.err != nil
		select {
		case <-ctx.Done():
			return
		case ready <- b:
		}
		if end {
			return
		}
	}
}

func (r *importReader) fill(b *importBatch) {
	l := r.lines
	octets := 0
	for b.rows < int64(r.batch) && octets < batchOctets {
		has, err := l.next()
		if err != nil {
			b.err = err
			break
		}
		if !has {
			b.last = true
			break
		}
		b.rows++
		octets += len(l.raw)
		f, wrong := l.fields()
		var ch Change
		if wrong == nil {
			ch, wrong = r.rows.change(f)
		}
		if wrong != nil {
			b.bad = append(b.bad, badAt{l.line, wrong.column, wrong.rule, string(l.raw)})
			continue
		}
		b.byPhone = b.byPhone || ch.Person == (Person{})
		from := len(b.raw)
		b.raw = append(b.raw, l.raw...)
		b.changes = append(b.changes, ch)
		b.from = append(b.from, rowAt{l.line, from, len(b.raw)})
	}
	b.line, b.offset = l.line, l.offset
}

// apply commits a batch and returns the bookmark that went with it.
func (im *Import) apply(ctx context.Context, b *importBatch, was Bookmark, out *badWriter) (Bookmark, error) {
	if b.err != nil && b.rows == 0 {
		return was, b.err
	}
	if b.byPhone {
		if err := im.nameUnknown(ctx, b); err != nil {
			return was, err
		}
	}
	bm := was
	bm.Line, bm.Offset, bm.Done, bm.At = b.line, b.offset, b.last, im.Now()
	bm.Rows += b.rows
	bm.Bad += int64(len(b.bad))
	decided := false
	var failed error
	batch := Batch{Changes: b.changes, Bookmark: &bm, Decided: func(all []Outcome) {
		decided = true
		for i := range all {
			switch {
			case all[i].Err != nil:
				bm.Bad++
				row := b.from[i]
				b.bad = append(b.bad, badAt{row.line, all[i].Err.Field, "refused: " + all[i].Err.Rule, string(b.raw[row.from:row.to])})
			case all[i].Effect == Changed:
				bm.Good++
				bm.Changed++
			default:
				bm.Good++
				bm.Nothing++
			}
		}
		// Into the page cache: a write that does not wait for the disk.
		bm.BadOffset, failed = out.write(b.bad)
	}}
	if len(b.changes) == 0 {
		batch.Decided(nil)
		batch.Decided = nil
	}
	_, err := im.Registry.Apply(ctx, batch)
	switch {
	case err != nil:
		return was, err
	case !decided:
		return was, errors.New("the registry did not tell what became of a batch before storing it")
	case failed != nil:
		return bm, fmt.Errorf("bad rows: %w", failed)
	}
	return bm, nil
}

// nameUnknown names the people whom rows enrol by number alone and at whose number nobody
// is known: such a one is who has the number. Where somebody is, the enrolment is his.
func (im *Import) nameUnknown(ctx context.Context, b *importBatch) error {
	if im.Key == nil {
		return nil
	}
	named := map[number.E164]struct{}{} // by a row before, in this batch
	for i := range b.changes {
		ch := &b.changes[i]
		if ch.Kind != Enrol || ch.Number == 0 {
			continue
		}
		if ch.Person == (Person{}) {
			if _, has := named[ch.Number]; has {
				continue
			}
			st, err := im.Registry.Lookup(ctx, ch.Number)
			if err != nil {
				return err
			}
			if st == nil || len(st.People) == 0 {
				ch.Person = im.Key.OfNumber(ch.Number)
			}
		}
		named[ch.Number] = struct{}{}
	}
	return nil
}

// badWriter writes bad rows as CSV: line, column, rule, then the row's own fields, so that
// the file can be mended where it is and sent again: its first three columns do not count. A row that
// cannot be split stands in one field.
type badWriter struct {
	to     BadRows
	offset int64 // what the file has, or should have, when all that was written is there
	buf    bytes.Buffer
	csv    *csv.Writer
	split  lines
	rec    []string
	whole  bool  // rows are not split
	err    error // Invariant: once set, nothing more is written
}

func openBad(to BadRows, offset int64, header []string, comma rune) (*badWriter, error) {
	w := &badWriter{to: to}
	w.csv = csv.NewWriter(&w.buf)
	w.split.delimit(comma)
	size, err := to.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	w.offset = min(offset, size)
	if err := to.Truncate(w.offset); err != nil {
		return nil, err
	}
	if _, err := to.Seek(w.offset, io.SeekStart); err != nil {
		return nil, err
	}
	switch {
	case offset == 0:
		w.rec = append(append(w.rec[:0], badColumns[:]...), header...)
		_ = w.csv.Write(w.rec) // into memory
	case offset > size:
		_ = w.csv.Write([]string{"", "", fmt.Sprintf("lost: %d octets of this file were not kept by the disk; the counts hold their rows", offset-size), ""})
	}
	_, err = w.write(nil)
	return w, err
}

// write appends rows in the order of their lines and returns the size of the file with
// them.
func (w *badWriter) write(rows []badAt) (int64, error) {
	slices.SortStableFunc(rows, func(a, b badAt) int { return int(a.line - b.line) })
	for _, r := range rows {
		w.rec = append(w.rec[:0], strconv.FormatInt(r.line, 10), r.column, r.rule)
		w.split.feed = []byte(r.row)
		if w.whole {
			w.rec = append(w.rec, r.row)
		} else if fields, err := w.split.csv.Read(); err == nil {
			w.rec = append(w.rec, fields...)
		} else {
			w.rec = append(w.rec, r.row)
		}
		_ = w.csv.Write(w.rec) // into memory
	}
	w.csv.Flush()
	w.offset += int64(w.buf.Len())
	if w.err == nil {
		_, w.err = w.to.Write(w.buf.Bytes())
	}
	w.buf.Reset()
	return w.offset, w.err
}

// ctxReader ends with its context.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
