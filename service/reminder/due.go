package reminder

import (
	"errors"
	"sync"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/engine"
)

// each calls f with the rows that begin with prefix, from the key `from` on where that is
// set, until f says false.
func each(db *engine.DB, prefix, from []byte, f func(k, v []byte) (bool, error)) (err error) {
	if from == nil {
		from = prefix
	}
	it, err := db.NewIter(&pdb.IterOptions{LowerBound: from, UpperBound: after(prefix)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if more, err := f(it.Key(), v); err != nil || !more {
			return err
		}
	}
	return it.Error()
}

// A place is where a series stands among all that are due.
type place struct {
	at int64
	id uint64
}

func (p place) before(o place) bool { return p.at < o.at || p.at == o.at && p.id < o.id }

// front is where the first row of kind D may be. What is behind it was done, and is only
// gravestones to the engine: looking through those each time would cost more than the work.
type front struct {
	mu   sync.Mutex
	low  place
	some bool  // since the pass began, a row came in
	came place // the first of those
	wake chan struct{}
}

// entered says that a row stands at p, which may be in front of low.
func (f *front) entered(p place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.before(f.low) {
		f.low = p
	}
	if !f.some || p.before(f.came) {
		f.some, f.came = true, p
	}
}

func (f *front) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *front) begin() place {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.some = false
	return f.low
}

// end moves low to what a pass has seen, unless a row came in before that.
func (f *front) end(p place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.some && f.came.before(p) {
		p = f.came
	}
	f.low = p
}

// A Due is a series with something to be done.
type Due struct {
	ID   uint64
	At   time.Time
	Hash uint64 // of its account and key
}

// Wake tells that a series may have become due sooner than Due has said.
func (st *Store) Wake() <-chan struct{} { return st.front.wake }

// TakeDue appends up to max series of which something is due at now, first come first;
// those that skip keeps out come again. next is when the one after is due; zero: none is
// kept, or max were found. Each is told once, until it is changed or put back with Again. It
// belongs to one goroutine.
func (st *Store) TakeDue(now time.Time, max int, skip func(hash uint64) bool, into []Due) (due []Due, skipped bool, next time.Time, err error) {
	if err := st.db.Begin(); err != nil {
		return into, false, time.Time{}, err
	}
	defer st.db.End()
	low := st.front.begin()
	seen := low
	var first place // skipped
	taken := 0
	err = each(st.db, []byte{kindDue}, dueKey(nil, low.at, low.id), func(k, v []byte) (bool, error) {
		if len(k) != 17 || len(v) != 8 {
			return false, errRow
		}
		p := place{int64(be.Uint64(k[1:])), be.Uint64(k[9:])}
		if p.at > now.Unix() {
			next, seen = time.Unix(p.at, 0), p
			return false, nil
		}
		if taken == max {
			seen = p
			return false, nil
		}
		seen = place{p.at, p.id + 1}
		if hash := be.Uint64(v); !skip(hash) {
			into = append(into, Due{p.id, time.Unix(p.at, 0), hash})
			taken++
		} else if !skipped {
			first, skipped = p, true
		}
		return true, nil
	})
	if err != nil {
		st.front.entered(low)
		return into, skipped, next, err
	}
	if skipped {
		seen = first
	}
	st.front.end(seen)
	return into, skipped, next, nil
}

// Again says that a series that TakeDue told of was not dealt with.
func (st *Store) Again(d *Due) { st.front.entered(place{d.At.Unix(), d.ID}) }
