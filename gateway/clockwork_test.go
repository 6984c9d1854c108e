package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

func TestSchedulesAndValiditiesOfAnAccount(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	riyadh := time.FixedZone("+03", 3*3600)
	s := Setup{MaxSchedule: 10 * 24 * time.Hour}
	usual := Account{ValidityDefault: 2 * time.Hour, ValidityMax: 24 * time.Hour, Zone: time.UTC}
	for _, row := range []struct {
		name               string
		account            func(o *Account)
		schedule, validity string
		due, expires       time.Time
		why                Refusal
	}{
		{"nothing said", nil, "", "", time.Time{}, now.Add(2 * time.Hour), Accepted},
		{"relative validity", nil, "", "000000001000000R", time.Time{}, now.Add(10 * time.Minute), Accepted},
		{"absolute validity, its own offset", nil, "", "260501153000012+", time.Time{}, now.Add(30 * time.Minute), Accepted},
		{"validity over the most", nil, "", "000002000000000R", time.Time{}, now.Add(24 * time.Hour), Accepted},
		{"validity in the past", nil, "", "260501110000000+", time.Time{}, time.Time{}, BadValidity},
		{"validity of nothing", nil, "", "000000000000000R", time.Time{}, time.Time{}, BadValidity},
		{"validity that is no time", nil, "", "2605011100000000", time.Time{}, time.Time{}, BadValidity},
		{"absolute schedule: validity counts from it", nil, "260501140000000+", "", now.Add(2 * time.Hour), now.Add(4 * time.Hour), Accepted},
		{"relative schedule", nil, "000000010000000R", "", now.Add(time.Hour), now.Add(3 * time.Hour), Accepted},
		{"relative schedule by the calendar", nil, "000007000000000R", "", now.AddDate(0, 0, 7), now.AddDate(0, 0, 7).Add(2 * time.Hour), Accepted},
		{"schedule behind the clock", nil, "260501115959000+", "", time.Time{}, time.Time{}, BadSchedule},
		{"schedule east of here, which is past", func(o *Account) { o.Zone = riyadh }, "260501140000012+", "", time.Time{}, time.Time{}, BadSchedule},
		{"schedule too far", nil, "260512120000000+", "", time.Time{}, time.Time{}, BadSchedule},
		{"schedule that is no time", nil, "26-05-01 14:00..", "", time.Time{}, time.Time{}, BadSchedule},
		{"validity before the schedule", nil, "260501140000000+", "260501130000000+", time.Time{}, time.Time{}, BadValidity},
		{"validity behind the schedule", nil, "260501140000000+", "260501143000000+", now.Add(2 * time.Hour), now.Add(150 * time.Minute), Accepted},
		{"the most counts from the schedule", nil, "260501140000000+", "000003000000000R", now.Add(2 * time.Hour), now.Add(26 * time.Hour), Accepted},
		{"a default over the most", func(o *Account) { o.ValidityDefault = 48 * time.Hour }, "", "", time.Time{}, now.Add(24 * time.Hour), Accepted},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := usual
			if row.account != nil {
				row.account(&o)
			}
			var m queue.Message
			q := candidate{w: &world{setup: s}, o: &o, now: now, m: &m, schedule: []byte(row.schedule), validity: []byte(row.validity)}
			no := q.times()
			if no.why != row.why {
				t.Fatalf("%v (%s), want %v", no.why, no.detail, row.why)
			}
			if row.why != Accepted {
				return
			}
			if !m.Due.Time().Equal(row.due) || !m.Expires.Time().Equal(row.expires) {
				t.Errorf("due %v, expires %v; want %v, %v", m.Due.Time(), m.Expires.Time(), row.due, row.expires)
			}
		})
	}
}

func TestScheduledMessagesLeaveOnTimeAndNotBefore(t *testing.T) { // row 32
	for _, row := range []struct{ name, when string }{
		{"absolute", "000101001000000+"},
		{"absolute, with an offset", "000101031000012+"},
		{"relative", "000000001000000R"},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := new(heard)
				r := newRig(t, rigOptions{SMSC: hearing(h)})
				r.carrierUp("a")
				p := r.transceiver()
				began := time.Now()
				p.submit(func(p *pdu.SubmitSM) { p.RegisteredDelivery, p.ScheduleDeliveryTime = 1, []byte(row.when) })
				if row.name == "absolute" {
					r.restart() // what waits, waits on disk
					r.carrierUp("a")
					p = r.transceiver()
				}
				h2, body := p.expectWithin(pdu.CmdDeliverSM, 11*time.Minute)
				p.answer(h2, pdu.ESME_ROK)
				if got := fields(body.(*pdu.DeliverSM)); got["stat"] != "DELIVRD" {
					t.Errorf("receipt %v", got)
				}
				due := time.Date(2000, 1, 1, 0, 10, 0, 0, time.UTC)
				if row.name == "relative" {
					due = began.Add(10 * time.Minute)
				}
				if late := h.at[0].Sub(due); late < 0 || late > time.Second {
					t.Errorf("left %v after its time", late)
				}
			})
		})
	}
}

