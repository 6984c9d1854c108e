package gateway

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// turns notes whose parts went to the carrier, in order: by source_addr, which each sender
// of these tests has for its own.
type turns struct {
	mu    sync.Mutex
	parts []string
}

func (w *turns) heard(s *smpptest.Submit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parts = append(w.parts, string(s.Body.(*pdu.SubmitSM).Source.Addr))
}

// first counts the first n parts by sender.
func (w *turns) first(n int) map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	count := map[string]int{}
	for _, who := range w.parts[:min(n, len(w.parts))] {
		count[who]++
	}
	return count
}

func (w *turns) has(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.parts) >= n
}

// fairRig is a rig whose carrier takes 200 parts a second, with accounts beside acme.
func fairRig(t *testing.T, accounts ...Account) (*rig, *turns) {
	w := new(turns)
	r := newRig(t, rigOptions{
		SMSC: map[string]smpptest.SMSCOptions{"a:1": {Latency: 5 * time.Millisecond, OnSubmit: w.heard}},
		Setup: func(s *Setup) {
			s.Carriers[0].Throughput, s.Carriers[0].Burst = 200, 1
			s.Accounts = append(s.Accounts, accounts...)
		},
	})
	r.carrierUp("a")
	return r, w
}

// flood submits n messages at full speed and awaits their answers.
func flood(p *peer, n int, f func(p *pdu.SubmitSM)) {
	p.t.Helper()
	const batch = 200
	for ; n > 0; n -= batch {
		var octets []byte
		most := min(n, batch)
		for range most {
			p.seq++
			octets = pdu.Append(octets, pdu.CmdSubmitSM, pdu.ESME_ROK, p.seq, sms(f))
		}
		p.write(octets)
		for range most {
			if h, _ := p.expect(pdu.CmdSubmitSM.Resp()); h.Status != pdu.ESME_ROK {
				p.t.Fatalf("submit_sm: %v", h.Status)
			}
		}
	}
}

// from is a message of one sender, of one part or of ten.
func from(who string, parts int, more ...func(p *pdu.SubmitSM)) func(p *pdu.SubmitSM) {
	return func(p *pdu.SubmitSM) {
		p.Source.Addr = []byte(who)
		if parts > 1 {
			p.ShortMessage = nil
			p.TLVs = pdu.TLVs(nil).Append(pdu.TagMessagePayload, []byte(strings.Repeat("0123456789", 152*parts/10)))
		}
		for _, f := range more {
			f(p)
		}
	}
}

func likeAcme(systemID string, f func(a *Account)) Account {
	a := acme()
	a.SystemID = systemID
	f(&a)
	return a
}

// TestAccountsOfOneClassShareByWeightInParts has two accounts with more waiting than is
// measured share a limited carrier, the whole gateway between them and it.
func TestAccountsOfOneClassShareByWeightInParts(t *testing.T) {
	for _, row := range []struct {
		name           string
		weights, parts [2]int
		class          queue.Class
	}{
		{"equal, one part each", [2]int{1, 1}, [2]int{1, 1}, queue.Normal},
		{"3 to 1, one part each", [2]int{3, 1}, [2]int{1, 1}, queue.Normal},
		{"equal, one part against ten", [2]int{1, 1}, [2]int{1, 10}, queue.Normal},
		{"2 to 1, one part against ten", [2]int{2, 1}, [2]int{1, 10}, queue.Normal},
		{"1 to 2, one part against ten", [2]int{1, 2}, [2]int{1, 10}, queue.Bulk},
		{"equal, one part against ten, urgent", [2]int{1, 1}, [2]int{1, 10}, queue.Urgent},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var accounts []Account
				for i := range 2 {
					accounts = append(accounts, likeAcme(fmt.Sprint("client", i), func(a *Account) { a.Weight, a.Class = row.weights[i], row.class }))
				}
				r, w := fairRig(t, accounts...)
				r.refuse("a:1", true)
				const measured = 1200
				sum := row.weights[0] + row.weights[1]
				for i := range 2 {
					share := measured * row.weights[i] / sum
					p := r.bind(pdu.CmdBindTransmitter, fmt.Sprint("client", i))
					flood(p, (share+share/5)/row.parts[i], from(fmt.Sprint(i), row.parts[i])) // a fifth more than its share
				}
				r.refuse("a:1", false)
				r.wait("the measured parts", func() bool { return w.has(measured) })
				got := w.first(measured)
				for i := range 2 {
					want := float64(measured*row.weights[i]) / float64(sum)
					if n := float64(got[fmt.Sprint(i)]); math.Abs(n-want) > 0.05*want {
						t.Errorf("client %d of weight %d sent %.0f parts, want %.0f within 5%%", i, row.weights[i], n, want)
					}
				}
			})
		})
	}
}

