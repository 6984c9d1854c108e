package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// TestCancelEndsWhatWaitsInScope wherever it waits: set aside, in a lane beside others',
// in a lane that is not pulled, scheduled. What comes afterwards still waits.
func TestCancelEndsWhatWaitsInScope(t *testing.T) {
	for _, s := range []Scope{{Service: "IDREN"}, {Account: "acme"}, {Agency: "civil-affairs"}, {Account: "acme", Service: "IDREN"}, {All: true}} {
		for _, down := range []bool{false, true} {
			t.Run(s.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r, got := haltRig(t, rigOptions{})
					p, traffic := r.transceiver(), r.bind(pdu.CmdBindTransceiver, "muroor")
					if down {
						r.refuse("a:1", true)
					}
					h := r.halt(s)
					const each = 7
					ids := map[string]bool{}
					for range each {
						ids[p.submit(of("IDREN"))] = true
						ids[p.submit(both(of("IDREN"), func(p *pdu.SubmitSM) { p.ScheduleDeliveryTime = []byte("000000003000000R") }))] = true
					}
					other := traffic.submit(both(of("TRAFF"), func(p *pdu.SubmitSM) { p.Source = pdu.Address{} }))
					time.Sleep(time.Second)
					want := int64(2 * each)
					if s.All {
						want++
						ids[other] = true
					}
					if n := r.countScope(s, time.Time{}); n.Waiting+n.Aside != want {
						t.Errorf("counted %+v, want %d", n, want)
					}
					if n := r.cancelHalted(h.ID); n != want {
						t.Errorf("%d cancelled, want %d", n, want)
					}
					for range 2 * each {
						rec := p.receipt()
						if !ids[rec["id"]] || rec["stat"] != "DELETED" {
							t.Errorf("receipt %v", rec)
						}
						if v := r.find(rec["id"]); v.Err != "halted" || v.State != pdu.StateDeleted {
							t.Errorf("history %+v", v)
						}
						delete(ids, rec["id"])
					}
					if n := r.cancelHalted(h.ID); n != 0 {
						t.Errorf("%d cancelled the second time", n)
					}
					if hs := r.gw.Halts(); len(hs) != 1 || hs[0].Cancelled != want {
						t.Errorf("halts %+v", hs)
					}
					r.refuse("a:1", false)
					late := p.submit(both(of("IDREN"), saying("late")))
					time.Sleep(time.Minute)
					for _, x := range got.list() {
						if x.service != "TRAFF" {
							t.Errorf("%+v has left", x)
						}
					}
					if m := r.metric("masar_halt_cancelled_total"); m != float64(want) {
						t.Errorf("masar_halt_cancelled_total %v", m)
					}
					told := r.log.find("halted messages cancelled", "by=sara", "halt="+h.ID)
					if len(told) != 2 {
						t.Error("the log does not tell of it")
					}
					for _, l := range told {
						if _, has := l.attrs["err"]; has || l.level != slog.LevelInfo {
							t.Errorf("what went well is told as %v %v", l.level, l.attrs)
						}
					}
					r.resume(h.ID)
					r.wait("the late one", func() bool { return r.find(late).State == pdu.StateDelivered })
					time.Sleep(40 * time.Minute)
					if s.All {
						other = ""
					}
					if n := len(got.list()); n != 1 && other == "" || n != 2 && other != "" {
						t.Errorf("%d have left in the end", n)
					}
				})
			})
		}
	}
}

// TestCancelOfACarrierLeavesWhatAnotherMayCarry.
func TestCancelOfACarrierLeavesWhatAnotherMayCarry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		got := new(arrivals)
		r, _ := haltRig(t, rigOptions{
			SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a"), "b:1": got.at("b")},
			Setup: func(s *Setup) {
				s.Carriers = append(s.Carriers, carrierAt("b", "b:1"))
				s.Routes = []Route{
					{Name: "alone", Services: []string{"IDREN"}, Carriers: []RouteCarrier{{Name: "a"}}},
					{Name: "two", Carriers: []RouteCarrier{{Name: "a"}, {Name: "b"}}},
				}
			},
		})
		r.carrierUp("a", "b")
		p := r.transmitter()
		r.refuse("b:1", true)
		h := r.halt(Scope{Carrier: "a"})
		alone, two := p.submit(of("IDREN")), p.submit(of("IDNEW"))
		if n := r.cancelHalted(h.ID); n != 1 {
			t.Errorf("%d cancelled", n)
		}
		if v := r.find(alone); v.State != pdu.StateDeleted {
			t.Errorf("the one that only the carrier may have: %v", v.State)
		}
		r.refuse("b:1", false)
		r.wait("the other", func() bool { return r.find(two).State == pdu.StateDelivered })
	})
}

