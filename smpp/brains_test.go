package smpp

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"masar/smpp/pdu"
)

func TestClockworkAsksThenEnds(t *testing.T) {
	full := Timers{SessionInit: 5 * time.Second, EnquireLink: 30 * time.Second, Inactivity: 2 * time.Minute, Response: 10 * time.Second}
	s := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	for _, row := range []struct {
		name  string
		clock clockwork
		now   time.Duration
		due   demand
		next  time.Duration
	}{
		{"open, in time", clockwork{Timers: full}, s(4.9), demandNothing, s(5)},
		{"open, too late", clockwork{Timers: full}, s(5), demandInit, s(5)},
		{"open, no session_init", clockwork{}, s(1e6), demandNothing, forever},
		{"bound, all off", clockwork{bound: true}, s(1e6), demandNothing, forever},
		{"just heard", clockwork{Timers: full, bound: true, heardAt: s(100)}, s(101), demandNothing, s(130)},
		{"silent", clockwork{Timers: full, bound: true, heardAt: s(100)}, s(130), demandProbe, s(140)},
		{"asked", clockwork{Timers: full, bound: true, heardAt: s(100), probedAt: s(130)}, s(139), demandNothing, s(140)},
		{"no answer", clockwork{Timers: full, bound: true, heardAt: s(100), probedAt: s(130)}, s(140), demandDead, s(140)},
		{"inactivity alone", clockwork{Timers: Timers{Inactivity: s(60)}, bound: true}, s(60), demandProbe, s(70)},
		{"inactivity is shorter", clockwork{Timers: Timers{Inactivity: s(20), EnquireLink: s(30), Response: s(3)}, bound: true}, s(20), demandProbe, s(23)},
		{"unbind waits", clockwork{Timers: full, bound: true, unbindAt: s(50)}, s(59), demandNothing, s(60)},
		{"unbind is not answered", clockwork{Timers: full, bound: true, unbindAt: s(50)}, s(60), demandUnbind, s(60)},
		{"unbinding, nobody asks", clockwork{Timers: full, bound: true, heardAt: s(1), unbindAt: s(50)}, s(51), demandNothing, s(60)},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := row.clock
			due, next := c.turn(row.now)
			if due != row.due || next != row.next {
				t.Errorf("turn(%v) = %d, %v; want %d, %v", row.now, due, next, row.due, row.next)
			}
			if due == demandProbe {
				if again, _ := c.turn(row.now); again != demandNothing {
					t.Errorf("asked twice")
				}
				c.heard(row.now + 1)
				if again, _ := c.turn(row.now + s(12)); again != demandNothing {
					t.Errorf("the answer did not count: %d", again)
				}
			}
		})
	}
}

func TestSequenceNumbersWrapAndSkipWhatIsOutstanding(t *testing.T) {
	p := newPending(64, 0x7FFFFFF0)
	var got []uint32
	for i := range 40 {
		seq := p.next()
		got = append(got, seq)
		if i < 3 { // 0x7FFFFFF0.. stay unanswered
			p.add(seq, pdu.CmdSubmitSM, i, 0)
		}
	}
	if got[15] != 0x7FFFFFFF || got[16] != 1 {
		t.Fatalf("at the wrap: %#x %#x", got[15], got[16])
	}
	p.last = 0x7FFFFFEE // nearly a lap later
	for _, want := range []uint32{0x7FFFFFEF, 0x7FFFFFF3, 0x7FFFFFF4} {
		if seq := p.next(); seq != want {
			t.Fatalf("after a lap %#x, want %#x", seq, want)
		}
	}
	p.expire(nil, time.Minute, time.Second) // late ones still answer to their number
	p.last = 0x7FFFFFEF
	if seq := p.next(); seq != 0x7FFFFFF3 {
		t.Fatalf("a late one's number was given again: %#x", seq)
	}
}

