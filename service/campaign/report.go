package campaign

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
)

// reportColumns of Report. state is that of a receipt for what has ended, else one of
// accepted (in the queue, on the wire, or its receipt is awaited), left (not handed over
// yet), stopped, refused, duplicate, bad. err is the carrier's error or the gateway's word
// for why it ended so; reason says why a row was refused, is bad, or whose duplicate it is.
var reportColumns = []string{"row", "recipient", "message_id", "state", "err", "reason", "accepted", "ended", "parts"}

// Report writes every row of a campaign, in the order of the file, with what became of it,
// as CSV: one line a row, as all was at one moment, in bounded memory. Times are RFC 3339
// in UTC.
func (s *Store) Report(ctx context.Context, id uint64, w io.Writer) error {
	if _, err := s.Campaign(id); err != nil {
		return err // before anything is written
	}
	out := csv.NewWriter(bufio.NewWriterSize(w, 64<<10))
	if err := out.Write(reportColumns); err != nil {
		return err
	}
	rec := make([]string, len(reportColumns))
	err := s.each(ctx, id, func(c *Campaign, r *Row, st *status) error {
		clear(rec)
		rec[0], rec[1] = strconv.FormatUint(r.Row, 10), r.Recipient()
		switch {
		case r.Kind == Bad:
			rec[3], rec[5] = "bad", r.Rule
			if r.Column != "" {
				rec[5] = r.Column + ": " + r.Rule
			}
		case r.Kind == Duplicate:
			rec[3], rec[5] = "duplicate", "of row "+strconv.FormatUint(r.Of, 10)
		case st == nil && c.State == Stopped:
			rec[3] = "stopped"
		case st == nil:
			rec[3] = "left"
		case st.kind == refused:
			rec[3], rec[5], rec[6] = "refused", st.reason, moment(st.at)
		default:
			rec[2], rec[3], rec[6] = fmt.Sprintf("%016x", st.message), "accepted", moment(st.at)
			if st.parts > 0 {
				rec[8] = strconv.Itoa(int(st.parts))
			}
			if st.kind == ended {
				rec[3], rec[4], rec[7] = st.state.Receipt(), st.err, moment(st.end)
			}
		}
		return out.Write(rec)
	})
	out.Flush()
	return errors.Join(err, out.Error())
}

// Bad writes the bad rows of a campaign's file as CSV: line, column and rule, then the row's
// own fields under the file's own header, so that it can be mended where it is and
// uploaded: its first three columns do not count. A row that cannot be split, or of JSON
// Lines, stands in one field.
func (s *Store) Bad(ctx context.Context, id uint64, w io.Writer) error {
	if _, err := s.Campaign(id); err != nil {
		return err
	}
	out := csv.NewWriter(w)
	began := false
	header := func(c *Campaign) error {
		names := c.Header
		if names == nil {
			names = []string{"row"}
		}
		began = true
		return out.Write(append([]string{"line", "column", "rule"}, names...))
	}
	err := s.each(ctx, id, func(c *Campaign, r *Row, _ *status) error {
		if !began {
			if err := header(c); err != nil {
				return err
			}
		}
		if r.Kind != Bad {
			return nil
		}
		return out.Write(append([]string{strconv.FormatUint(r.Row, 10), r.Column, r.Rule}, split(r.Raw, len(c.Header))...))
	})
	out.Flush()
	return errors.Join(err, out.Error())
}

// split cuts a line into so many fields, whichever of the delimiters does so.
func split(line string, fields int) []string {
	for _, comma := range ",;\t" {
		r := csv.NewReader(strings.NewReader(line))
		r.Comma, r.FieldsPerRecord = comma, -1
		if f, err := r.Read(); err == nil && len(f) == fields && fields > 0 {
			return f
		}
	}
	return []string{line}
}

// BadRows tells the first bad rows of a campaign's file.
func (s *Store) BadRows(ctx context.Context, id uint64, max int) ([]RowError, error) {
	var bad []RowError
	err := s.each(ctx, id, func(_ *Campaign, r *Row, _ *status) error {
		if r.Kind == Bad {
			bad = append(bad, RowError{r.Row, r.Column, r.Rule})
		}
		if len(bad) >= max {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return bad, err
}

var errEnough = errors.New("enough")

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// each tells of every row and its status (nil: none), from one snapshot.
func (s *Store) each(ctx context.Context, id uint64, f func(*Campaign, *Row, *status) error) error {
	if err := s.db.Begin(); err != nil {
		return err
	}
	defer s.db.End()
	e, err := s.entry(id)
	if err != nil {
		return err
	}
	e.turn.Lock() // so that campaign and snapshot are of one moment
	c, err := s.at(e)
	var snap *pdb.Snapshot
	if err == nil {
		snap = s.db.NewSnapshot()
	}
	e.turn.Unlock()
	if err != nil {
		return err
	}
	defer snap.Close()
	rows, err := snap.NewIter(&pdb.IterOptions{LowerBound: rowKey(nil, id, c.gen, 0), UpperBound: rowKey(nil, id, c.gen+1, 0)})
	if err != nil {
		return err
	}
	defer rows.Close()
	sts, err := snap.NewIter(&pdb.IterOptions{LowerBound: campaignKey(kindStatus, id), UpperBound: campaignKey(kindStatus, id+1)})
	if err != nil {
		return err
	}
	defer sts.Close()
	var row Row
	sts.First()
	for has, n := rows.First(), 0; has; has, n = rows.Next(), n+1 {
		if n%lookRows == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		number := tail(rows.Key())
		if err := decodeRow(rows.Value(), number, &row); err != nil {
			return err
		}
		for sts.Valid() && tail(sts.Key()) < number {
			sts.Next()
		}
		var st *status
		if sts.Valid() && tail(sts.Key()) == number {
			got, err := decodeStatus(sts.Value())
			if err != nil {
				return err
			}
			st = &got
		}
		if err := f(&c, &row, st); err != nil {
			return err
		}
	}
	return errors.Join(rows.Error(), sts.Error())
}
