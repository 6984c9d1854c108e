package gateway

import (
	"strings"
	"sync"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

func (p *peer) query(id string) (pdu.Status, *pdu.QuerySMResp) {
	p.t.Helper()
	p.send(pdu.CmdQuerySM, &pdu.QuerySM{MessageID: []byte(id), Source: pdu.Address{TON: 5, Addr: []byte("AHWAL")}})
	h, body := p.expect(pdu.CmdQuerySM.Resp())
	return h.Status, body.(*pdu.QuerySMResp)
}

func (p *peer) cancel(f func(q *pdu.CancelSM)) pdu.Status {
	p.t.Helper()
	q := &pdu.CancelSM{Source: pdu.Address{TON: 5, Addr: []byte("AHWAL")}}
	f(q)
	p.send(pdu.CmdCancelSM, q)
	h, _ := p.expect(pdu.CmdCancelSM.Resp())
	return h.Status
}

func (p *peer) replace(id string, f func(q *pdu.ReplaceSM)) pdu.Status {
	p.t.Helper()
	q := &pdu.ReplaceSM{MessageID: []byte(id), Source: pdu.Address{TON: 5, Addr: []byte("AHWAL")}, ShortMessage: []byte("new"), RegisteredDelivery: 1}
	if f != nil {
		f(q)
	}
	p.send(pdu.CmdReplaceSM, q)
	h, _ := p.expect(pdu.CmdReplaceSM.Resp())
	return h.Status
}

func asked(p *pdu.SubmitSM) { p.RegisteredDelivery = pdu.RegisteredFinal }

// inTenMinutes schedules a message; the bubble's clock begins on 2000-01-01 at 00:00.
func inTenMinutes(p *pdu.SubmitSM) {
	p.RegisteredDelivery, p.ScheduleDeliveryTime = pdu.RegisteredFinal, []byte("000101001000000+")
}

// heard keeps the texts that a simulated carrier accepted.
type heard struct {
	mu    sync.Mutex
	texts []string
	at    []time.Time
}

func (h *heard) hear(m *smpptest.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.texts = append(h.texts, m.Text)
	h.at = append(h.at, time.Now())
}

func (h *heard) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.texts...)
}

func hearing(h *heard) map[string]smpptest.SMSCOptions {
	return map[string]smpptest.SMSCOptions{"a:1": {OnMessage: h.hear}}
}

// withOther adds the account "other" and keeps carrier a away.
func withOther(s *Setup) {
	other := acme()
	other.SystemID = "other"
	s.Accounts = append(s.Accounts, other)
}

func TestQueryTellsTheStateToTheOwnerOnly(t *testing.T) { // row 39
	for _, form := range []IDForm{HexID, DecimalID, ShortID} {
		bubble(t, func(t *testing.T) {
			r := newRig(t, rigOptions{Setup: func(s *Setup) {
				withOther(s)
				s.Accounts[0].MessageID, s.Accounts[1].MessageID = form, form
			}})
			r.refuse("a:1", true)
			p, stranger := r.transceiver(), r.bind(pdu.CmdBindTransmitter, "other")
			waiting, scheduled := p.submit(asked), p.submit(inTenMinutes)
			if form == ShortID && len(waiting) != 10 {
				t.Errorf("short id %q", waiting)
			}
			for _, id := range []string{waiting, scheduled} {
				st, resp := p.query(id)
				if st != pdu.ESME_ROK || resp.MessageState != pdu.StateEnroute || string(resp.MessageID) != id || len(resp.FinalDate) != 0 {
					t.Errorf("%s: %v, %+v", id, st, resp)
				}
				if st, _ := stranger.query(id); st != pdu.ESME_RQUERYFAIL {
					t.Errorf("another account is told %v of %s", st, id)
				}
			}
			p.send(pdu.CmdQuerySM, &pdu.QuerySM{MessageID: []byte(waiting), Source: pdu.Address{Addr: []byte("MOI")}})
			if h, _ := p.expect(pdu.CmdQuerySM.Resp()); h.Status != pdu.ESME_RQUERYFAIL {
				t.Errorf("another source: %v", h.Status)
			}
			r.refuse("a:1", false)
			if got := p.receipt(); got["id"] != waiting {
				t.Errorf("receipt %v of %s", got, waiting)
			}
			st, resp := p.query(waiting)
			if st != pdu.ESME_ROK || resp.MessageState != pdu.StateDelivered || len(resp.FinalDate) != 16 {
				t.Errorf("in the end: %v, %+v", st, resp)
			}
			if st, _ := stranger.query(waiting); st != pdu.ESME_RQUERYFAIL {
				t.Errorf("another account is told %v in the end", st)
			}
		})
	}
}

