package main

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smppload"
	"masar/smpp/smpptest"
)

const (
	backlogMost     = 5_000_000 // from here on the bars below are asserted, beneath them only printed
	backlogMemory   = 400 << 20
	backlogReady    = 5 * time.Second
	backlogShare    = 0.8              // of the rate into an empty queue
	backlogExpiring = 300              // messages whose validity ends among the others
	backlogPrefix   = "96659"          // of those; nobody else's destination begins so
	backlogEmpty    = 15 * time.Second // of measuring the rate into an empty queue
)

// backlogCarrier counts what comes and when; it can go away and come back.
type backlogCarrier struct {
	t       testing.TB
	addr    string
	smsc    *smpptest.SMSC
	count   atomic.Int64
	expired atomic.Int64 // messages that came although they had expired
	mu      sync.Mutex
	first   time.Time
	last    atomic.Int64
}

func (c *backlogCarrier) submitted(s *smpptest.Submit) {
	if s.Status != pdu.ESME_ROK {
		return
	}
	if string(s.Body.(*pdu.SubmitSM).Dest.Addr[:len(backlogPrefix)]) == backlogPrefix {
		c.expired.Add(1)
	}
	now := time.Now()
	if c.count.Add(1) == 1 {
		c.mu.Lock()
		c.first = now
		c.mu.Unlock()
	}
	c.last.Store(now.UnixNano())
}

func (c *backlogCarrier) up() {
	c.t.Helper()
	var err error
	if c.smsc, err = smpptest.NewSMSC(smpptest.SMSCOptions{OnSubmit: c.submitted}); err != nil {
		c.t.Fatal(err)
	}
	l, err := net.Listen("tcp", c.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	smsc := c.smsc
	go smsc.Serve(l) // ends with Close
	c.t.Cleanup(func() { smsc.Close() })
}

func (c *backlogCarrier) down() { c.smsc.Close() }

// perSecond is the rate since the last reset.
func (c *backlogCarrier) perSecond() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return float64(c.count.Load()) / time.Unix(0, c.last.Load()).Sub(c.first).Seconds()
}

func (c *backlogCarrier) reset() { c.count.Store(0) }

