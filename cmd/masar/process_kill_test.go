package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smppload"
	"masar/smpp/smpptest"
	"masar/smpp/text"
)

// What the gateway of a kill test is given. The windows are what may be doubled, so they
// are part of the bounds.
const (
	killCarrierBinds, killCarrierWindow = 2, 20
	killClientBinds, killDeliverWindow  = 2, 20
	// killUnrecorded bounds the answers that are read and not on disk: four windows
	// (docs/operations.md). What the client acknowledges has no such bound but the rate.
	killUnrecorded = 4 * killCarrierBinds * killCarrierWindow
	killUnended    = 400
)

// killTexts are one part in UCS-2, one in GSM, and three parts in UCS-2.
var killTexts = []string{
	"تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما رقم {n}",
	"Your national ID expires in 30 days. Reference {n}",
	strings.Repeat("تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما ", 4) + "رقم {n}",
}

// arrivals is the carrier's side of the books: every submit that came, and in which life
// of the gateway.
type arrivals struct {
	mu     sync.Mutex
	life   int
	lifeOf map[string]int        // of a session, by its remote address
	count  map[string]int        // submits on a session
	first  map[partKey]firstTime // of each part
	double map[int][]doubledPart // by the life of the second time
	whole  map[uint64]int        // whole messages, by number
	wrong  []string              // what must not be
}

type partKey struct {
	to   string
	part uint8
}

type firstTime struct {
	session string
	life    int
	at      int // it was the session's n-th
}

type doubledPart struct {
	key   partKey
	first firstTime
	life  int
}

func newArrivals() *arrivals {
	return &arrivals{
		lifeOf: map[string]int{}, count: map[string]int{}, first: map[partKey]firstTime{},
		double: map[int][]doubledPart{}, whole: map[uint64]int{},
	}
}

func (a *arrivals) bound(_, remote string, _ pdu.Command, st pdu.Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if st == pdu.ESME_ROK {
		a.lifeOf[remote] = a.life
		a.count[remote] = 0
	}
}

func (a *arrivals) submitted(s *smpptest.Submit) {
	if s.Status != pdu.ESME_ROK {
		return
	}
	sm := s.Body.(*pdu.SubmitSM)
	k := partKey{to: string(sm.Dest.Addr), part: 1}
	if sm.ESMClass&pdu.ESMClassUDHI != 0 {
		c, _, _, err := text.ParseUDH(sm.ShortMessage)
		if err != nil {
			a.mu.Lock()
			a.wrong = append(a.wrong, fmt.Sprintf("%s: %v", k.to, err))
			a.mu.Unlock()
			return
		}
		k.part = c.Seq
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count[s.Remote]++
	now := firstTime{s.Remote, a.lifeOf[s.Remote], a.count[s.Remote]}
	if was, again := a.first[k]; again {
		a.double[now.life] = append(a.double[now.life], doubledPart{k, was, now.life})
	}
	// The next doubling is to be explained by this one.
	a.first[k] = now
}

func (a *arrivals) message(m *smpptest.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.Err != nil {
		a.wrong = append(a.wrong, fmt.Sprintf("%s: %v: %d of %d parts", m.Dest, m.Err, m.Parts, m.Total))
		return
	}
	digits := messageNumber.FindString(m.Text)
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || !slices.Contains(killTexts, strings.Replace(m.Text, digits, "{n}", 1)) {
		a.wrong = append(a.wrong, fmt.Sprintf("%s: nobody sent %q", m.Dest, m.Text))
		return
	}
	a.whole[n]++
}

// messageNumber is what stands in a text for {n}.
var messageNumber = regexp.MustCompile(`[0-9]{6,}`)

func envInt(t testing.TB, name string, otherwise int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s=%s: %v", name, v, err)
	}
	return n
}

// Every message answered ESME_ROK reaches the carrier, whole; a part goes twice only when
// the gateway was killed while it was on the wire or its answer was not yet on disk; every
// receipt comes, twice only when its acknowledgement was in flight.
//
// KILLS says how often (default 20), SEED repeats the moments of a run.
func TestNothingAcceptedIsLostWhenTheGatewayIsKilledAgainAndAgain(t *testing.T) {
	kills := envInt(t, "KILLS", 20)
	if testing.Short() {
		kills = min(kills, 5)
	}
	killed(t, kills, "resend", func(b killBooks) {
		// On the wire unanswered, and one group commit: nothing else may widen it.
		bound := killCarrierBinds*killCarrierWindow + killUnrecorded
		for life, doubles := range b.arrived.double {
			if len(doubles) > bound {
				t.Errorf("life %d: %d parts went a second time, at most %d may", life, len(doubles), bound)
			}
			for _, d := range doubles {
				left := b.arrived.count[d.first.session] - d.first.at
				if d.first.life >= d.life {
					t.Errorf("%s part %d went twice within one life (%d)", d.key.to, d.key.part, d.life)
				} else if left > bound {
					t.Errorf("%s part %d went again although its bind carried %d more after it", d.key.to, d.key.part, left)
				}
			}
		}
		for n, o := range b.load.Ledger.All {
			if o.Has(smppload.Accepted) && b.arrived.whole[n] == 0 {
				t.Errorf("message %d was answered ESME_ROK and never reached the carrier whole", n)
			}
		}
	})
}