// TestCancelDoesNotEndWhatIsOnTheWire; what comes back from there can be ended after.
func TestCancelDoesNotEndWhatIsOnTheWire(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = noAnswer })
		r, _ := haltRig(t, rigOptions{SMSC: map[string]smpptest.SMSCOptions{}, Options: fakes(map[string]*fakeSMSC{"a:1": f}, nil)})
		p := r.transceiver()
		taken, thrown := p.submit(of("IDREN")), p.submit(of("IDREN"))
		wire := f.await(2)
		h := r.halt(Scope{Service: "IDREN"})
		if n := r.cancelHalted(h.ID); n != 0 {
			t.Errorf("%d cancelled", n)
		}
		wire[0].Session.answer(&wire[0], pdu.ESME_ROK)
		wire[1].Session.answer(&wire[1], pdu.ESME_RTHROTTLED)
		r.wait("set aside", func() bool { return r.asideHalted() == 1 })
		if n := r.cancelHalted(h.ID); n != 1 {
			t.Errorf("%d cancelled", n)
		}
		if rec := p.receipt(); rec["id"] != thrown || rec["stat"] != "DELETED" {
			t.Errorf("receipt %v", rec)
		}
		f.receiptOf(wire[0])
		if rec := p.receipt(); rec["id"] != taken || rec["stat"] != "DELIVRD" {
			t.Errorf("receipt %v", rec)
		}
	})
}

// TestCancelOfWhatMayHaveBeenTakenTellsUnknown: it was on the wire when the process was killed.
func TestCancelOfWhatMayHaveBeenTakenTellsUnknown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fs := crashable()
		f := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = noAnswer })
		r, _ := haltRig(t, rigOptions{
			FS: fs, SMSC: map[string]smpptest.SMSCOptions{}, Options: fakes(map[string]*fakeSMSC{"a:1": f}, nil),
			Setup: func(s *Setup) { s.Routes[0].Uncertain = FailUncertain },
		})
		p := r.transceiver()
		id := p.submit(of("IDREN"))
		f.await(1)
		h := r.halt(Scope{Account: "acme"})
		left := crash(fs)
		p.conn.Close()
		r.stop()
		r.fs = left
		r.start()
		p = r.transceiver()
		if n := r.cancelHalted(h.ID); n != 1 {
			t.Errorf("%d cancelled", n)
		}
		if rec := p.receipt(); rec["id"] != id || rec["stat"] != "UNKNOWN" {
			t.Errorf("receipt %v", rec)
		}
	})
}

// TestAResumeEndsACancel: what the cancel has not come to goes on.
func TestAResumeEndsACancel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		st := &haltingStore{}
		r, got := haltRig(t, rigOptions{Options: func(o *Options) { st.Store = o.Store; o.Store = st }})
		p := r.transmitter()
		h := r.halt(Scope{Service: "IDREN"})
		const n = 3 * cancelHands * haltBatch
		flood(p, n, of("IDREN"))
		r.wait("set aside", func() bool { return r.asideHalted() == n })
		st.claimed = func(count int) {
			if count == haltBatch/2 {
				r.resume(h.ID)
			}
		}
		cancelled, err := r.gw.CancelHalted(context.Background(), h.ID, "sara")
		if !errors.Is(err, ErrNoHalt) || cancelled >= n {
			t.Errorf("%d cancelled, error %v", cancelled, err)
		}
		r.wait("the others", func() bool { return len(got.list()) >= int(n-cancelled) })
		time.Sleep(time.Minute)
		if left := len(got.list()); left != int(n-cancelled) {
			t.Errorf("%d cancelled and %d have left, of %d", cancelled, left, n)
		}
	})
}

// haltingStore tells how many messages were claimed by id.
type haltingStore struct {
	queue.Store
	lock    sync.Mutex
	count   int
	claimed func(count int)
}

func (s *haltingStore) ClaimID(ctx context.Context, account uint32, id queue.ID) (queue.Claim, error) {
	s.lock.Lock()
	s.count++
	n := s.count
	s.lock.Unlock()
	if s.claimed != nil {
		s.claimed(n)
	}
	return s.Store.ClaimID(ctx, account, id)
}

// TestACancelLeavesTheOrderOfHaltsAlone: Halts lists the oldest first.
func TestACancelLeavesTheOrderOfHaltsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _ := haltRig(t, rigOptions{})
		p := r.transceiver()
		first, second := r.halt(Scope{Service: "IDREN"}), r.halt(Scope{Service: "OTPEN"})
		p.submit(of("IDREN"))
		time.Sleep(time.Second)
		if n := r.cancelHalted(first.ID); n != 1 {
			t.Fatalf("%d cancelled", n)
		}
		if hs := r.gw.Halts(); len(hs) != 2 || hs[0].ID != first.ID || hs[0].Cancelled != 1 || hs[1].ID != second.ID {
			t.Errorf("%+v", hs)
		}
	})
}