// TestLowerClassesKeepTheirShareBesideUrgentOnes: of any 100 parts normal has 10 and bulk 5.
func TestLowerClassesKeepTheirShareBesideUrgentOnes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		of := func(c queue.Class) func(a *Account) { return func(a *Account) { a.Class = c } }
		r, w := fairRig(t, likeAcme("otp", of(queue.Urgent)), likeAcme("notices", of(queue.Normal)), likeAcme("campaign", of(queue.Bulk)))
		r.refuse("a:1", true)
		flood(r.bind(pdu.CmdBindTransmitter, "campaign"), 200, from("bulk", 1))
		flood(r.bind(pdu.CmdBindTransmitter, "notices"), 200, from("normal", 1))
		flood(r.bind(pdu.CmdBindTransmitter, "otp"), 1000, from("urgent", 1))
		r.refuse("a:1", false)
		const measured = 1000
		r.wait("the measured parts", func() bool { return w.has(measured) })
		w.mu.Lock()
		defer w.mu.Unlock()
		var count [measured + 1]map[string]int
		count[0] = map[string]int{}
		for i, who := range w.parts[:measured] {
			next := map[string]int{who: 1}
			for k, n := range count[i] {
				next[k] += n
			}
			count[i+1] = next
		}
		for i := 100; i <= measured; i++ {
			last := func(who string) int { return count[i][who] - count[i-100][who] }
			if last("bulk") < 5 || last("normal") < 10 || last("urgent") < 80 {
				t.Fatalf("parts %d to %d: urgent %d, normal %d, bulk %d", i-100, i, last("urgent"), last("normal"), last("bulk"))
			}
		}
	})
}

// TestWhoMarksEverythingUrgentGainsNothing: priority_flag 3 of an account whose max_class
// is normal shares as its neighbour does who marks nothing, and never holds up what is urgent.
func TestWhoMarksEverythingUrgentGainsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, w := fairRig(t,
			likeAcme("loud", func(a *Account) { a.MaxClass = queue.Normal }),
			likeAcme("quiet", func(a *Account) { a.MaxClass = queue.Normal }),
			likeAcme("otp", func(a *Account) { a.Class = queue.Urgent }))
		r.refuse("a:1", true)
		flood(r.bind(pdu.CmdBindTransmitter, "loud"), 800, from("loud", 1, func(p *pdu.SubmitSM) { p.PriorityFlag = 3 }))
		flood(r.bind(pdu.CmdBindTransmitter, "quiet"), 800, from("quiet", 1))
		r.refuse("a:1", false)
		r.wait("the first parts", func() bool { return w.has(200) })
		otp := r.bind(pdu.CmdBindTransmitter, "otp")
		for range 20 {
			at := time.Now()
			before := w.first(1 << 20)["otp"]
			otp.submit(from("otp", 1))
			for w.first(1 << 20)["otp"] == before {
				time.Sleep(time.Millisecond)
			}
			// One pace slot for the part that has the token, one for a share that is owed, and the link.
			if took := time.Since(at); took > 20*time.Millisecond {
				t.Errorf("an urgent message took %s to the carrier", took)
			}
		}
		r.wait("the measured parts", func() bool { return w.has(1200) })
		got := w.first(1200)
		if loud, quiet := float64(got["loud"]), float64(got["quiet"]); math.Abs(loud-quiet) > 0.05*quiet {
			t.Errorf("who marks everything urgent sent %.0f parts, his neighbour %.0f", loud, quiet)
		}
	})
}
