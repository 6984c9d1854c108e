package smppload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"masar/smpp/pdu"
)

// readBuffer is what one read takes at most.
const readBuffer = 128 << 10

// maxPDU is the largest PDU taken from a server.
const maxPDU = 128 << 10

// throttlePause is how long a bind submits nothing after an answer that says "slower".
const throttlePause = 20 * time.Millisecond

// catchUp is how far behind its rate a bind may be and still make up for it. Beyond, as
// after a lost connection, what was not sent in time is not sent in a burst either.
const catchUp = 100 * time.Millisecond

var (
	errUnbindAnswered = errors.New("unbound")
	errServerUnbound  = errors.New("the server unbound")
	errFraming        = errors.New("impossible command_length from the server")
)

// BindError is a bind that was refused.
type BindError struct {
	SystemID string
	Status   pdu.Status
}

func (e *BindError) Error() string {
	return fmt.Sprintf("bind of %s refused: %s (%s)", e.SystemID, e.Status, e.Status.Text())
}

// byeWait is how long the server's unbind is left unanswered for the answers to submits
// that crossed it on the wire.
const byeWait = time.Second

// slot is a place in the window. Its index is the low half of the sequence_number, so an
// answer finds it without a map; the high half tells laps apart.
type slot struct {
	seq    uint32
	busy   bool
	number uint64
	at     int64 // ns, when the submit was written
}

// bind is one connection, and the next ones in its place. Its goroutine owns all but the
// atomics.
type bind struct {
	r       *run
	index   int // among those that submit
	submits bool
	mode    pdu.Command

	conn     net.Conn
	deadline int64
	buf, out []byte
	have     int
	spoke    int64 // when anything last came
	looked   int64 // when idle last ran
	asked    bool  // an enquire_link is on its way
	control  uint32
	bye      uint32 // sequence_number of the server's unbind, once it has come
	byeUntil int64  // ns, when unbind_resp goes out with submits still unanswered

	slots       []slot
	free        []uint16
	again       []uint64 // messages that were answered "slower", with Options.Again
	scheduled   int64    // submits that the rate has allowed for so far
	pausedUntil int64
	notBefore   int64 // the rate has nothing due until then
	template    int

	resp, receiptLag histogram
	statuses         map[pdu.Status]uint64
	states           map[string]*uint64
	turn             counters // of this turn, added to the run's at its end
	msg              pdu.MessageResp
	sm               pdu.DeliverSM
	data             pdu.DataSM

	open  atomic.Int64 // claimed and neither answered nor uncertain
	bound atomic.Bool
	dead  atomic.Bool // will not come again
	live  atomic.Pointer[net.Conn]
}

type counters struct {
	sent, accepted, refused, uncertain                              uint64
	receipts, dup, strange, unsought, ofUncertain, intermediate, mo uint64
	awaited                                                         int64
}

func newBind(r *run, index int, submits bool) *bind {
	b := &bind{
		r: r, index: index, submits: submits, mode: pdu.CmdBindTransceiver,
		buf: make([]byte, readBuffer), statuses: make(map[pdu.Status]uint64), states: make(map[string]*uint64),
		slots: make([]slot, r.opt.Window), template: index,
	}
	switch {
	case !submits:
		b.mode = pdu.CmdBindReceiver
	case r.opt.Receivers > 0:
		b.mode = pdu.CmdBindTransmitter
	}
	for i := len(b.slots) - 1; i >= 0; i-- {
		b.free = append(b.free, uint16(i))
	}
	return b
}

