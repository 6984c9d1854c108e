package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// takenTexts counts what a carrier was sent, by the number behind each text's first word.
type takenTexts struct {
	mu   sync.Mutex
	text map[int][]string // of each number
}

func (a *takenTexts) take(s *smpptest.Submit) {
	p, ok := s.Body.(*pdu.SubmitSM)
	if !ok {
		return
	}
	_, n, _ := strings.Cut(string(p.ShortMessage), " ")
	i, err := strconv.Atoi(n)
	if err != nil {
		panic(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.text == nil {
		a.text = map[int][]string{}
	}
	a.text[i] = append(a.text[i], string(p.ShortMessage))
}

func (a *takenTexts) of(i int) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text[i]
}

// raceWithdrawals submits many messages of a job, a batch at a time, and withdraws each
// while its batch leaves; pause waits until the moment of one of them. What was withdrawn was
// not sent and ends DELETED, everything else was sent once and ends DELIVRD.
func raceWithdrawals(t *testing.T, r *rig, l *listener, sent *takenTexts, batches, batch int, pause func(i int)) {
	withdrawn := map[queue.ID]bool{}
	number := map[queue.ID]int{}
	for b := range batches {
		many, out := make([]Notice, batch), make([]Submitted, batch)
		for i := range many {
			many[i] = due(uint64(b*batch+i), nil)
		}
		if err := r.gw.SubmitMany(t.Context(), many, out); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range out {
			wg.Go(func() {
				pause(i)
				yes, err := r.gw.Withdraw(context.Background(), "civil", out[i].ID)
				if err != nil {
					t.Errorf("message %d: %v", b*batch+i, err)
				}
				mu.Lock()
				defer mu.Unlock()
				withdrawn[out[i].ID], number[out[i].ID] = yes, b*batch+i
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		waitUntil(t, "the batch has ended", func() bool { return len(l.ends()) >= (b+1)*batch })
	}
	ends := l.ends()
	if len(ends) != batches*batch {
		t.Errorf("%d ends were told of %d messages", len(ends), batches*batch)
	}
	gone := 0
	for _, e := range ends {
		arrived, yes := sent.of(number[e.Message]), withdrawn[e.Message]
		want, state := 1, pdu.StateDelivered
		if yes {
			want, state = 0, pdu.StateDeleted
			gone++
		}
		if len(arrived) != want || e.State != state || e.Job != step(uint64(number[e.Message])) {
			t.Errorf("message %d: withdrawn %v, arrived as %q, ended %v", number[e.Message], yes, arrived, e.State)
		}
		if _, twice := withdrawn[e.Message]; !twice {
			t.Errorf("message %d has ended twice", number[e.Message])
		}
		delete(withdrawn, e.Message)
	}
	if least := batches * batch / 10; gone < least || batches*batch-gone < least {
		t.Errorf("%d of %d were withdrawn: no race", gone, batches*batch)
	}
	t.Logf("%d of %d were withdrawn", gone, batches*batch)
}

func TestWhatWasWithdrawnIsNeverSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sent := new(takenTexts)
		r, _, l := jobRig(t, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": {
			OnSubmit: sent.take, Latency: time.Millisecond, Jitter: time.Millisecond, ReceiptDelay: time.Millisecond,
		}}}, func(s *Setup) { s.Carriers[0].Window, s.Carriers[0].Throughput, s.Carriers[0].Burst = 10, 5000, 10 })
		raceWithdrawals(t, r, l, sent, 50, 200, func(int) { time.Sleep(time.Duration(rand.IntN(40_000)) * time.Microsecond) })
	})
}

// The same in real time: with the race detector, and with as many goroutines as there are.
func TestWhatWasWithdrawnIsNeverSentInRealTime(t *testing.T) {
	sent := new(takenTexts)
	l := new(listener)
	cat := ministry(t)
	r := newRig(t, rigOptions{
		SMSC:    map[string]smpptest.SMSCOptions{"a:1": {OnSubmit: sent.take}},
		Options: func(o *Options) { o.Jobs = l },
		Setup: func(s *Setup) {
			s.Catalogue = cat
			s.Accounts = append(s.Accounts, likeAcme("civil", func(a *Account) { a.Agency = "moi" }))
			s.Carriers[0].Window = 10
		},
	})
	r.carrierUp("a")
	batches := 20
	if testing.Short() {
		batches = 2
	}
	raceWithdrawals(t, r, l, sent, batches, 500, func(i int) { time.Sleep(time.Duration(i) * 20 * time.Microsecond) })
}

func TestWithdrawKnowsWhoseMessageItIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _, l := jobRig(t, rigOptions{})
		r.refuse("a:1", true)
		job := r.notice(due(1, nil))
		clients := r.notice(Notice{Account: "civil", Service: "OTPEN", Number: sara, Text: "no job's"})
		for _, row := range []struct {
			name, account string
			id            queue.ID
			want          error
		}{
			{"another account's", "plain", job, queue.ErrUnknown},
			{"no job's", "civil", clients, queue.ErrUnknown},
			{"nobody's", "civil", 12345, queue.ErrUnknown},
			{"of no account", "nobody", 12345, queue.ErrUnknown},
		} {
			if yes, err := r.gw.Withdraw(t.Context(), row.account, row.id); yes || !errors.Is(err, row.want) {
				t.Errorf("%s: %v, %v", row.name, yes, err)
			}
		}
		if yes, err := r.gw.Withdraw(t.Context(), "civil", job); !yes || err != nil {
			t.Errorf("its own: %v, %v", yes, err)
		}
		if yes, err := r.gw.Withdraw(t.Context(), "civil", job); yes || err != nil {
			t.Errorf("twice: %v, %v", yes, err)
		}
		r.refuse("a:1", false)
		sent := r.notice(due(2, nil))
		l.await(t, 2)
		if yes, err := r.gw.Withdraw(t.Context(), "civil", sent); yes || err != nil {
			t.Errorf("one that was sent: %v, %v", yes, err)
		}
		if v, err := r.gw.Message(t.Context(), "civil", clients); err != nil || v.State != pdu.StateAccepted {
			t.Errorf("the client's own: %v, %v", v.State, err)
		}
	})
}

