package campaign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/service"
)

// loadOctets is how much of a file's rows goes into one write.
const loadOctets = 1 << 20

// lookRows is after how many rows the disk and the context are looked at again.
const lookRows = 8192

// Load gives a campaign the rows of a file, in place of those it had, and returns when they
// are on disk: its counts are new, its check, its release and its tests are gone. Until
// then, and after an error, it is as it was. schema is asked for while the campaign is what
// it is given. Errors: *service.FileError, *StateError, ErrBusy, ErrTooLarge,
// engine.ErrFull; the context's and src's as they come.
//
// The file itself is written beside the store first, fsynced, and removed with the last
// row: references of persons are stored nowhere. Duplicates are found by sorting on disk,
// so that memory is bounded whatever the file's size; of one recipient the first row stays.
func (s *Store) Load(ctx context.Context, id uint64, src io.Reader, f Format, most int64, schema func(*Campaign) (*Schema, error)) (Campaign, error) {
	if err := s.db.Begin(); err != nil {
		return Campaign{}, err
	}
	defer s.db.End()
	e, err := s.entry(id)
	if err != nil {
		return Campaign{}, err
	}
	c, err := s.begin(e)
	if err != nil {
		return c, err
	}
	defer func() {
		s.mu.Lock()
		e.loading = false
		s.mu.Unlock()
	}()
	sc, err := schema(&c)
	if err != nil {
		return c, err
	}
	if err := s.db.Room(); err != nil {
		return c, err
	}
	file, remove, err := s.spool(ctx, id, src, f, most)
	if err != nil {
		return c, err
	}
	defer remove()
	l := &loading{s: s, id: id, gen: c.gen + 1, schema: sc}
	err = l.run(ctx, file, f)
	if err == nil {
		c, err = s.loaded(e, l, f)
	}
	if err != nil {
		return c, errors.Join(err, l.undo())
	}
	return c, nil
}

// begin says that a file comes.
func (s *Store) begin(e *entry) (Campaign, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch err := e.c.May(Uploading); {
	case e.gone:
		return Campaign{}, ErrUnknown
	case err != nil:
		return e.c, err
	case e.loading:
		return e.c, ErrBusy
	}
	e.loading = true
	return e.c, nil
}

// spoolDir holds files while they are read.
const spoolDir = "files"

// spool writes the file beside the store.
func (s *Store) spool(ctx context.Context, id uint64, src io.Reader, f Format, most int64) (_ io.ReadSeeker, remove func(), err error) {
	dir := s.fs.PathJoin(s.dir, spoolDir)
	if err := s.fs.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	name := s.fs.PathJoin(dir, fmt.Sprintf("%d.part", id))
	file, err := s.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, nil, err
	}
	_, err = Spool(ctx, roomWriter{s, file}, src, f, most)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		s.fs.Remove(name)
		return nil, nil, single(err)
	}
	if file, err = s.fs.Open(name); err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	remove = func() {
		file.Close()
		if err := s.fs.Remove(name); err != nil {
			s.log.Warn("a campaign's file could not be removed", "file", name, "err", err)
		}
	}
	return io.NewSectionReader(file, 0, info.Size()), remove, nil
}

// single takes an error out of a Join that holds nothing else.
func single(err error) error {
	if all, ok := err.(interface{ Unwrap() []error }); ok && len(all.Unwrap()) == 1 {
		return all.Unwrap()[0]
	}
	return err
}

// roomWriter stops where the disk has no room.
type roomWriter struct {
	s *Store
	w io.Writer
}

func (r roomWriter) Write(b []byte) (int, error) {
	if err := r.s.db.Room(); err != nil {
		return 0, err
	}
	return r.w.Write(b)
}

// sweepFiles removes what was being read when the process ended.
func (s *Store) sweepFiles() {
	dir := s.fs.PathJoin(s.dir, spoolDir)
	names, err := s.fs.List(dir)
	if err != nil {
		return // there is none
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".part") {
			s.fs.Remove(s.fs.PathJoin(dir, name))
		}
	}
}

// loading is one file on its way into the store, under a generation that nobody reads yet.
type loading struct {
	s      *Store
	id     uint64
	gen    uint32
	schema *Schema
	header []string
	counts Counts

	b    *pdb.Batch
	k, v []byte
}