// A backlog lies on disk: memory does not grow with it, a start does not read it, it
// drains about as fast as what never waited, and what expired in it is not sent.
//
// BACKLOG says how many messages; make backlog takes 5,000,000 and holds the gateway to
// 400 MiB resident, 5 s to ready and 80% of the rate into an empty queue.
func TestABacklogCostsNoMemoryAndNoTimeAtStart(t *testing.T) {
	n := envInt(t, "BACKLOG", 50_000)
	carrier := &backlogCarrier{t: t, addr: freePort(t)}
	s := newSite(t, carrier.addr)
	s.carrierMore = "    window: 100\n"
	s.account = "    window: 1000\n"
	carrier.up()
	gateway := s.start()

	// Into an empty queue: the messages reach their puller from memory.
	empty := smppload.Options{Binds: 4, Window: 100, Prefix: "96650", Count: uint64(n / 5), Texts: []string{smppload.DefaultTexts[0]}}
	if n >= backlogMost {
		empty.Count, empty.Duration = 0, backlogEmpty
	}
	res := s.load(empty).result(5 * time.Minute)
	until(t, time.Minute, "the queue is empty", func() bool { return carrier.count.Load() >= int64(res.Accepted) })
	emptyRate := carrier.perSecond()
	carrier.down()

	// The backlog, a third of the expiring ones at its head, in its middle and at its end.
	began := time.Now()
	accepted := uint64(0)
	heard := 0 // receipts of expired messages that came to the binds that queue
	expiring := bindClient(t, s.smpp)
	var ends time.Time
	for third := range 3 {
		for i := range backlogExpiring / 3 {
			sm := submitTo(fmt.Sprintf("%s%07d", backlogPrefix, third*backlogExpiring+i), "it expires", true)
			sm.ValidityPeriod = pdu.AppendRelative(nil, 2*time.Second)
			if h, _ := expiring.ask(pdu.CmdSubmitSM, sm); h.Status != pdu.ESME_ROK {
				t.Fatal(h.Status)
			}
			ends = time.Now().Add(2 * time.Second)
		}
		if third == 2 {
			break
		}
		o := smppload.Options{Binds: 4, Window: 200, Prefix: "96653", First: uint64(third * (n / 2)), Count: uint64(n / 2), Texts: empty.Texts}
		res := s.load(o).result(20 * time.Minute)
		heard += int(res.Unsought)
		if accepted += res.Accepted; res.Accepted != res.Sent {
			t.Fatalf("%d of %d accepted: %v", res.Accepted, res.Sent, res.Statuses)
		}
	}
	heard += expiring.delivered
	expiring.conn.Close()
	loaded := time.Since(began)
	memory := gateway.resident()
	carrier.reset()

	// Two starts: after a kill, when counts have to be made anew, and after an orderly end.
	gateway.kill()
	gateway, killed := s.timed()
	gateway.signal(syscall.SIGTERM)
	if code := gateway.ends(time.Minute); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	gateway, orderly := s.timed()
	started := gateway.resident()

	until(t, 10*time.Second, "the expiring messages have expired", func() bool { return time.Now().After(ends) })
	carrier.up()
	most := started
	for carrier.count.Load() < int64(accepted) {
		from := carrier.count.Load()
		until(t, time.Minute, "the backlog drains", func() bool {
			most = max(most, gateway.resident())
			return carrier.count.Load() > from
		})
	}
	drainRate := carrier.perSecond()

	t.Logf("backlog of %d messages, queued in %.1f s (%.0f/s)", accepted, loaded.Seconds(), float64(accepted)/loaded.Seconds())
	t.Logf("resident memory: %d MiB with the backlog, %d MiB after a start, %d MiB at most while it drained", memory>>20, started>>20, most>>20)
	t.Logf("from start to ready: %.2f s after kill -9, %.2f s after an orderly end", killed.Seconds(), orderly.Seconds())
	t.Logf("submit_sm/s at the carrier: %.0f draining, %.0f into an empty queue (%.0f%%)", drainRate, emptyRate, 100*drainRate/emptyRate)
	t.Logf("expired: %d, sent all the same: %d", backlogExpiring, carrier.expired.Load())

	// The receipts of those that expired come, and say so. Where queuing took long, those
	// at the head were found by then.
	receiver := bindClient(t, s.smpp)
	var thirds [3]int // that came: of those at the head, in the middle, at the end
	for came, end := heard, time.Now().Add(90*time.Second); came < backlogExpiring; {
		h, octets, err := receiver.tryRead(time.Until(end))
		if err != nil {
			t.Fatalf("%d of %d receipts came, %d of them early, then %v by third: %v", came, backlogExpiring, heard, thirds, err)
		}
		receiver.answer(h)
		if h.Command != pdu.CmdDeliverSM {
			continue
		}
		came++
		var sm pdu.DeliverSM
		if err := sm.Decode(octets); err != nil {
			t.Fatal(err)
		}
		if state, _ := sm.TLVs.Get(pdu.TagMessageState); len(state) != 1 || pdu.State(state[0]) != pdu.StateExpired {
			t.Fatalf("receipt %q", sm.ShortMessage)
		}
		if of, err := strconv.Atoi(string(sm.Source.Addr[len(backlogPrefix):])); err == nil {
			thirds[of/backlogExpiring]++
		}
	}

	if got := carrier.count.Load(); got != int64(accepted) {
		t.Errorf("the carrier has %d messages, %d were accepted", got, accepted)
	}
	if carrier.expired.Load() > 0 {
		t.Errorf("%d messages were sent after they had expired", carrier.expired.Load())
	}
	if highest := max(memory, started, most); highest > backlogMemory && !raceEnabled {
		t.Errorf("%d MiB resident, the bar is %d", highest>>20, backlogMemory>>20)
	}
	if n < backlogMost {
		return // too quick to be measured
	}
	if slowest := max(killed, orderly); slowest > backlogReady {
		t.Errorf("%s from start to ready, the bar is %s", slowest, backlogReady)
	}
	if drainRate < backlogShare*emptyRate {
		t.Errorf("drains at %.0f/s, the bar is %.0f%% of %.0f/s", drainRate, 100*backlogShare, emptyRate)
	}
}

// timed starts the gateway and says how long it took until /readyz says ready.
func (s *site) timed() (*process, time.Duration) {
	s.t.Helper()
	began := time.Now()
	p := s.start()
	until(s.t, startLimit, "ready", func() bool { code, _ := s.get("/readyz"); return code == 200 })
	return p, time.Since(began)
}