func TestExpiredMessagesAreNeverSentAndTheirReceiptComes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := new(heard)
		r := newRig(t, rigOptions{SMSC: hearing(h)})
		r.refuse("a:1", true)
		p := r.transceiver()
		began := time.Now()
		minute := func(p *pdu.SubmitSM) { p.RegisteredDelivery, p.ValidityPeriod = 1, []byte("000000000100000R") }
		id := p.submit(minute)
		silent := p.submit(func(p *pdu.SubmitSM) { minute(p); p.RegisteredDelivery = pdu.RegisteredSuccess })
		d, body := p.expectWithin(pdu.CmdDeliverSM, 3*time.Minute)
		p.answer(d, pdu.ESME_ROK)
		got := fields(body.(*pdu.DeliverSM))
		if got["id"] != id || got["stat"] != "EXPIRED" || got["dlvrd"] != "000" {
			t.Errorf("receipt %v of %s", got, id)
		}
		if after := time.Since(began); after < time.Minute || after > 2*time.Minute {
			t.Errorf("the receipt came after %v", after)
		}
		p.quiet(time.Minute)
		if _, resp := p.query(silent); resp.MessageState != pdu.StateExpired {
			t.Errorf("state %v", resp.MessageState)
		}
		r.refuse("a:1", false)
		r.carrierUp("a")
		time.Sleep(time.Minute)
		if got := h.list(); len(got) != 0 {
			t.Errorf("the carrier heard %q", got)
		}
		if n := r.metric("masar_messages_ended_total", "state=EXPIRED"); n != 2 {
			t.Errorf("%v ended", n)
		}
	})
}

func TestASentMessageWithoutAReceiptEndsUnknownInItsTimeAndNotBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{
			SMSC:  map[string]smpptest.SMSCOptions{"a:1": {NoReceipt: 1}},
			Setup: func(s *Setup) { s.Routes[0].ReceiptWait = 10 * time.Minute },
		})
		r.carrierUp("a")
		p := r.transceiver()
		began := time.Now()
		long := p.submit(func(p *pdu.SubmitSM) { p.RegisteredDelivery = 1 })
		id := p.submit(func(p *pdu.SubmitSM) { p.RegisteredDelivery, p.ValidityPeriod = 1, []byte("000000000500000R") })
		d, body := p.expectWithin(pdu.CmdDeliverSM, time.Hour)
		p.answer(d, pdu.ESME_ROK)
		got := fields(body.(*pdu.DeliverSM))
		if got["id"] != id || got["stat"] != "UNKNOWN" {
			t.Errorf("receipt %v of %s", got, id)
		}
		if after := time.Since(began); after < 15*time.Minute || after > 18*time.Minute {
			t.Errorf("it ended after %v, its validity is 5 minutes and the wait 10", after)
		}
		if _, resp := p.query(long); resp.MessageState != pdu.StateEnroute {
			t.Errorf("the other one's validity goes on: %v", resp.MessageState)
		}
	})
}

func TestScheduledMessagesAreJudgedAgainWhenTheyLeave(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(s *Setup)
		stat   string
	}{
		{"the service was withdrawn", func(s *Setup) { s.Accounts[0].Services = []string{"IDNEW"} }, "REJECTD"},
		{"the sender was withdrawn", func(s *Setup) { s.Accounts[0].Senders = []Sender{{Exact: "MOI"}} }, "REJECTD"},
		{"its route is gone", func(s *Setup) { s.Routes[0].Prefixes = []string{"971"} }, "REJECTD"},
		{"nothing has changed", func(s *Setup) {}, "DELIVRD"},
		{"another route", func(s *Setup) { s.Routes[0].Name = "new" }, "DELIVRD"},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, rigOptions{})
				r.carrierUp("a")
				p := r.transceiver()
				p.submit(inTenMinutes)
				s := rigSetup()
				row.change(&s)
				if err := r.gw.Reload(context.Background(), s); err != nil {
					t.Fatal(err)
				}
				d, body := p.expectWithin(pdu.CmdDeliverSM, 11*time.Minute)
				p.answer(d, pdu.ESME_ROK)
				if got := fields(body.(*pdu.DeliverSM)); got["stat"] != row.stat {
					t.Errorf("receipt %v, want %s", got, row.stat)
				}
			})
		})
	}
}