type killBooks struct {
	kills   int
	arrived *arrivals
	load    *smppload.Result
}

// killed loads a gateway, kills it at random moments, starts it again each time, lets
// the last one finish, and hands the books of both ends to check.
func killed(t *testing.T, kills int, policy string, check func(killBooks)) {
	seed := uint64(envInt(t, "SEED", int(time.Now().UnixNano()%1e9)))
	t.Logf("SEED=%d KILLS=%d", seed, kills)
	chance := rand.New(rand.NewPCG(seed, seed))

	arrived := newArrivals()
	carrier, addr := smsc(t, smpptest.SMSCOptions{
		// So slow that the windows are full when the blow falls.
		Latency: 8 * time.Millisecond, Jitter: 8 * time.Millisecond,
		ReceiptDelay: 30 * time.Millisecond, ReceiptJitter: 30 * time.Millisecond, ReceiptRetry: 20 * time.Millisecond,
		Seed: seed, OnBind: arrived.bound, OnSubmit: arrived.submitted, OnMessage: arrived.message,
	})
	s := newSite(t, addr)
	s.carrierMore = fmt.Sprintf("    window: %d\n    segmentation: udh16\n", killCarrierWindow)
	s.account = fmt.Sprintf("    window: 100\n    deliver_window: %d\n", killDeliverWindow)
	s.route = "    uncertain: " + policy + "\n"

	// Any moment counts, those of the start-up too: each life is counted from the start of
	// its process.
	alive := make([]time.Duration, kills)
	load := time.Second
	for i := range alive {
		alive[i] = time.Duration(chance.Int64N(int64(1800 * time.Millisecond)))
		load += alive[i] + 50*time.Millisecond
	}
	gateway := s.start()
	ctx, cancel := context.WithTimeout(t.Context(), load+3*time.Minute)
	defer cancel()
	var res *smppload.Result
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Fewer submits than the carrier can take: this is about loss, not about a backlog.
		res, err = smppload.Run(ctx, smppload.Options{
			Addr: s.smpp, SystemID: "load", Password: "demo", Binds: killClientBinds, Window: 50, Rate: 800,
			Duration: load, Receipts: true, Reconnect: true, Texts: killTexts, Linger: time.Second,
		})
	}()
	for i := range kills {
		timer := time.NewTimer(alive[i])
		select {
		case <-timer.C:
		case <-ended:
			t.Fatalf("the load ended early: %v %+v", err, res)
		case <-gateway.done:
			t.Fatalf("life %d ended by itself: %s\n%s", i, gateway.cmd.ProcessState, tail(gateway.output(), 4000))
		}
		gateway.kill()
		arrived.mu.Lock()
		arrived.life = i + 1
		arrived.mu.Unlock()
		gateway = s.launch()
	}
	gateway.see(`msg=ready`, startLimit)
	<-ended
	if err != nil {
		t.Fatalf("load: %v", err)
	}

	gateway.signal(syscall.SIGTERM)
	if code := gateway.ends(30 * time.Second); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	arrived.mu.Lock()
	defer arrived.mu.Unlock()
	doubled := 0
	for _, d := range arrived.double {
		doubled += len(d)
	}
	t.Logf("%d submits, %d answered ESME_ROK, %d uncertain to the client, refused %v; the carrier took %d submits, %d of them a second time",
		res.Sent, res.Accepted, res.Uncertain, res.Statuses, carrier.Stats().Accepted, doubled)
	t.Logf("%d receipts, %d of them for what was uncertain; %d came twice, %d never; states %v", res.Receipts, res.OfUncertain, res.Dup, res.Missing, res.ReceiptStates)
	for _, w := range arrived.wrong {
		t.Error(w)
	}
	if res.Missing > 0 || res.Strange > 0 || res.Unsought > 0 {
		t.Errorf("receipts: %d missing, %d with another message's id, %d for nothing", res.Missing, res.Strange, res.Unsought)
	}
	if bound := kills * (killClientBinds*killDeliverWindow + killUnended); int(res.Dup) > bound {
		t.Errorf("%d receipts came twice, at most %d may", res.Dup, bound)
	}
	if res.Accepted < uint64(kills)*20 {
		t.Errorf("only %d messages were accepted in %d lives: that was no load", res.Accepted, kills)
	}
	check(killBooks{kills, arrived, res})
}
