package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"masar/number"
)

// A BlockFile lays a file of numbers over a Registry's blocklist. The rows are
//
//	number,scope,reason,expires
//	0501234567,all,complaint 4711,2027-01-31
//
// parted by comma, semicolon or tab; the header may be missing, and then the columns are
// in this order. scope is all (the default) or opt-in; expires is a day, which is blocked
// to its end, or RFC 3339, and may be empty. Lines that begin with # are comments. Of two
// rows for one number the later counts.
type BlockFile struct {
	Country   string
	Channel   string            // under which the file's blocks are kept; empty: "file"
	Zone      *time.Location    // of days; nil: UTC
	MaxBad    float64           // the share of bad rows above which the file is refused; 0: 0.1
	MaxShrink float64           // the share of its blocks that the file may take back at once; 0: 0.5; 1: all
	AddOnly   bool              // what the file has no more stays blocked: it is an addition, not the whole list
	BadRow    func(BlockBadRow) // nil, or called for each bad row, also of a file that is refused then
	Now       func() time.Time
}

// A BlockReport is what became of a file.
type BlockReport struct {
	Rows, Good, Bad int64
	Twice           int64 // rows that a later one for the same number replaced
	Expired         int64 // rows whose end was past already
	Added           int64
	Changed         int64
	Removed         int64 // blocks of an earlier file that this one no longer has
	Same            int64
	Kept            int64         // blocked by another channel, at least as strictly: left alone
	Refused         int64         // by the registry
	BadRows         []BlockBadRow // the first 100
}

// BlockBadRow is one bad row.
type BlockBadRow struct {
	Line         int64
	Column, Rule string
	Row          string // at most 1 KiB of it
}

const (
	maxBadRows = 100
	blockBatch = 2000
)

// ErrBlockFile is in every error that says that a file was refused whole.
var ErrBlockFile = errors.New("the blocklist file was refused, the blocklist stays as it was")

// A blockEntry is a row. Files have millions, so reasons are shared.
type blockEntry struct {
	number  number.E164
	expires int64 // seconds; 0: never
	line    uint32
	reason  uint32 // index
	scope   BlockScope
	met     met
}

// met says what the registry has for an entry.
type met uint8

const (
	metNothing   met = iota
	metSame          // the same, from this channel
	metOther         // another, from this channel
	metKept          // from another channel, at least as strict
	metToTighten     // from another channel, less strict
)

// Sync reads the file and makes the registry's blocks of Channel those of the file.
//
// A block of another channel is never lifted, nor taken over: where the file is stricter
// the block is tightened and stays that channel's, so that a number which leaves the file
// is not let through against what somebody decided by hand.
//
// A file with more bad rows than MaxBad, one that would take back more than MaxShrink of
// what the last one blocked, and one that cannot be read are refused whole (ErrBlockFile):
// a cut-off or empty file must not open the gates. The file is held in memory, 32 octets a
// row and each reason once.
func (f BlockFile) Sync(ctx context.Context, reg Registry, r io.Reader) (BlockReport, error) {
	if f.Channel == "" {
		f.Channel = "file"
	}
	if f.MaxBad == 0 {
		f.MaxBad = 0.1
	}
	if f.MaxShrink == 0 {
		f.MaxShrink = 0.5
	}
	if f.Zone == nil {
		f.Zone = time.UTC
	}
	if f.Now == nil {
		f.Now = time.Now
	}
	now := f.Now()
	l, report, err := f.read(ctx, r, now)
	if err != nil {
		return report, fmt.Errorf("%w: %w", ErrBlockFile, err)
	}
	if float64(report.Bad) > f.MaxBad*float64(report.Rows) {
		return report, fmt.Errorf("%w: %d of %d rows are bad, the first in line %d: %s", ErrBlockFile, report.Bad, report.Rows, report.BadRows[0].Line, report.BadRows[0].Rule)
	}
	gone, had, others, err := f.compare(ctx, reg, l, now)
	if err != nil {
		return report, err
	}
	if f.AddOnly {
		gone = nil
	}
	if float64(len(gone)) > f.MaxShrink*float64(had) {
		return report, fmt.Errorf("%w: it would take back %d of the %d blocks of the last one", ErrBlockFile, len(gone), had)
	}
	return report, f.apply(ctx, reg, l, gone, others, now, &report)
}