// connect dials and binds.
func (b *bind) connect(ctx context.Context) error {
	o := &b.r.opt
	conn, err := o.Dial(ctx, o.Addr)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	b.out = pdu.Append(b.out[:0], b.mode, pdu.ESME_ROK, b.nextControl(), &pdu.Bind{
		SystemID: []byte(o.SystemID), Password: []byte(o.Password), SystemType: []byte(o.SystemType),
		InterfaceVersion: 0x34,
	})
	_, err = conn.Write(b.out)
	b.out = b.out[:0]
	for b.have = 0; err == nil; {
		var n int
		if n, err = conn.Read(b.buf[b.have:]); err != nil {
			break
		}
		if b.have += n; b.have < pdu.HeaderLen {
			continue
		}
		h := pdu.ParseHeader(b.buf)
		if h.Length < pdu.HeaderLen || h.Length > maxPDU {
			err = errFraming
			break
		}
		if b.have < int(h.Length) {
			continue
		}
		if h.Status != pdu.ESME_ROK {
			err = &BindError{SystemID: o.SystemID, Status: h.Status}
			break
		}
		if h.Command != b.mode.Resp() {
			err = fmt.Errorf("%s instead of %s", h.Command, b.mode.Resp())
			break
		}
		b.have = copy(b.buf, b.buf[h.Length:b.have])
		conn.SetDeadline(time.Time{})
		b.conn, b.deadline, b.asked, b.byeUntil = conn, 0, false, 0
		b.spoke = time.Now().UnixNano()
		b.live.Store(&conn)
		b.bound.Store(true)
		return nil
	}
	conn.Close()
	return err
}

// nextControl is a sequence_number that no submit has: their low half is below 0xFFFF.
func (b *bind) nextControl() uint32 {
	b.control = (b.control + 1) & 0x7FFE
	return b.control<<16 | 0xFFFF
}

// lost gives up what had no answer when the connection ended.
func (b *bind) lost() {
	b.bound.Store(false)
	b.live.Store(nil)
	b.conn.Close()
	b.out = b.out[:0]
	for i := range b.slots {
		if s := &b.slots[i]; s.busy {
			b.uncertain(uint16(i))
		}
	}
	b.publish()
}

func (b *bind) uncertain(i uint16) {
	s := &b.slots[i]
	s.busy = false
	b.free = append(b.free, i)
	before := b.r.ledger.mark(s.number, Uncertain)
	if before.Has(Receipted) {
		b.turn.ofUncertain++
	}
	b.turn.uncertain++
	b.open.Add(-1)
}

// work runs until the connection or the run ends; nil means orderly.
func (b *bind) work() error {
	stopAt := int64(0) // once unbind is sent
	if err := b.frames(time.Now().UnixNano()); err != nil {
		return err
	}
	for {
		now := time.Now().UnixNano()
		next := now + int64(time.Second)
		switch {
		case b.byeUntil != 0:
			if next = b.byeUntil; now > b.byeUntil || len(b.free) == len(b.slots) {
				b.out = pdu.Append(b.out, pdu.CmdUnbindResp, pdu.ESME_ROK, b.bye, nil)
				b.conn.Write(b.out)
				b.out = b.out[:0]
				return errServerUnbound
			}
		case stopAt != 0:
			if next = stopAt; now > stopAt {
				return nil // unbind unanswered: good enough for a client that is done
			}
		case b.r.stopping.Load():
			b.out = pdu.Append(b.out, pdu.CmdUnbind, pdu.ESME_ROK, b.nextControl(), nil)
			stopAt = now + int64(2*time.Second)
			next = stopAt
		case b.submits:
			next = min(next, b.fill(now))
		}
		if len(b.out) > 0 {
			b.conn.SetWriteDeadline(time.Unix(0, now+int64(30*time.Second)))
			_, err := b.conn.Write(b.out)
			b.out = b.out[:0]
			if err != nil {
				return err
			}
		}
		b.publish()
		if now-b.looked > int64(time.Second) {
			b.looked = now
			b.idle(now)
		}
		// Renewing a deadline costs about as much as a message: only when it matters.
		if next < b.deadline || b.deadline-now < int64(500*time.Millisecond) {
			b.deadline = next
			b.conn.SetReadDeadline(time.Unix(0, next))
			if b.r.stopping.Load() && stopAt == 0 {
				continue // it may have been poked just before
			}
		}
		n, err := b.conn.Read(b.buf[b.have:])
		if n > 0 {
			b.have += n
			if err := b.frames(time.Now().UnixNano()); err != nil {
				if errors.Is(err, errUnbindAnswered) && stopAt != 0 {
					err = nil
				}
				b.conn.Write(b.out)
				b.out = b.out[:0]
				b.publish()
				return err
			}
		}
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			}
			b.deadline = 0
		}
	}
}