// A model of the table: a map.
func TestPendingAgreesWithAMap(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		limit := 1 + rnd.IntN(300)
		p := newPending(limit, 0x7FFFFFFF-uint32(rnd.IntN(500)))
		model := map[uint32]int{}
		var order []uint32
		for n := range 5000 {
			if rnd.IntN(2) == 0 && p.free() > 0 {
				seq := p.next()
				if _, twice := model[seq]; twice || seq == 0 || seq > maxSequence {
					t.Fatalf("seed %d: %#x given", seed, seq)
				}
				p.add(seq, pdu.CmdSubmitSM, n, 0)
				model[seq] = n
				order = append(order, seq)
			} else if len(order) > 0 {
				i := rnd.IntN(len(order))
				seq := order[i]
				order = slices.Delete(order, i, i+1)
				r, late, found := p.take(seq, pdu.CmdSubmitSMResp, 0, 0)
				if found != matched || late || r.token != model[seq] {
					t.Fatalf("seed %d: take(%#x) = %v %v %v", seed, seq, r, late, found)
				}
				delete(model, seq)
				if _, _, found := p.take(seq, pdu.CmdSubmitSMResp, 0, 0); found != noMatch {
					t.Fatalf("seed %d: %#x answered twice", seed, seq)
				}
			}
			if p.count != len(model) || p.free() != limit-len(model) {
				t.Fatalf("seed %d: count %d free %d, want %d of %d", seed, p.count, p.free(), len(model), limit)
			}
		}
		if len(p.slots) > ceilPow2(2*limit) {
			t.Fatalf("the table has %d slots for a window of %d", len(p.slots), limit)
		}
		want := make([]any, len(order))
		for i, seq := range order {
			want[i] = model[seq]
		}
		if got := p.drain(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("seed %d: drain = %v, want %v", seed, got, want)
		}
	}
}

func TestExpiredRequestsAreKnownForTenTimesTheResponseTime(t *testing.T) {
	const response = 10 * time.Second
	p := newPending(4, 1)
	for i := range 3 {
		p.add(p.next(), pdu.CmdSubmitSM, i, time.Duration(i)*time.Second)
	}
	if late := p.expire(nil, 11*time.Second, response); len(late) != 2 || late[0].token != 0 || late[1].token != 1 {
		t.Fatalf("expired: %v", late)
	}
	if p.free() != 3 || p.oldest() != 2*time.Second {
		t.Fatalf("free %d oldest %v", p.free(), p.oldest())
	}
	if r, late, found := p.take(1, pdu.CmdSubmitSMResp, 109*time.Second, response); found != matched || !late || r.token != 0 {
		t.Fatalf("late answer: %v %v %v", r, late, found)
	}
	if _, _, found := p.take(2, pdu.CmdDeliverSMResp, 109*time.Second, response); found != wrongCommand {
		t.Fatalf("another command's answer: %v", found)
	}
	if _, _, found := p.take(2, pdu.CmdGenericNack, 112*time.Second, response); found != noMatch {
		t.Fatalf("an answer after ten response times: %v", found)
	}
}

func TestLateRequestsAreBounded(t *testing.T) {
	p := newPending(100, 1)
	for range 200 {
		for range 100 {
			p.add(p.next(), pdu.CmdSubmitSM, nil, 0)
		}
		p.expire(nil, time.Second, time.Second)
	}
	if len(p.late) > maxLate || len(p.lateOrder) > maxLate {
		t.Fatalf("%d late ones kept, %d in order", len(p.late), len(p.lateOrder))
	}
	if _, late, found := p.take(20000, pdu.CmdSubmitSMResp, time.Second, time.Second); found != matched || !late {
		t.Fatalf("the newest is forgotten: %v", found)
	}
}

func TestBackoffWaits(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 30 * time.Second, Factor: 2, Jitter: 0.2, Refused: 5 * time.Minute, AlreadyBound: 20 * time.Second}
	bind := func(st pdu.Status) error { return fmt.Errorf("wrapped: %w", &BindError{Status: st}) }
	for _, row := range []struct {
		name     string
		failures int
		cause    error
		random   float64
		want     time.Duration
	}{
		{"first", 1, ErrPeerClosed, 0.5, time.Second},
		{"third", 3, ErrPeerClosed, 0.5, 4 * time.Second},
		{"bounded", 1000, ErrPeerClosed, 0.5, 30 * time.Second},
		{"jitter below", 1, ErrPeerClosed, 0, 800 * time.Millisecond},
		{"jitter above", 1, ErrPeerClosed, 1, 1200 * time.Millisecond},
		{"password", 1, bind(pdu.ESME_RINVPASWD), 0.5, 5 * time.Minute},
		{"system_id", 9, bind(pdu.ESME_RINVSYSID), 0.5, 5 * time.Minute},
		{"already bound", 1, bind(pdu.ESME_RALYBND), 0.5, 20 * time.Second},
		{"already bound for long", 9, bind(pdu.ESME_RALYBND), 0.5, 30 * time.Second},
		{"bind failed", 2, bind(pdu.ESME_RBINDFAIL), 0.5, 2 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := b.Wait(row.failures, row.cause, row.random); got != row.want {
				t.Errorf("Wait = %v, want %v", got, row.want)
			}
		})
	}
	zero := Backoff{}.withDefaults()
	for n := range 100 {
		if w := zero.Wait(n, nil, 0); w < 500*time.Millisecond {
			t.Fatalf("failure %d waits %v: a tight loop", n, w)
		}
	}
}