// A blockList is a file, sorted by number.
type blockList struct {
	entries []blockEntry
	reasons []string
}

var blockWords = [][]string{
	{"number", "mobile", "msisdn", "phone", "رقم الجوال", "الجوال", "رقم الهاتف"},
	{"scope", "النطاق"},
	{"reason", "السبب"},
	{"expires", "expires_at", "until", "تاريخ الانتهاء"},
}

func (f BlockFile) read(ctx context.Context, r io.Reader, now time.Time) (*blockList, BlockReport, error) {
	var report BlockReport
	list := &blockList{reasons: []string{""}}
	reasons := map[string]uint32{"": 0}
	l := newLines(ctxReader{ctx, r}, UTF8)
	at := []int(nil)
	for {
		has, err := l.next()
		if err != nil {
			return nil, report, err
		}
		if !has {
			break
		}
		if l.raw[0] == '#' {
			continue
		}
		if at == nil {
			l.delimit(delimiter(l.raw))
			at = []int{0, 1, 2, 3}
			names, bad := l.fields()
			l.feed = l.raw
			if bad == nil && slices.ContainsFunc(blockWords[0], func(w string) bool {
				return slices.ContainsFunc(names, func(n string) bool { return folded(n) == folded(w) })
			}) {
				if at, err = readHeader(names, blockWords); err != nil {
					return nil, report, onLine(err, l.line)
				}
				continue
			}
		}
		report.Rows++
		e, reason, bad := f.entry(l, at)
		if bad != nil {
			report.Bad++
			row := BlockBadRow{l.line, bad.column, bad.rule, ""}
			if len(report.BadRows) < maxBadRows || f.BadRow != nil {
				row.Row = strings.ToValidUTF8(string(l.raw[:min(len(l.raw), keptLine)]), "\ufffd")
			}
			if len(report.BadRows) < maxBadRows {
				report.BadRows = append(report.BadRows, row)
			}
			if f.BadRow != nil {
				f.BadRow(row)
			}
			continue
		}
		report.Good++
		if e.expires != 0 && e.expires <= now.Unix() {
			// Kept until the file is whole: it may replace an earlier row of its number.
			report.Expired++
		}
		i, has := reasons[reason]
		if !has {
			i = uint32(len(list.reasons))
			reason = strings.Clone(reason)
			list.reasons = append(list.reasons, reason)
			reasons[reason] = i
		}
		e.reason, e.line = i, uint32(l.line)
		list.entries = append(list.entries, e)
	}
	slices.SortFunc(list.entries, func(a, b blockEntry) int {
		switch {
		case a.number < b.number:
			return -1
		case a.number > b.number:
			return 1
		}
		return int(int64(b.line) - int64(a.line)) // the later first
	})
	n := len(list.entries)
	list.entries = slices.CompactFunc(list.entries, func(a, b blockEntry) bool { return a.number == b.number })
	report.Twice = int64(n - len(list.entries))
	list.entries = slices.DeleteFunc(list.entries, func(e blockEntry) bool { return e.expires != 0 && e.expires <= now.Unix() })
	return list, report, nil
}

func (f BlockFile) entry(l *lines, at []int) (e blockEntry, reason string, bad *badRow) {
	fields, bad := l.fields()
	if bad != nil {
		return e, "", bad
	}
	get := func(col int) string {
		if at[col] < 0 || at[col] >= len(fields) {
			return ""
		}
		return strings.TrimSpace(fields[at[col]])
	}
	if len(fields) > len(blockWords) {
		return e, "", &badRow{"", fmt.Sprintf("wrong_columns: has %d, at most %d", len(fields), len(blockWords))}
	}
	s := get(0)
	n, err := number.Parse(s, f.Country)
	if err != nil {
		return e, "", &badRow{"number", fmt.Sprintf("%v: %q", err, s)}
	}
	e.number = n
	switch s := get(1); {
	case s == "" || strings.EqualFold(s, "all"):
		e.scope = BlockAll
	case strings.EqualFold(s, "opt-in"):
		e.scope = BlockOptIn
	default:
		return e, "", &badRow{"scope", fmt.Sprintf("bad_value: %q is neither all nor opt-in", s)}
	}
	if reason = get(2); len(reason) > 100 {
		return e, "", &badRow{"reason", fmt.Sprintf("too_long: %d octets, at most 100", len(reason))}
	}
	if s := get(3); s != "" {
		until, day, ok := readDate(s, false, f.Zone)
		if !ok || until.Year() < 2000 {
			return e, "", &badRow{"expires", fmt.Sprintf("bad_date: %q; write 2026-11-23 or 2026-11-23T10:00:00+03:00", s)}
		}
		if day {
			until = until.AddDate(0, 0, 1)
		}
		e.expires = until.Unix()
	}
	return e, reason, nil
}