func TestQueryOfAScheduledMessageBySpeakersOfVersion5(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		p := r.connect("")
		p.play(strings.Replace(bindTRX, "0x34", "0x50", 1))
		if _, resp := p.query(p.submit(inTenMinutes)); resp.MessageState != pdu.StateScheduled {
			t.Errorf("state %v", resp.MessageState)
		}
	})
}

func TestCancelInEveryState(t *testing.T) { // row 40
	bubble(t, func(t *testing.T) {
		h := new(heard)
		r := newRig(t, rigOptions{Setup: withOther, SMSC: hearing(h)})
		r.refuse("a:1", true)
		p, stranger := r.transceiver(), r.bind(pdu.CmdBindTransmitter, "other")
		byID := func(id string) func(q *pdu.CancelSM) {
			return func(q *pdu.CancelSM) { q.MessageID = []byte(id) }
		}
		for _, submit := range []func(p *pdu.SubmitSM){asked, inTenMinutes} {
			id := p.submit(submit)
			if st := stranger.cancel(byID(id)); st != pdu.ESME_RCANCELFAIL {
				t.Errorf("another account's: %v", st)
			}
			if st := p.cancel(func(q *pdu.CancelSM) { byID(id)(q); q.Source.Addr = []byte("MOI") }); st != pdu.ESME_RCANCELFAIL {
				t.Errorf("another source: %v", st)
			}
			p.send(pdu.CmdCancelSM, &pdu.CancelSM{MessageID: []byte(id), Source: pdu.Address{TON: 5, Addr: []byte("AHWAL")}})
			h, _, err := p.read(10 * time.Second)
			first := h.Command
			h2, _, err2 := p.read(10 * time.Second)
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			if first == pdu.CmdDeliverSM {
				p.answer(h, pdu.ESME_ROK)
			} else {
				p.answer(h2, pdu.ESME_ROK)
				if h.Status != pdu.ESME_ROK {
					t.Errorf("cancel_sm: %v", h.Status)
				}
			}
			if _, resp := p.query(id); resp.MessageState != pdu.StateDeleted {
				t.Errorf("state %v", resp.MessageState)
			}
			if st := p.cancel(byID(id)); st != pdu.ESME_RCANCELFAIL {
				t.Errorf("twice: %v", st)
			}
		}
		r.refuse("a:1", false)
		sent := p.submit(asked)
		p.receipt()
		if st := p.cancel(byID(sent)); st != pdu.ESME_RCANCELFAIL {
			t.Errorf("a sent one: %v", st)
		}
		time.Sleep(20 * time.Minute)
		if got := h.list(); len(got) != 1 {
			t.Errorf("the carrier heard %q", got)
		}
		if n := r.metric("masar_messages_ended_total", "state=DELETED"); n != 2 {
			t.Errorf("%v counted as deleted", n)
		}
	})
}

