package pebble

import (
	"errors"
	"log/slog"
	"math/bits"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/number"
	"masar/service"
)

// A bulk file of new people asks for two rows a person that are not there. The engine has
// filters too, one a file, but to ask all of them and the memtables takes 14 µs of CPU a
// row at 3,000,000, 60% of the whole import. One filter over all rows, kept in memory while
// a bulk load runs and a while after, takes a tenth of a microsecond.
//
// It belongs to the writer. What the folder holds is read into it by a goroutine of its
// own, from a snapshot, when the first bulk batch comes; what is written meanwhile goes
// into a second filter. Until the first is ready the engine is asked. A row that is
// removed stays in the filter: it is then asked for in vain, no more.
type filter struct {
	on       bool
	from     sieve        // rows of the snapshot
	since    sieve        // rows written after it
	coming   <-chan sieve // from; nil once it has come. Closed without one where the read failed
	lastBulk time.Time
}

const (
	filterFrom = 256             // changes of one group that make a bulk load of it
	filterIdle = 5 * time.Minute // without bulk, after which the memory is given back
)

// absent says that there is certainly no row of this hash.
func (f *filter) absent(hash uint64) bool {
	return f.on && f.coming == nil && !f.from.has(hash) && !f.since.has(hash)
}

func (f *filter) add(hash uint64) {
	if f.on {
		f.since.add(hash)
	}
}

// look is the writer's, before each group of so many changes.
func (w *writer) look(changes int) {
	f := &w.rows.filter
	if changes >= filterFrom {
		if f.lastBulk = time.Now(); !f.on {
			w.readFilter()
		}
	}
	if f.coming == nil {
		return
	}
	select {
	case from, ok := <-f.coming:
		f.coming = nil
		if f.from = from; !ok {
			*f = filter{lastBulk: f.lastBulk}
		}
	default:
	}
}

// forgetFilter gives the memory back when no bulk has come for a while.
func (w *writer) forgetFilter(now time.Time) {
	if f := &w.rows.filter; f.on && f.coming == nil && now.Sub(f.lastBulk) > filterIdle {
		*f = filter{}
	}
}

var errStopped = errors.New("the registry is closing")

// readFilter begins to read what the folder holds. Nothing is in flight: the snapshot and
// what is written from here on are all there is.
func (w *writer) readFilter() {
	r := w.r
	coming := make(chan sieve, 1)
	w.rows.filter = filter{on: true, coming: coming, lastBulk: w.rows.filter.lastBulk}
	snap := r.db.NewSnapshot()
	keys := r.total.subscribers + r.total.numbers
	if keys == 0 {
		keys = 1
	}
	r.wg.Go(func() {
		defer close(coming)
		defer snap.Close()
		var b sieve
		b.grow(uint64(keys) + uint64(keys)/16)
		n := 0
		err := scanKeys(snap, kindNumber, kindPerson, func(k []byte) error {
			if n++; n%4096 == 0 {
				select {
				case <-r.quit:
					return errStopped
				default:
				}
			}
			switch {
			case k[0] == kindNumber && len(k) == numberKeyLen:
				b.add(numberHash(number.E164(be.Uint64(k[1:]))))
			case k[0] == kindPerson && len(k) == 17:
				b.add(personHash(service.Person(k[1:])))
			}
			return nil
		})
		switch {
		case err == nil:
			coming <- b
		case err != errStopped:
			r.o.Log.Warn("bulk changes stay slow: the rows there are could not be read", slog.Any("err", err))
		}
	})
}

// scanKeys calls f with the keys of some kinds.
func scanKeys(from pdb.Reader, first, second byte, f func(k []byte) error) error {
	for _, kind := range [...]byte{first, second} {
		if err := scan(from, []byte{kind}, func(k, _ []byte) error { return f(k) }); err != nil {
			return err
		}
	}
	return nil
}

// A sieve is a Bloom filter that grows by layers, each as large as all before it. A key sets five
// bits of one line of 512, of which there is one for 64 keys: one in some forty that are not
// there is taken for one that may be.
type sieve struct {
	layers []layer
	all    uint64 // keys that the layers are made for
}

type layer struct {
	lines [][8]uint64
	room  uint64 // keys that it is still good for
}

const (
	sieveLine  = 64      // keys a line of 64 octets
	sieveFirst = 1 << 20 // keys of the first layer
)

// grow adds a layer for so many keys.
func (b *sieve) grow(keys uint64) {
	b.layers = append(b.layers, layer{lines: make([][8]uint64, keys/sieveLine+1), room: keys})
	b.all += keys
}

func (b *sieve) add(hash uint64) {
	if len(b.layers) == 0 || b.layers[len(b.layers)-1].room == 0 {
		b.grow(max(sieveFirst, b.all))
	}
	l := &b.layers[len(b.layers)-1]
	l.room--
	line, bit := l.line(hash)
	for range 5 {
		line[bit>>6&7] |= 1 << (bit & 63)
		bit >>= 9
	}
}

func (b *sieve) has(hash uint64) bool {
	for i := range b.layers {
		line, bit := b.layers[i].line(hash)
		set := uint64(1)
		for range 5 {
			set &= line[bit>>6&7] >> (bit & 63)
			bit >>= 9
		}
		if set != 0 {
			return true
		}
	}
	return false
}

// line is where a hash belongs, and the bits it sets there, nine each from the lowest up.
func (l *layer) line(hash uint64) (line *[8]uint64, bit uint64) {
	at, _ := bits.Mul64(hash, uint64(len(l.lines)))
	return &l.lines[at], mix(hash)
}

// mix is the last step of splitmix64: every bit of x stirs every bit of what comes out.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

func numberHash(n number.E164) uint64 { return mix(uint64(n) + 0x9E3779B97F4A7C15) }

func personHash(p service.Person) uint64 {
	return mix(be.Uint64(p[:8]) ^ mix(be.Uint64(p[8:])+0x9E3779B97F4A7C15))
}