// A blockOther is a block of another channel that the file tightens.
type blockOther struct {
	number number.E164
	block  Block
}

// compare marks the entries with what the registry has. gone are blocks of the channel
// that the file has no more, had is how many it has in all, others are those to tighten.
func (f BlockFile) compare(ctx context.Context, reg Registry, l *blockList, now time.Time) (gone []number.E164, had int, others []blockOther, err error) {
	err = reg.EachBlocked(ctx, func(n number.E164, b Block) error {
		ours := b.Channel == f.Channel
		holds := b.In(now) != BlockNone
		if ours && holds {
			had++
		}
		i, has := slices.BinarySearchFunc(l.entries, n, func(e blockEntry, n number.E164) int {
			switch {
			case e.number < n:
				return -1
			case e.number > n:
				return 1
			}
			return 0
		})
		switch {
		case !has && ours && holds:
			gone = append(gone, n)
		case !has || !holds && !ours:
			// Not ours to touch, or over: an entry replaces it as if it were not there.
		case ours:
			e := &l.entries[i]
			e.met = metOther
			if b.Scope == e.scope && b.Reason == l.reasons[e.reason] && unixOf(b.Expires) == e.expires {
				e.met = metSame
			}
		default:
			e := &l.entries[i]
			e.met = metKept
			if b.Scope < e.scope || b.Scope == e.scope && ends(unixOf(b.Expires)) < ends(e.expires) {
				e.met = metToTighten
				others = append(others, blockOther{n, b})
			}
		}
		return nil
	})
	return gone, had, others, err
}

func unixOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// ends orders ends: never is the last.
func ends(at int64) int64 {
	if at == 0 {
		return 1<<63 - 1
	}
	return at
}

// apply makes the changes. Blocks come before what is lifted: a crash between leaves too
// much blocked, and the next Sync mends it.
func (f BlockFile) apply(ctx context.Context, reg Registry, l *blockList, gone []number.E164, others []blockOther, now time.Time, report *BlockReport) error {
	changes := make([]Change, 0, blockBatch)
	flush := func() error {
		if len(changes) == 0 {
			return nil
		}
		out, err := reg.Apply(ctx, Batch{Changes: changes})
		if err != nil {
			return err
		}
		for i := range out {
			if out[i].Err != nil {
				report.Refused++
			}
		}
		changes = changes[:0]
		return nil
	}
	add := func(c Change) error {
		changes = append(changes, c)
		if len(changes) == blockBatch {
			return flush()
		}
		return nil
	}
	slices.SortFunc(others, func(a, b blockOther) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	for i := range l.entries {
		e := &l.entries[i]
		c := Change{Kind: BlockNumber, Number: e.number, Channel: f.Channel, Now: now,
			Block: Block{Scope: e.scope, Reason: l.reasons[e.reason], Channel: f.Channel, At: now}}
		if e.expires != 0 {
			c.Block.Expires = time.Unix(e.expires, 0).UTC()
		}
		switch e.met {
		case metSame:
			report.Same++
			continue
		case metKept:
			report.Kept++
			continue
		case metNothing:
			report.Added++
		case metOther:
			report.Changed++
		case metToTighten:
			report.Changed++
			was := others[0].block // both are sorted
			others = others[1:]
			c.Channel, c.Block.Channel = was.Channel, was.Channel
			c.Block.Scope = max(was.Scope, e.scope)
			if ends(unixOf(was.Expires)) > ends(e.expires) {
				c.Block.Expires = was.Expires
			}
			if was.Reason != "" {
				c.Block.Reason = was.Reason
			}
		}
		if err := add(c); err != nil {
			return err
		}
	}
	for _, n := range gone {
		report.Removed++
		if err := add(Change{Kind: UnblockNumber, Number: n, Channel: f.Channel, Now: now}); err != nil {
			return err
		}
	}
	return flush()
}
