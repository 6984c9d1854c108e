package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"masar/admin"
	"masar/service"
	"masar/smpp/smppload"
	"masar/smpp/smpptest"
)

const (
	pilotPrefix  = "9665"
	pilotSpace   = 100_000_000 // numbers behind the prefix
	pilotServing = 8
)

// pilotServices are the catalogue's services of the pilot, each with a text of its template
// in which {n} stands for what differs from person to person.
func pilotServices(t testing.TB, config string) (list []*service.Service, texts, senders []string) {
	t.Helper()
	c, _, err := loadConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	cat, err := catalogue(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range cat.Services() {
		if !s.Pilot {
			continue
		}
		params := map[string]string{}
		for i, p := range s.Params {
			params[p.Name] = strings.Repeat("7", min(p.Max, 3))
			if i == 0 {
				params[p.Name] = "{n}"
			}
		}
		r, err := cat.Render(s, "ar", params, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		list, texts, senders = append(list, s), append(texts, r.Text), append(senders, cat.SenderOf(s))
	}
	if len(list) != pilotServing {
		t.Fatalf("the catalogue has %d services of the pilot", len(list))
	}
	return list, texts, senders
}

// enrolledEverywhere writes people, each enrolled in all these services under the number
// that the load sends to.
func enrolledEverywhere(t testing.TB, path string, people int, codes []string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, "person,number,services,language,consent_at,verified")
	for i := range people {
		fmt.Fprintf(w, "%010d,+%s,%s,ar,2026-11-01,true\n", 1_000_000_000+i, smppload.Destination(pilotPrefix, uint64(i)), strings.Join(codes, " "))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// reachedCarriers counts what reaches the carriers, each notice once: a bit for each service and
// number.
type reachedCarriers struct {
	service map[string]int
	seen    []atomic.Uint64

	whole, parts, twice, strange atomic.Int64
}

func newReachedCarriers(services []*service.Service) *reachedCarriers {
	a := &reachedCarriers{service: map[string]int{}, seen: make([]atomic.Uint64, len(services)*pilotSpace/64+1)}
	for i, s := range services {
		a.service[s.Code] = i
	}
	return a
}

func (a *reachedCarriers) message(m *smpptest.Message) {
	a.parts.Add(int64(m.Parts))
	at, known := a.service[m.ServiceType]
	digits, ours := strings.CutPrefix(m.Dest, pilotPrefix)
	n, err := strconv.Atoi(digits)
	if !known || !ours || err != nil || m.Err != nil || m.Parts != m.Total {
		a.strange.Add(1)
		return
	}
	bit := at*pilotSpace + n
	if mask := uint64(1) << (bit % 64); a.seen[bit/64].Or(mask)&mask != 0 {
		a.twice.Add(1)
		return
	}
	a.whole.Add(1)
}

// The pilot again: PILOT notices (make pilot: 6,000,000) of its 8 services, in the words of
// their templates, to a third as many enrolled people over three carriers. Each arrives
// once, whole, and its receipt comes back once.
func TestThePilotIsReplayedWithoutALossOrADuplicate(t *testing.T) {
	notices := envInt(t, "PILOT", 60_000) / pilotServing * pilotServing
	if raceEnabled {
		notices = 8_000
	}
	people, each := notices/3, notices/pilotServing

	s, codes := newServiceSite(t, "")
	s.carrier = freePort(t) // pilotServices reads the file before there are carriers
	s.write()
	list, texts, senders := pilotServices(t, s.path)
	got := newReachedCarriers(list)
	pilotSMSC := func() string {
		_, addr := smsc(t, smpptest.SMSCOptions{
			OnMessage: got.message, Latency: 2 * time.Millisecond, ReceiptDelay: 20 * time.Millisecond, ReceiptJitter: 15 * time.Millisecond,
		})
		return addr
	}
	s.carrier = pilotSMSC()
	s.carrierMore = "    window: 200\n"
	for _, name := range []string{"b", "c"} {
		s.carrierMore += fmt.Sprintf("  - {name: %s, addr: %q, system_id: masar, password: secret, binds: {transceiver: 2}, window: 200}\n", name, pilotSMSC())
	}
	s.route = "  - {prefix: [96650, 96653, 96655], carriers: [a, {failover: c}]}\n  - {prefix: [96654, 96656, 96657], carriers: [b, {failover: a}]}\n  - {prefix: [96651, 96652, 96658, 96659], carriers: [c, {failover: b}]}\n"
	s.account = "    max_parts: 255\n" + fmt.Sprintf("  - {system_id: all, password_hash: %q, services: [%s]}\n", demoHash(), strings.Join(codes, ", "))
	var pilot []string
	for _, one := range list {
		pilot = append(pilot, one.Code)
		s.account += fmt.Sprintf("  - {system_id: %s, password_hash: %q, services: [%s], window: 1000, max_parts: 10}\n", one.Code, demoHash(), one.Code)
	}
	gateway := s.start()

	file := filepath.Join(s.dir, "people.csv")
	enrolledEverywhere(t, file, people, pilot)
	began := time.Now()
	up := launch(t, "import", "subs", "import", file, "--data", s.data, "--json")
	if code := up.ends(time.Hour); code != exitDone {
		t.Fatalf("enrolling: exit code %d\n%s", code, up.output())
	}
	var job admin.BulkJob
	if err := json.Unmarshal([]byte(up.output()[strings.Index(up.output(), "{"):]), &job); err != nil || job.Good != int64(people) {
		t.Fatalf("enrolled %d of %d people (%v)", job.Good, people, err)
	}
	t.Logf("%d people enrolled in %d services each in %.1f s", people, len(pilot), time.Since(began).Seconds())

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
	defer cancel()
	results := make([]*smppload.Result, len(list))
	errs := make([]error, len(list))
	var loads sync.WaitGroup
	for i, one := range list {
		o := smppload.Options{
			Addr: s.smpp, SystemID: one.Code, Password: "demo", Binds: 1, Window: 500, Reconnect: true,
			// Each service to another three eighths of the people, all of them reached by some.
			First: uint64(i * (people - each) / (pilotServing - 1)), Count: uint64(each),
			// As an agency's system does: what the gateway answers "later" is submitted again.
			Again: true, Receipts: true, Linger: time.Second, Settle: 5 * time.Minute,
			From: senders[i], Prefix: pilotPrefix, ServiceType: one.Code, Texts: texts[i : i+1],
		}
		loads.Go(func() { results[i], errs[i] = smppload.Run(ctx, o) })
	}
	over := make(chan struct{})
	go func() { loads.Wait(); close(over) }()
	resident := gateway.resident()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for running := true; running; {
		select {
		case <-ticker.C:
			resident = max(resident, gateway.resident())
		case <-over:
			running = false
		}
	}

	var sum smppload.Result
	var last float64 // seconds to the last receipt
	for i, r := range results {
		if errs[i] != nil {
			t.Fatalf("%s: %v", list[i].Code, errs[i])
		}
		sum.Sent += r.Sent
		sum.Accepted += r.Accepted
		sum.Refused += r.Refused
		sum.Uncertain += r.Uncertain
		sum.Receipts += r.Receipts
		sum.Missing += r.Missing
		sum.Dup += r.Dup
		sum.Strange += r.Strange + r.Unsought
		if len(r.Statuses) > 1 {
			t.Logf("%s: %v", list[i].Code, r.Statuses)
		}
		if r.Receipts > 0 {
			last = max(last, float64(r.Receipts)/r.ReceiptsPerS)
		}
	}
	lost := int64(notices) - got.whole.Load()
	t.Logf("pilot: %d notices of %d services to %d people in %.1f s: %.0f notices/s, %.0f parts/s; resident at most %d MiB",
		notices, len(list), people, last, float64(notices)/last, float64(got.parts.Load())/last, resident>>20)
	t.Logf("accepted %d, refused %d, lost %d, duplicate %d, receipts %d (%.2f%%), receipts twice %d",
		sum.Accepted, sum.Refused, lost, got.twice.Load(), sum.Receipts, 100*float64(sum.Receipts)/float64(notices), sum.Dup)
	if sum.Accepted != uint64(notices) || sum.Uncertain != 0 || lost != 0 || got.twice.Load() != 0 || got.strange.Load() != 0 {
		t.Errorf("%d accepted of %d, %d uncertain, %d lost, %d twice, %d broken or strange", sum.Accepted, notices, sum.Uncertain, lost, got.twice.Load(), got.strange.Load())
	}
	if sum.Receipts != uint64(notices) || sum.Missing != 0 || sum.Dup != 0 || sum.Strange != 0 {
		t.Errorf("%d receipts of %d, %d missing, %d twice, %d strange", sum.Receipts, notices, sum.Missing, sum.Dup, sum.Strange)
	}
}
