package gateway

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/queue"
	"masar/queue/pebble"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// TestHaltedMessagesDoNotHoldUpThoseBehindThem in the same lane, nor what is urgent in
// another; then they are put back, halted again and cancelled. HALTED sets how many
// are halted; it prints how long each took.
func TestHaltedMessagesDoNotHoldUpThoseBehindThem(t *testing.T) {
	halted := 10_000
	if n, err := strconv.Atoi(os.Getenv("HALTED")); err == nil {
		halted = n
	}
	const behind = 100
	dir := t.TempDir()
	w := new(turns)
	r := newRig(t, rigOptions{
		FS: vfs.Default, Store: func(o *pebble.Options) { o.Dir = dir; o.CacheBytes = 256 << 20 },
		SMSC: map[string]smpptest.SMSCOptions{"a:1": {OnSubmit: w.heard}},
		Setup: func(s *Setup) {
			s.Accounts = append(s.Accounts,
				likeAcme("otp", func(a *Account) { a.Class = queue.Urgent }),
				likeAcme("campaign", func(a *Account) { a.Class, a.Receipts = queue.Bulk, AccountReceipts{} }))
		},
	})
	r.carrierUp("a")
	r.refuse("a:1", true)
	p := r.bind(pdu.CmdBindTransmitter, "campaign")
	otp := r.bind(pdu.CmdBindTransmitter, "otp")
	service := func(code string) func(p *pdu.SubmitSM) {
		return func(p *pdu.SubmitSM) { p.ServiceType, p.Source.Addr = []byte(code), []byte(code) }
	}
	began := time.Now()
	took := func(what string) {
		t.Logf("%s: %s", what, time.Since(began).Round(time.Millisecond))
		began = time.Now()
	}
	flood(p, halted, both(service("STOP"), wantReceipt))
	flood(p, behind, service("GO"))
	took("submitted")
	h := r.halt(Scope{Service: "STOP"})
	took("halt")
	r.refuse("a:1", false)
	r.carrierUp("a")
	began = time.Now()
	var urgent []time.Duration
	for w.first(1 << 30)["GO"] < behind {
		before, at := w.first(1 << 30)["AHWAL"], time.Now()
		otp.submit(nil)
		r.wait("an urgent message", func() bool { return w.first(1 << 30)["AHWAL"] > before })
		urgent = append(urgent, time.Since(at))
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("%d messages behind have left", w.first(1 << 30)["GO"])
		}
	}
	took("those behind have left")
	slices.Sort(urgent)
	t.Logf("%d urgent ones meanwhile, half of them within %s, the slowest %s", len(urgent), urgent[len(urgent)/2], urgent[len(urgent)-1])
	r.wait("all set aside", func() bool { return r.asideHalted() == int64(halted) })
	began = time.Now()
	if n := r.countScope(h.Scope, time.Time{}); n != (HaltCount{Aside: int64(halted)}) {
		t.Errorf("counted %+v", n)
	}
	took("counted")
	r.refuse("a:1", true)
	began = time.Now()
	r.resume(h.ID)
	r.wait("all put back", func() bool { return r.asideHalted() == 0 })
	took("put back")
	h = r.halt(h.Scope)
	r.refuse("a:1", false)
	r.carrierUp("a")
	r.wait("some are set aside", func() bool { return r.asideHalted() > 0 })
	began = time.Now()
	if n := r.cancelHalted(h.ID); n != int64(halted) {
		t.Errorf("%d cancelled", n)
	}
	took("cancelled")
	if got := w.first(1 << 30); got["STOP"] != 0 || got["GO"] != behind {
		t.Errorf("left: %v", got)
	}
	ends := int64(0)
	r.store.OutboxDepths(func(_ uint32, d queue.Depth) { ends += d.Messages })
	if ends != int64(halted) {
		t.Errorf("%d receipts wait", ends)
	}
	if hs := r.gw.Halts(); len(hs) != 1 || hs[0].Cancelled != int64(halted) {
		t.Errorf("halts %+v", hs)
	}
}