func TestPromotionStopsOnlyWhileEveryLaneItFedIsFull(t *testing.T) {
	depths := &depthStore{}
	p := &promotion{g: &Gateway{store: depths}}
	a, b := queue.Lane{Target: 1 << 16, Account: 1}, queue.Lane{Target: 2 << 16, Account: 1}
	for _, row := range []struct {
		name   string
		fed    []queue.Lane
		depths map[queue.Lane]int64
		want   bool
	}{
		{"nothing was fed", nil, map[queue.Lane]int64{a: laneFull}, false},
		{"there is room", []queue.Lane{a}, map[queue.Lane]int64{a: laneFull - 1}, false},
		{"the one lane is full", []queue.Lane{a}, map[queue.Lane]int64{a: laneFull, b: 1}, true},
		{"one of two is full", []queue.Lane{a, b}, map[queue.Lane]int64{a: 9 * laneFull, b: 1}, false},
		{"both are", []queue.Lane{a, b}, map[queue.Lane]int64{a: laneFull, b: laneFull}, true},
	} {
		p.fed = map[queue.Lane]struct{}{}
		for _, l := range row.fed {
			p.fed[l] = struct{}{}
		}
		depths.of = row.depths
		if got := p.held(); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}

type depthStore struct {
	queue.Store
	of map[queue.Lane]int64
}

func (s *depthStore) Depths(each func(queue.Lane, queue.Depth)) {
	for l, n := range s.of {
		each(l, queue.Depth{Messages: n})
	}
}

func TestMessagesOfARouteThatIsGoneAreRoutedAnewOrKeptWithAnAlarm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := new(heard)
		r := newRig(t, rigOptions{SMSC: hearing(h), Setup: func(s *Setup) { s.Routes[0].Name = "old" }})
		r.refuse("a:1", true)
		p := r.transceiver()
		p.submit(func(p *pdu.SubmitSM) { p.ShortMessage = []byte("here") })
		p.submit(func(p *pdu.SubmitSM) { p.ShortMessage, p.Dest.Addr = []byte("abroad"), []byte("4915112345678") })
		s := rigSetup()
		s.Routes[0].Name, s.Routes[0].Prefixes = "new", []string{"966"}
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		r.refuse("a:1", false)
		r.wait("the one that fits", func() bool { return len(h.list()) == 1 })
		time.Sleep(150 * time.Second)
		if got := strings.Join(h.list(), ","); got != "here" {
			t.Errorf("the carrier heard %s", got)
		}
		alarms := r.log.find("messages wait for a route that is gone and no other fits", "messages=1")
		if n := len(alarms); n < 2 || n > 4 {
			t.Errorf("%d alarms in two and a half minutes", n)
		}
		s.Routes[0].Prefixes = nil
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		r.wait("the other one, too", func() bool { return len(h.list()) == 2 })
	})
}

func TestManyDueMessagesAllLeave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := new(heard)
		r := newRig(t, rigOptions{SMSC: hearing(h)})
		r.carrierUp("a")
		p := r.transceiver()
		const n = 1500
		for i := range n {
			p.send(pdu.CmdSubmitSM, sms(func(p *pdu.SubmitSM) {
				p.ScheduleDeliveryTime, p.ShortMessage = []byte("000000000100000R"), fmt.Append(nil, i)
			}))
			if i%500 == 499 {
				for range 500 {
					if h, _ := p.expect(pdu.CmdSubmitSM.Resp()); h.Status != pdu.ESME_ROK {
						t.Fatal(h.Status)
					}
				}
			}
		}
		time.Sleep(90 * time.Second)
		seen := map[string]int{}
		for _, s := range h.list() {
			seen[s]++
		}
		if len(seen) != n || len(h.list()) != n {
			t.Errorf("%d different of %d, %d in all", len(seen), n, len(h.list()))
		}
	})
}