func (l *loading) run(ctx context.Context, file io.ReadSeeker, f Format) error {
	if err := l.undo(); err != nil { // of an upload that failed before
		return err
	}
	r, err := Read(ctx, file, f, l.schema)
	if err != nil {
		return err
	}
	l.header = r.Header()
	l.b = l.s.db.NewBatch()
	defer func() { l.b.Close() }()
	var row Row
	for {
		has, err := r.Next(&row)
		if err != nil {
			return err
		}
		if !has {
			break
		}
		if l.counts.Rows++; l.counts.Rows%lookRows == 0 {
			if err := l.s.db.Room(); err != nil {
				return err
			}
		}
		if row.Kind == Bad {
			l.counts.Bad++
		} else {
			l.k = sortKey(l.k, l.id, l.gen, &row)
			if err := l.b.Set(l.k, nil, nil); err != nil {
				return err
			}
		}
		if err := l.put(&row); err != nil {
			return err
		}
	}
	if l.counts.Rows == 0 {
		return &service.FileError{Rule: "the file has no rows but its header"}
	}
	if err := l.flush(0); err != nil {
		return err
	}
	if err := l.duplicates(ctx); err != nil {
		return err
	}
	l.counts.Left = l.counts.Recipients()
	return l.flush(0)
}

func (l *loading) put(row *Row) error {
	l.v = appendRow(l.v[:0], row)
	l.k = rowKey(l.k, l.id, l.gen, row.Row)
	if err := l.b.Set(l.k, l.v, nil); err != nil {
		return err
	}
	return l.flush(loadOctets)
}

// flush writes the batch once it has more than so many octets. It is not waited for: the
// write that makes the rows the campaign's is, and what was written before is on disk then.
func (l *loading) flush(above int) error {
	if l.b.Len() <= above || l.b.Empty() {
		return nil
	}
	err := l.s.db.Apply(l.b, pdb.NoSync)
	err = errors.Join(err, l.b.Close())
	l.b = l.s.db.NewBatch()
	return err
}

// duplicates goes over the recipients in their order and marks each row whose recipient
// has one before.
func (l *loading) duplicates(ctx context.Context) error {
	from := be.AppendUint32(campaignKey(kindSort, l.id), l.gen)
	to := be.AppendUint32(campaignKey(kindSort, l.id), l.gen+1)
	it, err := l.s.db.NewIter(&pdb.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	defer it.Close()
	at := len(from)
	first := Row{}
	var known [recipientOctets]byte
	for has, n := it.First(), 0; has; has, n = it.Next(), n+1 {
		if n%lookRows == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		k := it.Key()
		recipient, row := k[at:at+recipientOctets], tail(k)
		if first.Row == 0 || !bytes.Equal(known[:], recipient) {
			copy(known[:], recipient)
			first = Row{Row: row}
			continue
		}
		l.counts.Duplicate++
		double := Row{Row: row, Kind: Duplicate, Of: first.Row}
		double.readRecipient(recipient)
		if err := l.put(&double); err != nil {
			return err
		}
	}
	return it.Error()
}

// undo removes what was written of the generation.
func (l *loading) undo() error {
	b := l.s.db.NewBatch()
	defer b.Close()
	return errors.Join(l.drop(b), l.s.db.Apply(b, pdb.NoSync))
}

func (l *loading) drop(b *pdb.Batch) error {
	return errors.Join(
		b.DeleteRange(rowKey(nil, l.id, l.gen, 0), rowKey(nil, l.id, l.gen+1, 0), nil),
		b.DeleteRange(campaignKey(kindSort, l.id), campaignKey(kindSort, l.id+1), nil),
	)
}

// loaded makes the rows the campaign's, in one write.
func (s *Store) loaded(e *entry, l *loading, f Format) (Campaign, error) {
	e.turn.Lock()
	c, err := s.at(e)
	if err == nil {
		err = c.May(Uploading)
	}
	if err != nil {
		e.turn.Unlock()
		return c, err
	}
	c.State, c.Why, c.Check, c.Released, c.Uploaded = Draft, "", nil, "", f.By
	c.Tested, c.Changed = time.Time{}, s.now().UTC()
	c.Counts, c.gen, c.fed = l.counts, l.gen, 0
	c.Header, c.Columns, c.Params, c.Texts = l.header, l.schema.Params, len(l.schema.Params) > 0, l.schema.Texts
	b := s.db.NewBatch()
	err = errors.Join(
		s.put(b, &c),
		b.DeleteRange(rowKey(nil, c.ID, 0, 0), rowKey(nil, c.ID, c.gen, 0), nil),
		b.DeleteRange(campaignKey(kindSort, c.ID), campaignKey(kindSort, c.ID+1), nil),
	)
	if err == nil {
		err = s.write(b)
	}
	if err == nil {
		s.set(e, c)
	}
	e.turn.Unlock()
	return c, s.wait(b, err)
}
