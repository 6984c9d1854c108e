package smppload

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Outcome is what is known of one message. Bits, since a receipt may come before the
// response, or for a message whose response never came.
type Outcome uint8

const (
	Sent        Outcome = 1 << iota // written, or at least begun
	Accepted                        // answered ESME_ROK
	Refused                         // answered otherwise
	Uncertain                       // the connection ended, or time, before the answer
	Receipted                       // its final receipt came
	ReceiptTwin                     // and came again
	hashKnown                       // the upper bits hold its message_id
)

func (o Outcome) Has(bits Outcome) bool { return o&bits == bits }

// Ledger knows every message of a run by its number. Its methods may be called at any
// time, by several goroutines.
type Ledger struct {
	first  uint64
	chunks []atomic.Pointer[ledgerChunk]

	mu  sync.Mutex
	ids map[uint64]string // nil unless Options.KeepIDs
}

// A word holds the outcome in its low octet and 56 bits of the message_id's hash.
type ledgerChunk struct {
	words [ledgerChunkLen]atomic.Uint64
	at    [ledgerChunkLen]uint32 // ms from the start of the run to the submit
}

const ledgerChunkLen = 1 << 16

func newLedger(first, space uint64, keepIDs bool) *Ledger {
	l := &Ledger{first: first, chunks: make([]atomic.Pointer[ledgerChunk], (space-first)/ledgerChunkLen+1)}
	if keepIDs {
		l.ids = make(map[uint64]string)
	}
	return l
}

func (l *Ledger) chunk(number uint64) (*ledgerChunk, uint64) {
	at := number - l.first
	p := &l.chunks[at/ledgerChunkLen]
	c := p.Load()
	if c == nil {
		c = new(ledgerChunk)
		if !p.CompareAndSwap(nil, c) {
			c = p.Load()
		}
	}
	return c, at % ledgerChunkLen
}

// sent enters a message.
func (l *Ledger) sent(number uint64, ms uint32) {
	c, i := l.chunk(number)
	c.at[i] = ms
	c.words[i].Store(uint64(Sent))
}

// mark adds bits.
func (l *Ledger) mark(number uint64, bits Outcome) Outcome {
	c, i := l.chunk(number)
	return Outcome(c.words[i].Or(uint64(bits)))
}

// accepted enters an ESME_ROK and its message_id. before is the outcome until now;
// strange is true when a receipt has already come and named another message_id.
func (l *Ledger) accepted(number uint64, id []byte) (before Outcome, strange bool) {
	c, i := l.chunk(number)
	w := &c.words[i]
	hash := idHash(id)
	for {
		old := w.Load()
		o := Outcome(old)
		if strange = o.Has(hashKnown) && old>>8 != hash; strange {
			o &^= Receipted | ReceiptTwin
		}
		if w.CompareAndSwap(old, hash<<8|uint64(o|Accepted|hashKnown)) {
			if l.ids != nil {
				l.mu.Lock()
				l.ids[number] = string(id)
				l.mu.Unlock()
			}
			return o, strange
		}
	}
}

type receiptVerdict uint8

const (
	receiptFirst    receiptVerdict = iota // the first of its message
	receiptAgain                          // a duplicate
	receiptStrange                        // its message_id is not its message's
	receiptUnsought                       // its message was not sent in this run, or refused
)

// receipt enters a final receipt. ms is when its message was submitted.
func (l *Ledger) receipt(number uint64, id []byte) (v receiptVerdict, before Outcome, ms uint32) {
	if number < l.first || (number-l.first)/ledgerChunkLen >= uint64(len(l.chunks)) ||
		l.chunks[(number-l.first)/ledgerChunkLen].Load() == nil {
		return receiptUnsought, 0, 0
	}
	c, i := l.chunk(number)
	w := &c.words[i]
	hash := idHash(id)
	for {
		old := w.Load()
		o := Outcome(old)
		if !o.Has(Sent) || o.Has(Refused) {
			return receiptUnsought, o, 0
		}
		if o.Has(hashKnown) && old>>8 != hash {
			return receiptStrange, o, 0
		}
		v, bits := receiptFirst, Receipted|hashKnown
		if o.Has(Receipted) {
			v, bits = receiptAgain, ReceiptTwin
		}
		if w.CompareAndSwap(old, hash<<8|uint64(o|bits)) {
			return v, o, c.at[i]
		}
	}
}

// idHash is FNV-1a, its upper 56 bits.
func idHash(id []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range id {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h >> 8
}

// Outcome returns what is known of a message; 0 for one that was not sent.
func (l *Ledger) Outcome(number uint64) Outcome {
	if number < l.first || (number-l.first)/ledgerChunkLen >= uint64(len(l.chunks)) {
		return 0
	}
	c := l.chunks[(number-l.first)/ledgerChunkLen].Load()
	if c == nil {
		return 0
	}
	return Outcome(c.words[(number-l.first)%ledgerChunkLen].Load()) &^ hashKnown
}

// ID returns the message_id of an accepted message; "" unless Options.KeepIDs.
func (l *Ledger) ID(number uint64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ids[number]
}

// All yields every message sent, by rising number.
func (l *Ledger) All(yield func(number uint64, o Outcome) bool) {
	for k := range l.chunks {
		c := l.chunks[k].Load()
		if c == nil {
			continue
		}
		for i := range c.words {
			o := Outcome(c.words[i].Load()) &^ hashKnown
			if o.Has(Sent) && !yield(l.first+uint64(k)*ledgerChunkLen+uint64(i), o) {
				return
			}
		}
	}
}

func (o Outcome) String() string {
	names := [...]string{"sent", "accepted", "refused", "uncertain", "receipted", "twice"}
	s := ""
	for i, n := range names {
		if o&(1<<i) != 0 {
			s += "," + n
		}
	}
	if s == "" {
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
	return s[1:]
}
