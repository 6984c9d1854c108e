package gateway

import (
	"strings"
	"testing"
	"time"

	"masar/smpp/pdu"
)

const day = 24 * time.Hour

// away stops the rig for a while: months pass without the ticks of a running gateway.
func (r *rig) away(d time.Duration) {
	r.t.Helper()
	r.stop()
	time.Sleep(d)
	r.start()
	r.carrierUp("a")
}

// A reminder by SMPP alone: submitted months ahead, moved with replace_sm, withdrawn with
// cancel_sm by its id or by service_type, source and destination.
func TestAMessageScheduledMonthsAheadIsMovedOrWithdrawn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := new(heard)
		r := newRig(t, rigOptions{SMSC: hearing(h), Setup: func(s *Setup) { s.MaxSchedule = 400 * day }})
		r.carrierUp("a")
		p := r.transmitter()
		began := time.Now()
		in := func(d time.Duration, text, service, dest string) func(p *pdu.SubmitSM) {
			at := pdu.AppendTime(nil, began.Add(d))
			return func(p *pdu.SubmitSM) {
				p.ScheduleDeliveryTime, p.ShortMessage, p.ServiceType, p.Dest.Addr = at, []byte(text), []byte(service), []byte(dest)
			}
		}
		const ali, badr = "966501234567", "966507654321"
		p.submit(in(100*day, "stays", "IDREN", ali))
		moved := p.submit(in(100*day, "to be moved", "IDREN", ali))
		byID := p.submit(in(100*day, "cancelled by id", "IDREN", badr))
		pattern := []string{p.submit(in(100*day, "cancelled by pattern", "PSREN", badr)), p.submit(in(300*day, "cancelled by pattern, too", "PSREN", badr))}
		other := p.submit(in(100*day, "another service", "DLREN", badr))
		if st := p.submitted(in(400*day+time.Minute, "too far", "IDREN", ali)); st != pdu.ESME_RINVSCHED {
			t.Errorf("further than the limit: %v", st)
		}
		if lines := r.log.find("submit refused", "reason=bad_schedule", "status=ESME_RINVSCHED"); len(lines) != 1 ||
			lines[0].attrs["detail"] != "further ahead than 9600h0m0s" || !strings.HasPrefix(lines[0].attrs["rule"], "schedule_delivery_time ") {
			t.Errorf("logged %v", lines)
		}
		last := p.submit(in(399*day, "the furthest", "IDREN", ali))
		if _, q := p.query(last); q.MessageState != pdu.StateEnroute { // SCHEDULED is version 5's
			t.Errorf("state %v", q.MessageState)
		}

		r.away(50 * day)
		p = r.transmitter()
		if st := p.replace(moved, func(q *pdu.ReplaceSM) {
			q.ScheduleDeliveryTime = pdu.AppendTime(nil, time.Now().Add(401*day))
		}); st != pdu.ESME_RINVSCHED {
			t.Errorf("moved beyond the limit: %v", st)
		}
		if st := p.replace(moved, func(q *pdu.ReplaceSM) {
			q.ShortMessage, q.ScheduleDeliveryTime, q.RegisteredDelivery = []byte("moved"), pdu.AppendTime(nil, began.Add(200*day)), 0
		}); st != pdu.ESME_ROK {
			t.Fatalf("moved: %v", st)
		}
		if st := p.cancel(func(q *pdu.CancelSM) { q.MessageID = []byte(byID) }); st != pdu.ESME_ROK {
			t.Errorf("cancelled by id: %v", st)
		}
		byPattern := func(q *pdu.CancelSM) {
			q.ServiceType, q.Dest = []byte("PSREN"), pdu.Address{TON: 1, NPI: 1, Addr: []byte("+" + badr)}
		}
		if st := p.cancel(byPattern); st != pdu.ESME_ROK {
			t.Errorf("cancelled by pattern: %v", st)
		}
		if st := p.cancel(byPattern); st != pdu.ESME_RCANCELFAIL {
			t.Errorf("cancelled twice: %v", st)
		}
		for _, id := range append(pattern, byID) {
			if _, q := p.query(id); q.MessageState != pdu.StateDeleted {
				t.Errorf("%s is %v", id, q.MessageState)
			}
		}
		heardBy := func(want ...string) {
			t.Helper()
			time.Sleep(10 * time.Second)
			if got := strings.Join(h.list(), ", "); got != strings.Join(want, ", ") {
				t.Errorf("after %s the carrier has heard %q, want %q", time.Since(began).Round(day), got, want)
			}
		}
		heardBy()
		r.away(time.Until(began.Add(100 * day)))
		heardBy("stays", "another service")
		p = r.transmitter()
		if st := p.cancel(func(q *pdu.CancelSM) { q.MessageID = []byte(other) }); st != pdu.ESME_RCANCELFAIL {
			t.Errorf("cancelled after it was sent: %v", st)
		}
		r.away(time.Until(began.Add(200 * day)))
		heardBy("stays", "another service", "moved")
		r.away(time.Until(began.Add(399 * day)))
		heardBy("stays", "another service", "moved", "the furthest")
	})
}

func TestASchedulesLimitIsHalfAYearByDefault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		p := r.transmitter()
		at := func(d time.Duration) func(p *pdu.SubmitSM) {
			return func(p *pdu.SubmitSM) { p.ScheduleDeliveryTime = pdu.AppendTime(nil, time.Now().Add(d)) }
		}
		for d, want := range map[time.Duration]pdu.Status{
			179 * day: pdu.ESME_ROK, 180*day + time.Minute: pdu.ESME_RINVSCHED, -time.Minute: pdu.ESME_RINVSCHED,
		} {
			if st := p.submitted(at(d)); st != want {
				t.Errorf("%s ahead: %v, want %v", d, st, want)
			}
		}
	})
}

// A job's text is the job's: a client that knows its message_id may cancel it, not rewrite it.
func TestAClientDoesNotRewriteAJobsMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := new(heard)
		r, _, l := jobRig(t, rigOptions{SMSC: hearing(h)})
		r.refuse("a:1", true)
		id := r.notice(due(1, nil))
		p := r.bind(pdu.CmdBindTransmitter, "civil")
		if st := p.replace(id.String(), func(q *pdu.ReplaceSM) { q.Source.Addr = []byte("MOI") }); st != pdu.ESME_RREPLACEFAIL {
			t.Errorf("replace_sm: %v", st)
		}
		theirs := p.submit(func(p *pdu.SubmitSM) {
			p.ServiceType, p.Source.Addr, p.ReplaceIfPresent = []byte("OTPEN"), []byte("MOI"), 1
		})
		if theirs == id.String() {
			t.Error("replace_if_present took the job's message")
		}
		r.refuse("a:1", false)
		l.await(t, 1)
		r.wait("both are sent", func() bool { return len(h.list()) == 2 })
		if got := strings.Join(h.list(), ", "); got != "step 1, hello" {
			t.Errorf("sent %q", got)
		}
	})
}