func TestStateTable(t *testing.T) {
	all := []State{Open, BoundTX, BoundRX, BoundTRX, Unbinding, Closed}
	for _, row := range []struct {
		receiver Role
		cmd      pdu.Command
		in       []State
	}{
		{SMSC, pdu.CmdSubmitSM, []State{BoundTX, BoundTRX}},
		{SMSC, pdu.CmdSubmitMulti, []State{BoundTX, BoundTRX}},
		{SMSC, pdu.CmdDataSM, []State{BoundTX, BoundTRX}},
		{SMSC, pdu.CmdQuerySM, []State{BoundTX, BoundTRX}},
		{SMSC, pdu.CmdCancelSM, []State{BoundTX, BoundTRX}},
		{SMSC, pdu.CmdReplaceSM, []State{BoundTX, BoundTRX}},
		{SMSC, pdu.CmdDeliverSM, nil},
		{SMSC, pdu.CmdAlertNotification, nil},
		{SMSC, pdu.CmdOutbind, nil},
		{ESME, pdu.CmdSubmitSM, nil},
		{ESME, pdu.CmdSubmitMulti, nil},
		{ESME, pdu.CmdQuerySM, nil},
		{ESME, pdu.CmdDeliverSM, []State{BoundRX, BoundTRX}},
		{ESME, pdu.CmdDataSM, []State{BoundRX, BoundTRX}},
		{ESME, pdu.CmdAlertNotification, []State{BoundRX, BoundTRX}},
		{ESME, pdu.CmdOutbind, []State{Open}},
	} {
		for _, st := range all {
			if got := mayReceive(row.receiver, st, row.cmd); got != slices.Contains(row.in, st) {
				t.Errorf("%v in %v, sent %v: %v", row.receiver, st, row.cmd, got)
			}
		}
	}
	for i, r := range rules {
		if ruleAt(r.cmd) != i {
			t.Errorf("ruleAt(%v) = %d, its row is %d", r.cmd, ruleAt(r.cmd), i)
		}
		if r.answered != r.cmd.Answered() {
			t.Errorf("%v: answered %v here, %v in the codec", r.cmd, r.answered, r.cmd.Answered())
		}
	}
	if mayReceive(SMSC, BoundTRX, pdu.CmdBroadcastSM) {
		t.Error("broadcast_sm is not offered")
	}
}

func TestOpenRequestsAreClosedOnce(t *testing.T) {
	var o openRequests
	a, turnA, _ := o.take(2)
	b, turnB, _ := o.take(2)
	if _, _, ok := o.take(2); ok {
		t.Fatal("three of two")
	}
	if !o.close(a, turnA) || o.close(a, turnA) {
		t.Fatal("closed not exactly once")
	}
	c, turnC, ok := o.take(2)
	if !ok || c != a || turnC == turnA {
		t.Fatalf("slot %d turn %d after %d %d", c, turnC, a, turnA)
	}
	if o.close(a, turnA) {
		t.Fatal("an old Reply closed a new request")
	}
	if !o.close(b, turnB) || !o.close(c, turnC) || o.count != 0 {
		t.Fatalf("%d open", o.count)
	}
}

func TestBuffersAreGivenBackAfterAMinuteOfRest(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	s := newSession(server, sessionConfig{role: SMSC})
	s.in, s.w = make([]byte, 4096), 4096
	s.makeRoom()
	if len(s.in) != 8192 || s.w != 4096 {
		t.Fatalf("a full buffer of 4096 became %d, %d used", len(s.in), s.w)
	}
	s.in, s.r, s.w = make([]byte, busyInput), 100, busyInput
	s.makeRoom()
	if len(s.in) != busyInput || s.r != 0 || s.w != busyInput-100 {
		t.Fatalf("a full buffer of %d became %d", busyInput, len(s.in))
	}
	s.r, s.w = 0, busyInput
	s.makeRoom()
	if len(s.in) != 2*busyInput {
		t.Fatalf("a PDU of more than %d octets has no room", busyInput)
	}
	s.w, s.out, s.spare = 0, make([]byte, 0, 1<<20), make([]byte, 0, 1<<20)
	s.busyAt = 10 * time.Second
	s.consult(69 * time.Second)
	if len(s.in) != 2*busyInput || s.wakeAt != 70*time.Second {
		t.Fatalf("after 59 s: %d octets, wakes at %v", len(s.in), s.wakeAt)
	}
	s.consult(70 * time.Second)
	if len(s.in) != minInput || cap(s.out)+cap(s.spare) != 0 || s.wakeAt != forever {
		t.Fatalf("after a minute: in %d, out %d, spare %d, wakes at %v", len(s.in), cap(s.out), cap(s.spare), s.wakeAt)
	}
}
