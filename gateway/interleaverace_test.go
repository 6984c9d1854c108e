package gateway

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"masar/number"
	"masar/service"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// TestNothingLeavesAfterAWithdrawalHasReturned races withdrawals with dispatch in real time:
// thousands of messages wait for a carrier that takes them as fast as it can, and meanwhile
// each of their receivers withdraws. What the dispatcher had begun to write when a
// withdrawal returned may still arrive; what arrives a moment later may not.
//
// The moment is measured, not guessed: a message to somebody else, of a class that goes
// first, is submitted when the withdrawal has returned. What is written to the one bind of
// the carrier is read in order, so whatever arrives behind it was begun after the withdrawal.
func TestNothingLeavesAfterAWithdrawalHasReturned(t *testing.T) {
	const (
		persons = 40
		each    = 60
	)
	reg := people(t)
	cat := ministry(t)
	var clock atomic.Int64 // counts arrivals
	var mu sync.Mutex
	arrived := make([][]int64, persons) // of each person's messages
	fences := make([]chan int64, persons)
	for i := range fences {
		fences[i] = make(chan int64, 1)
	}
	onSubmit := func(s *smpptest.Submit) {
		p, ok := s.Body.(*pdu.SubmitSM)
		if !ok {
			return
		}
		n := clock.Add(1)
		kind, who, _ := strings.Cut(string(p.ShortMessage), " ")
		i, err := strconv.Atoi(who)
		if err != nil {
			t.Errorf("arrived: %q", p.ShortMessage)
			return
		}
		if kind == "fence" {
			fences[i] <- n
			return
		}
		mu.Lock()
		arrived[i] = append(arrived[i], n)
		mu.Unlock()
	}
	r := newRig(t, rigOptions{
		SMSC: map[string]smpptest.SMSCOptions{"a:1": {OnSubmit: onSubmit}},
		Setup: func(s *Setup) {
			s.Catalogue = cat
			s.Accounts = append(s.Accounts, likeAcme("civil", func(a *Account) { a.Agency = "moi" }))
			s.Carriers[0].Window = 10
			s.Shares = [3]int{-1, -1, -1} // urgent ones wait for nobody
		},
		Options: func(o *Options) { o.Registry = reg },
	})
	r.refuse("a:1", true)
	who := func(i int) service.Person { return testKey.Person(fmt.Sprint("person ", i)) }
	of := func(i int) number.E164 { return 966501000000 + number.E164(i) }
	for i := range persons {
		apply(t, reg, service.Change{Kind: service.Enrol, Person: who(i), Number: of(i), Services: []string{"IDREN"}, Verified: true})
	}
	ids := map[int][]string{}
	for range each {
		for i := range persons {
			id, err := r.gw.Submit(t.Context(), Notice{Account: "civil", Service: "IDREN", Number: of(i), Text: "notice " + strconv.Itoa(i)})
			if err != nil {
				t.Fatal(err)
			}
			ids[i] = append(ids[i], id.String())
		}
	}
	r.refuse("a:1", false)
	r.wait("it flows", func() bool { return clock.Load() > 0 })

	var wg sync.WaitGroup
	returned := make([]int64, persons) // the count at the fence
	for i := range persons {
		wg.Go(func() {
			out, err := reg.Apply(context.Background(), service.Batch{Changes: []service.Change{{
				Kind: service.Withdraw, Person: who(i), ByPerson: true, Channel: "sms", Now: time.Now(), At: time.Now(),
			}}})
			if err != nil || out[0].Err != nil {
				t.Errorf("withdrawal %d: %v", i, err)
				return
			}
			fence := Notice{Account: "civil", Service: "OTPEN", Number: 966502000000 + number.E164(i), Text: "fence " + strconv.Itoa(i)}
			if _, err := r.gw.Submit(context.Background(), fence); err != nil {
				t.Errorf("fence %d: %v", i, err)
				return
			}
			select {
			case returned[i] = <-fences[i]:
			case <-time.After(time.Minute):
				t.Errorf("fence %d did not arrive", i)
			}
		})
	}
	wg.Wait()
	stopped := 0
	r.wait("each has left or was stopped", func() bool {
		return int(clock.Load())-persons+int(r.metric("masar_stopped_total", "reason=not_enrolled")) >= persons*each
	})
	for i := range persons {
		for _, id := range ids[i][len(arrived[i]):] { // of one number they leave in order
			r.wait("it has ended", func() bool { return r.find(id).State == pdu.StateRejected })
			stopped++
		}
	}

	before := 0
	for i := range persons {
		for _, n := range arrived[i] {
			if n > returned[i] {
				t.Errorf("person %d: arrival %d, the withdrawal had returned before %d", i, n, returned[i])
			}
		}
		before += len(arrived[i])
	}
	if before+stopped != persons*each || before == 0 || stopped == 0 {
		t.Errorf("%d arrived before the withdrawals and %d were stopped, of %d", before, stopped, persons*each)
	}
	t.Logf("%d arrived, %d were stopped", before, stopped)
}