func TestCancelByPattern(t *testing.T) { // row 40
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: withOther})
		r.refuse("a:1", true)
		p, stranger := r.transmitter(), r.bind(pdu.CmdBindTransmitter, "other")
		with := func(service, dest string) func(p *pdu.SubmitSM) {
			return func(p *pdu.SubmitSM) { p.ServiceType, p.Dest.Addr = []byte(service), []byte(dest) }
		}
		one, two := p.submit(with("CMT", "966501234567")), p.submit(with("CMT", "0501234567"))
		plain, elsewhere := p.submit(with("", "966501234567")), p.submit(with("CMT", "966501234568"))
		pattern := func(service string) func(q *pdu.CancelSM) {
			return func(q *pdu.CancelSM) {
				q.ServiceType, q.Dest = []byte(service), pdu.Address{TON: 1, NPI: 1, Addr: []byte("+966 501234567")}
			}
		}
		state := func(id string) pdu.State { _, resp := p.query(id); return resp.MessageState }
		if st := stranger.cancel(pattern("CMT")); st != pdu.ESME_RCANCELFAIL {
			t.Errorf("another account's: %v", st)
		}
		if st := p.cancel(pattern("CMT")); st != pdu.ESME_ROK {
			t.Errorf("pattern: %v", st)
		}
		for id, want := range map[string]pdu.State{one: pdu.StateDeleted, two: pdu.StateDeleted, plain: pdu.StateEnroute, elsewhere: pdu.StateEnroute} {
			if got := state(id); got != want {
				t.Errorf("%s is %v, want %v", id, got, want)
			}
		}
		if st := p.cancel(pattern("")); st != pdu.ESME_ROK {
			t.Errorf("any service_type: %v", st)
		}
		if state(plain) != pdu.StateDeleted || state(elsewhere) != pdu.StateEnroute {
			t.Errorf("%v, %v", state(plain), state(elsewhere))
		}
	})
}

func TestReplaceInEveryState(t *testing.T) { // row 41
	bubble(t, func(t *testing.T) {
		h := new(heard)
		r := newRig(t, rigOptions{Setup: withOther, SMSC: hearing(h)})
		r.refuse("a:1", true)
		p, stranger := r.transceiver(), r.bind(pdu.CmdBindTransmitter, "other")
		id := p.submit(func(p *pdu.SubmitSM) {})
		if st := stranger.replace(id, nil); st != pdu.ESME_RREPLACEFAIL {
			t.Errorf("another account's: %v", st)
		}
		if st := p.replace(id, func(q *pdu.ReplaceSM) { q.Source.Addr = []byte("MOI") }); st != pdu.ESME_RREPLACEFAIL {
			t.Errorf("another source: %v", st)
		}
		for _, row := range []struct {
			name string
			f    func(q *pdu.ReplaceSM)
			want pdu.Status
		}{
			{"bad bits", func(q *pdu.ReplaceSM) { q.RegisteredDelivery = 0x80 }, pdu.ESME_RINVREGDLVFLG},
			{"a past schedule", func(q *pdu.ReplaceSM) { q.ScheduleDeliveryTime = []byte("991231000000000+") }, pdu.ESME_RINVSCHED},
			{"no validity", func(q *pdu.ReplaceSM) { q.ValidityPeriod = []byte("000000000000000R") }, pdu.ESME_RINVEXPIRY},
			{"a text that is none", func(q *pdu.ReplaceSM) { q.ShortMessage = []byte("\xff") }, pdu.ESME_RSUBMITFAIL},
			{"a default message", func(q *pdu.ReplaceSM) { q.DefaultMsgID = 9 }, pdu.ESME_RINVDFTMSGID},
		} {
			if st := p.replace(id, row.f); st != row.want {
				t.Errorf("%s: %v, want %v", row.name, st, row.want)
			}
		}
		if st := p.replace(id, nil); st != pdu.ESME_ROK {
			t.Fatalf("waiting: %v", st)
		}
		later := p.submit(inTenMinutes)
		if st := p.replace(later, func(q *pdu.ReplaceSM) {
			q.ShortMessage = []byte("moved")
			q.ScheduleDeliveryTime = []byte("000101002000000+")
		}); st != pdu.ESME_ROK {
			t.Fatalf("scheduled: %v", st)
		}
		if st := p.replace(later, func(q *pdu.ReplaceSM) { q.ValidityPeriod = []byte("000101001500000+") }); st != pdu.ESME_RINVEXPIRY {
			t.Errorf("validity before the schedule that holds: %v", st)
		}
		r.refuse("a:1", false)
		if got := p.receipt(); got["id"] != id {
			t.Errorf("receipt %v: the replacement asked for one", got)
		}
		if st := p.replace(id, nil); st != pdu.ESME_RREPLACEFAIL {
			t.Errorf("ended: %v", st)
		}
		time.Sleep(15 * time.Minute)
		if got := h.list(); strings.Join(got, ",") != "new" {
			t.Errorf("the carrier heard %q", got)
		}
		if got := func() map[string]string {
			p.conn.SetReadDeadline(time.Time{})
			h, b := p.expectWithin(pdu.CmdDeliverSM, 10*time.Minute)
			p.answer(h, 0)
			return fields(b.(*pdu.DeliverSM))
		}(); got["id"] != later {
			t.Errorf("receipt %v", got)
		}
		if got := h.list(); strings.Join(got, ",") != "new,moved" {
			t.Errorf("the carrier heard %q", got)
		}
	})
}