// A carrier that did not answer may have the message: neither its job nor its client can
// have taken it back.
func TestWhatACarrierMayHaveIsNotTakenBack(t *testing.T) {
	for _, cause := range []UncertainCause{TimedOut, SessionEnded} {
		t.Run(cause.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = noAnswer })
				r, _, l := jobRig(t, rigOptions{Options: fakes(map[string]*fakeSMSC{"a:1": f}, nil)}, func(s *Setup) {
					s.Carriers[0].Retry = RetrySchedule{Delays: []time.Duration{time.Hour}}
				})
				p := r.transceiver()
				theirs := p.submit(wantReceipt)
				ours := r.notice(due(1, nil))
				f.await(2)
				if cause == SessionEnded {
					f.refuse(true)
					f.drop()
				}
				r.wait("both wait again", func() bool {
					n := int64(0)
					r.store.Depths(func(l queue.Lane, d queue.Depth) { n += d.Messages })
					return r.metric("masar_uncertain_total") == 2 && n == 2 && r.gw.world.Load().carriers["a"].outstanding.Load() == 0
				})
				time.Sleep(time.Second)
				if st := p.cancel(func(q *pdu.CancelSM) { q.MessageID = []byte(theirs) }); st != pdu.ESME_RCANCELFAIL {
					t.Errorf("cancel_sm: %v", st)
				}
				if st := p.replace(theirs, nil); st != pdu.ESME_RREPLACEFAIL {
					t.Errorf("replace_sm: %v", st)
				}
				if yes, err := r.gw.Withdraw(t.Context(), "civil", ours); yes || err != nil {
					t.Errorf("Withdraw: %v, %v", yes, err)
				}
				if e := l.await(t, 1)[0]; e.State != pdu.StateUnknown || e.Err != "no answer" || e.Message != ours {
					t.Errorf("%+v", e)
				}
				f.setVerdict(func(int, *fakeSubmit) {})
				f.refuse(false)
				time.Sleep(2 * time.Hour)
				for i, s := range f.submits() {
					if i >= 2 && strings.HasPrefix(string(s.ShortMessage), "step") {
						t.Errorf("submit_sm %d is the job's: %q", i, s.ShortMessage)
					}
				}
			})
		})
	}
}

// cancel_sm and replace_sm race with the moment for which a message is scheduled.
func TestWhatWasCancelledOrReplacedAtItsMomentIsNotSentAsItWas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const rounds, each = 50, 200
		sent := new(takenTexts)
		r := newRig(t, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": {
			OnSubmit: sent.take, Latency: time.Millisecond, Jitter: time.Millisecond, NoReceipt: 1,
		}}, Setup: func(s *Setup) {
			s.Carriers[0].Window, s.Carriers[0].Throughput, s.Carriers[0].Burst = 10, 1000, 10
		}})
		r.carrierUp("a")
		p := r.transmitter()
		answers := func(n int) map[uint32]pdu.Status {
			out := map[uint32]pdu.Status{}
			for range n {
				h, _, err := p.read(time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				out[h.Sequence] = h.Status
			}
			return out
		}
		counts := map[string]int{}
		for round := range rounds {
			var ids []string
			soon := string(pdu.AppendTime(nil, time.Now().Add(2*time.Second)))
			for i := range each {
				ids = append(ids, p.submit(func(p *pdu.SubmitSM) {
					p.ScheduleDeliveryTime, p.ShortMessage = []byte(soon), fmt.Appendf(nil, "old %d", round*each+i)
				}))
			}
			time.Sleep(1900 * time.Millisecond)
			asked := make([]uint32, each)
			for n, i := range rand.Perm(each) {
				if n%4 == 0 {
					time.Sleep(10 * time.Millisecond) // half a second in all, the messages take 200 ms to leave
				}
				source := pdu.Address{TON: 5, Addr: []byte("AHWAL")}
				if i%2 == 0 {
					asked[i] = p.send(pdu.CmdCancelSM, &pdu.CancelSM{MessageID: []byte(ids[i]), Source: source})
				} else {
					asked[i] = p.send(pdu.CmdReplaceSM, &pdu.ReplaceSM{MessageID: []byte(ids[i]), Source: source, ShortMessage: fmt.Appendf(nil, "new %d", round*each+i)})
				}
			}
			got := answers(each)
			time.Sleep(3 * time.Second)
			for i := range each {
				name := fmt.Sprint(round*each + i)
				want := []string{"old " + name}
				switch st := got[asked[i]]; st {
				case pdu.ESME_ROK:
					counts["done"]++
					if want = nil; i%2 == 1 {
						want = []string{"new " + name}
					}
				case pdu.ESME_RCANCELFAIL, pdu.ESME_RREPLACEFAIL:
					counts["late"]++
				default:
					t.Errorf("message %s: %v", name, st)
				}
				if arrived := sent.of(round*each + i); fmt.Sprint(arrived) != fmt.Sprint(want) {
					t.Fatalf("message %s: answered %v, arrived as %q", name, got[asked[i]], arrived)
				}
			}
		}
		if counts["done"] < rounds*each/10 || counts["late"] < rounds*each/10 {
			t.Errorf("no race: %v", counts)
		}
		t.Logf("%v", counts)
	})
}
