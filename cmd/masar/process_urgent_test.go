package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

const (
	urgentMost   = 1_000_000 // from here on the bar is asserted, beneath it a looser one
	urgentPace   = 500       // submit_sm a second that the carrier takes
	urgentBar    = 100*time.Millisecond + time.Second/urgentPace
	urgentLoose  = time.Second // for a machine that runs other packages' tests
	urgentPrefix = "96659"     // of the urgent ones; nobody else's destination begins so
	urgentRate   = 50          // of them a second: one-time codes come one by one
)

// urgentCarrier notes when each message with the prefix came, and how many others.
type urgentCarrier struct {
	mu   sync.Mutex
	came map[int]time.Time
	bulk int
}

func (c *urgentCarrier) submitted(s *smpptest.Submit) {
	dest := s.Body.(*pdu.SubmitSM).Dest.Addr
	at := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if string(dest[:len(urgentPrefix)]) != urgentPrefix {
		c.bulk++
		return
	}
	if n, err := strconv.Atoi(string(dest[len(urgentPrefix):])); err == nil {
		if _, again := c.came[n]; !again {
			c.came[n] = at
		}
	}
}

// One-time codes never wait behind a bulk run: with URGENT bulk messages queued to a carrier
// limited to 500/s, and bulk submitting at full speed all the while, they are with the
// carrier at most 100 ms and one pace slot after their submit_sm, at the 99th percentile;
// and bulk goes on.
//
// make urgent takes 1,000,000 and asserts that bar.
func TestUrgentMessagesDoNotWaitBehindABulkRun(t *testing.T) {
	n := envInt(t, "URGENT", 20_000)
	measure := 3 * time.Second
	if n >= urgentMost {
		measure = 20 * time.Second
	}
	carrier := &urgentCarrier{came: map[int]time.Time{}}
	_, addr := smsc(t, smpptest.SMSCOptions{OnSubmit: carrier.submitted})
	s := newSite(t, addr)
	s.carrierMore = fmt.Sprintf("    window: 100\n    throughput: %d/s\n", urgentPace)
	s.account = fmt.Sprintf("    class: bulk\n  - {system_id: otp, password_hash: %q, class: urgent, max_class: urgent}\n", demoHash())
	gateway := s.start()

	bulk := func(more ...string) *process {
		return launch(t, "load", append([]string{"load", "--json", "--addr", s.smpp, "--system-id", "load", "--password", "demo",
			"--binds", "4", "--window", "200", "--prefix", "96650", "--text", "عرض خاص رقم {n}"}, more...)...)
	}
	began := time.Now()
	queueing := bulk("--count", strconv.Itoa(n))
	if code := queueing.ends(20 * time.Minute); code != exitDone {
		t.Fatalf("queueing: exit code %d\n%s", code, queueing.output())
	}
	queued := time.Since(began)
	running := bulk("--duration", "20m") // at full speed until the test ends

	otp := dialClient(t, s.smpp)
	if h, _ := otp.ask(pdu.CmdBindTransmitter, &pdu.Bind{SystemID: []byte("otp"), Password: []byte("demo"), InterfaceVersion: 0x34}); h.Status != pdu.ESME_ROK {
		t.Fatalf("bind: %s", h.Status)
	}
	until(t, time.Minute, "bulk submits", func() bool { return s.metric("masar_submits_total", `account="load"`, `result="ok"`) > float64(n)+1000 })
	accepted := s.metric("masar_submits_total", `account="load"`, `result="ok"`)

	carrier.mu.Lock()
	bulkBefore := carrier.bulk
	carrier.mu.Unlock()
	var sent []time.Time
	chance := rand.New(rand.NewPCG(1, 2))
	for end := time.Now().Add(measure); time.Now().Before(end); {
		sm := submitTo(fmt.Sprintf("%s%07d", urgentPrefix, len(sent)), "code 123456", false)
		sent = append(sent, time.Now())
		if h, _ := otp.ask(pdu.CmdSubmitSM, sm); h.Status != pdu.ESME_ROK {
			t.Fatal(h.Status)
		}
		time.Sleep(time.Duration(chance.Int64N(2 * int64(time.Second) / urgentRate))) // not in step with the pace
	}
	measured := time.Since(sent[0])
	until(t, 10*time.Second, "the last urgent message", func() bool {
		carrier.mu.Lock()
		defer carrier.mu.Unlock()
		return len(carrier.came) == len(sent)
	})
	more := s.metric("masar_submits_total", `account="load"`, `result="ok"`) - accepted
	waiting := s.metric("masar_queue_messages", `class="bulk"`)
	running.kill()

	carrier.mu.Lock()
	defer carrier.mu.Unlock()
	var took []time.Duration
	for i, at := range sent {
		took = append(took, carrier.came[i].Sub(at))
	}
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100] }
	bulkRate := float64(carrier.bulk-bulkBefore) / measured.Seconds()
	t.Logf("%d bulk messages queued in %.1f s; %.0f/s more submitted and %.0f/s sent while %d urgent ones were measured; %.0f waited at the end",
		n, queued.Seconds(), more/measured.Seconds(), bulkRate, len(sent), waiting)
	t.Logf("urgent, submit_sm to the carrier's submit_sm: p50 %s, p99 %s, max %s; the bar is %s at p99",
		at(50).Round(10*time.Microsecond), at(99).Round(10*time.Microsecond), at(100).Round(10*time.Microsecond), urgentBar)
	t.Logf("resident memory of the gateway: %d MiB", gateway.resident()>>20)

	limit := urgentLoose
	if n >= urgentMost {
		limit = urgentBar
	}
	if at(99) > limit && !raceEnabled {
		t.Errorf("p99 %s is above %s", at(99), limit)
	}
	if share := 0.05 * urgentPace; bulkRate < share {
		t.Errorf("bulk was sent %.0f/s, its share is %.0f/s", bulkRate, share)
	}
	if bulkRate > 1.1*urgentPace {
		t.Errorf("bulk was sent %.0f/s: the carrier's limit does not hold and nothing was measured", bulkRate)
	}
}