func TestReplaceIfPresentLeavesOneMessage(t *testing.T) { // row 34
	bubble(t, func(t *testing.T) {
		h := new(heard)
		r := newRig(t, rigOptions{SMSC: hearing(h)})
		r.refuse("a:1", true)
		p := r.transceiver()
		text := func(s, service string, replace uint8) func(p *pdu.SubmitSM) {
			return func(p *pdu.SubmitSM) {
				p.ShortMessage, p.ServiceType, p.ReplaceIfPresent = []byte(s), []byte(service), replace
			}
		}
		id := p.submit(text("first", "CMT", 1)) // nothing to replace: a new message
		if again := p.submit(text("second", "CMT", 1)); again != id {
			t.Errorf("the replaced one keeps its id: %s, %s", again, id)
		}
		// Two right behind each other, on the wire at once.
		p.send(pdu.CmdSubmitSM, sms(text("third", "CMT", 1)))
		p.send(pdu.CmdSubmitSM, sms(text("fourth", "CMT", 1)))
		for range 2 {
			h, body := p.expect(pdu.CmdSubmitSM.Resp())
			if h.Status != pdu.ESME_ROK || string(body.(*pdu.MessageResp).MessageID) != id {
				t.Errorf("%v, %s", h.Status, body.(*pdu.MessageResp).MessageID)
			}
		}
		other := p.submit(text("other service", "VMA", 1))
		if other == id {
			t.Error("another service_type is another message")
		}
		if kept := p.submit(text("beside", "CMT", 0)); kept == id {
			t.Error("without the flag nothing is replaced")
		}
		r.refuse("a:1", false)
		r.wait("all sent", func() bool { return len(h.list()) == 3 })
		time.Sleep(time.Minute)
		got := map[string]bool{}
		for _, s := range h.list() {
			got[s] = true
		}
		if len(h.list()) != 3 || !got["fourth"] || !got["other service"] || !got["beside"] {
			t.Errorf("the carrier heard %q", h.list())
		}
		if n := r.gw.met.openSubmits.Load(); n != 0 {
			t.Errorf("%d submits are open", n)
		}
	})
}

func TestReplaceIfPresentOfAScheduledMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := new(heard)
		r := newRig(t, rigOptions{SMSC: hearing(h)})
		r.carrierUp("a")
		p := r.transceiver()
		id := p.submit(inTenMinutes)
		if now := p.submit(func(p *pdu.SubmitSM) { p.ReplaceIfPresent, p.ShortMessage = 1, []byte("now") }); now != id {
			t.Errorf("%s, %s", now, id)
		}
		r.wait("sent", func() bool { return len(h.list()) == 1 })
		time.Sleep(20 * time.Minute)
		if got := h.list(); len(got) != 1 || got[0] != "now" {
			t.Errorf("the carrier heard %q", got)
		}
	})
}