// fill appends as many submits as window, rate and count allow and returns when it may
// be called again for more.
func (b *bind) fill(now int64) (again int64) {
	r := b.r
	again = now + int64(time.Second)
	ms := uint32((now - r.start) / int64(time.Millisecond))
	if len(b.again) > 0 {
		if b.pausedUntil > now {
			return min(again, b.pausedUntil)
		}
		for n := min(len(b.again), len(b.free)); n > 0; n-- {
			last := len(b.again) - 1
			b.submit(b.again[last], now, ms)
			b.again = b.again[:last]
		}
	}
	if r.over(now) {
		return again
	}
	if r.until != 0 {
		again = min(again, r.until)
	}
	if b.pausedUntil > now {
		return min(again, b.pausedUntil)
	}
	n := len(b.free)
	if r.perBind > 0 {
		// The k-th submit of bind i is due at (k + i/binds) / perBind: the binds take
		// turns instead of all sending at once.
		if now < b.notBefore {
			return min(again, b.notBefore)
		}
		ideal := float64(now-r.start)/1e9*r.perBind - float64(b.index)/float64(r.opt.Binds)
		due := int64(ideal) + 1 - b.scheduled
		if ideal < 0 {
			due = 0
		}
		if most := int64(r.perBind*catchUp.Seconds()) + 1; due > most {
			b.scheduled += due - most
			due = most
		}
		n = int(min(int64(n), due))
		defer func() {
			if len(b.free) > 0 {
				at := (float64(b.scheduled) + float64(b.index)/float64(r.opt.Binds)) / r.perBind
				// Above 1000/s several are due at a time: a wake-up costs more than a message.
				b.notBefore = max(r.start+int64(at*1e9), now+int64(time.Millisecond))
				again = min(again, b.notBefore)
			}
		}()
	}
	if n <= 0 {
		return again
	}
	b.open.Add(int64(n)) // before the claim: the run must never see "all claimed, none open"
	first, got := r.claim(n)
	b.open.Add(int64(got - n))
	b.scheduled += int64(got)
	for i := range got {
		b.submit(first+uint64(i), now, ms)
	}
	return again
}

// submit appends a message's submit_sm. REQUIRES: a slot is free.
func (b *bind) submit(number uint64, now int64, ms uint32) {
	r := b.r
	k := b.free[len(b.free)-1]
	b.free = b.free[:len(b.free)-1]
	s := &b.slots[k]
	// 0x0001xxxx to 0x7FFFxxxx, never 0.
	lap := s.seq>>16%0x7FFF + 1
	*s = slot{seq: lap<<16 | uint32(k), busy: true, number: number, at: now}
	r.ledger.sent(number, ms)
	t := &r.templates[b.template%len(r.templates)]
	b.template++
	b.out = t.append(b.out, &r.numbering, number, s.seq)
	b.turn.sent++
}

// frames handles the whole PDUs in buf.
func (b *bind) frames(now int64) error {
	used := 0
	for b.have-used >= pdu.HeaderLen {
		h := pdu.ParseHeader(b.buf[used:])
		if h.Length < pdu.HeaderLen || h.Length > maxPDU {
			return errFraming
		}
		end := used + int(h.Length)
		if end > b.have {
			if need := int(h.Length); need > len(b.buf) {
				b.buf = append(b.buf, make([]byte, need-len(b.buf))...)
			}
			break
		}
		if err := b.handle(h, b.buf[used+pdu.HeaderLen:end], now); err != nil {
			return err
		}
		used = end
	}
	if used > 0 {
		b.spoke, b.asked = now, false
		b.have = copy(b.buf, b.buf[used:b.have])
	}
	return nil
}

// idle runs once a second: enquire_link, and answers that never came.
func (b *bind) idle(now int64) {
	for i := range b.slots {
		if s := &b.slots[i]; s.busy && now-s.at > int64(b.r.opt.Response) {
			b.uncertain(uint16(i))
		}
	}
	if quiet := time.Duration(now - b.spoke); quiet > 2*b.r.opt.EnquireLink {
		b.conn.Close() // the next read says so
	} else if quiet > b.r.opt.EnquireLink && !b.asked {
		b.asked = true
		b.out = pdu.Append(b.out, pdu.CmdEnquireLink, pdu.ESME_ROK, b.nextControl(), nil)
	}
}

// publish adds this turn's counts to the run's.
func (b *bind) publish() {
	if b.turn != (counters{}) {
		b.r.add(&b.turn)
		b.turn = counters{}
	}
}