func TestOneAccountsQuestionsDoNotCrowdOutTheOthers(t *testing.T) {
	g := &Gateway{met: newMetrics(nil), log: discard()}
	d := newDesk(g) // nobody answers: what is put stays
	a, b := newAccount(g, &Account{SystemID: "a"}, 1), newAccount(g, &Account{SystemID: "b"}, 1+desks)
	for i := range deskAccount {
		if !d.put(a, nil) {
			t.Fatalf("question %d was refused", i+1)
		}
	}
	s := &submission{client: &client{g: g, account: a}}
	s.client.opened()
	d.replaceIfPresent(s) // its Reply is nobody's
	if n := g.met.openSubmits.Load(); n != 0 {
		t.Errorf("%d submits are open", n)
	}
	if d.put(a, nil) || a.asking.Load() != deskAccount {
		t.Errorf("one more was taken, %d are asking", a.asking.Load())
	}
	if !d.put(b, nil) {
		t.Error("another account at the same desk was refused")
	}
	for d.put(newAccount(g, &Account{SystemID: "c"}, 1), nil) {
	}
	if n := len(d.jobs[1]); n != deskMost {
		t.Errorf("%d wait", n)
	}
}

func TestAReplacementKeepsTheClassWhoseRoomItHas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) { s.Accounts[0].Room = 1 }})
		r.refuse("a:1", true)
		p := r.transmitter()
		for range 3 {
			id := p.submit(func(p *pdu.SubmitSM) { p.PriorityFlag, p.ReplaceIfPresent = 1, 1 })
			if again := p.submit(func(p *pdu.SubmitSM) { p.PriorityFlag, p.ReplaceIfPresent = 3, 1 }); again != id {
				// The room of the urgent class would have taken it in.
				t.Fatalf("%s, %s", id, again)
			}
			if st := p.cancel(func(q *pdu.CancelSM) { q.MessageID = []byte(id) }); st != pdu.ESME_ROK {
				t.Fatal(st)
			}
		}
		var left int64
		r.store.Depths(func(_ queue.Lane, d queue.Depth) { left += d.Messages })
		if left != 0 {
			t.Errorf("%d wait", left)
		}
	})
}

func TestTheTimeToLiveOfADataSMIsItsValidity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		r.refuse("a:1", true)
		p := r.transceiver()
		began := time.Now()
		p.send(pdu.CmdDataSM, &pdu.DataSM{
			Source: pdu.Address{TON: 5, Addr: []byte("AHWAL")}, Dest: pdu.Address{TON: 1, NPI: 1, Addr: []byte("966501234567")}, RegisteredDelivery: 1,
			TLVs: pdu.TLVs(nil).AppendUint32(pdu.TagQoSTimeToLive, 90).Append(pdu.TagMessagePayload, []byte("hello")),
		})
		h, body := p.expect(pdu.CmdDataSM.Resp())
		if h.Status != pdu.ESME_ROK {
			t.Fatal(h.Status)
		}
		id, _ := (&Account{}).readID(body.(*pdu.MessageResp).MessageID)
		v, err := r.store.Find(t.Context(), 0, id)
		if err != nil {
			t.Fatal(err)
		}
		if d := v.M.Expires.Time().Sub(began); d < 90*time.Second || d > 91*time.Second {
			t.Errorf("it expires after %v", d)
		}
		if _, ok := pdu.TLVs(v.M.TLVs).Get(pdu.TagQoSTimeToLive); ok {
			t.Error("a submit_sm has no qos_time_to_live")
		}
		h, body = p.expectWithin(pdu.CmdDeliverSM, 3*time.Minute)
		if got := fields(body.(*pdu.DeliverSM)); h.Status != 0 || got["stat"] != "EXPIRED" {
			t.Errorf("receipt %v", got)
		}
	})
}
