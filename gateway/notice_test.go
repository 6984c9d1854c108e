package gateway

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/number"
	"masar/queue"
	"masar/service"
	registry "masar/service/pebble"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// ministry is a catalogue of one agency: an opt-in service, a mandatory one that waits out
// the night, codes, and the two that confirm keywords.
func ministry(t *testing.T) *service.Catalogue {
	t.Helper()
	confirm := []service.Param{{Name: "service", Max: 20}, {Name: "date", Max: 12}, {Name: "code", Max: 12}}
	names := func(ar, en string) service.Texts { return service.Texts{"ar": ar, "en": en} }
	c, err := service.New(service.Options{
		Languages:  []string{"ar", "en"},
		Zone:       time.UTC,
		Calendar:   service.Calendar{Quiet: service.Windows{Days: []service.Span{{From: 22 * 60, To: 8 * 60}}}},
		Categories: []service.Category{{Name: "service"}},
		Agencies:   []service.Agency{{Code: "moi", Name: names("الداخلية", "Interior"), Sender: "MOI"}},
		Senders:    []service.Sender{{Name: "MOI", Agency: "moi", AnyCarrier: true}},
		Services: []service.Service{
			{Code: "IDREN", Agency: "moi", Name: names("تجديد الهوية الوطنية للمواطنين", "Identity card renewal"), Category: "service", Class: uint8(queue.Normal), Validity: 2 * time.Hour},
			{Code: "PSREN", Agency: "moi", Name: names("الجواز", "Passport"), Category: "service", Class: uint8(queue.Normal), Validity: time.Hour},
			{Code: "DROPS", Agency: "moi", Name: names("محذوف", "Dropped"), Category: "service", Class: uint8(queue.Normal), Validity: time.Hour, Drop: true},
			{Code: "NIGHT", Agency: "moi", Name: names("ليل", "Night"), Category: "service", Class: uint8(queue.Bulk), Mode: service.Mandatory, Hold: true, Validity: time.Hour},
			{Code: "OTPEN", Agency: "moi", Name: names("رمز", "Code"), Category: "service", Class: uint8(queue.Urgent), Mode: service.Mandatory, Kind: service.OneTimeCode, Validity: 10 * time.Minute},
			{Code: "SUBAD", Agency: "moi", Name: names("تأكيد", "Enrolled"), Category: "service", Class: uint8(queue.Normal), Mode: service.Mandatory, Validity: time.Hour,
				Params: confirm, Versions: []service.Version{{Number: 1, Text: names("اشتركتم في «{service}» بتاريخ {date}. للإلغاء: إلغاء {code}", "Enrolled in {service} on {date}. To leave: STOP {code}")}}},
			{Code: "SUBRM", Agency: "moi", Name: names("إلغاء", "Withdrawn"), Category: "service", Class: uint8(queue.Normal), Mode: service.Mandatory, Validity: time.Hour,
				Params: confirm, Versions: []service.Version{{Number: 3, Text: names("ألغي اشتراككم في «{service}» بتاريخ {date}. للعودة: اشتراك {code}", "Left {service} on {date}. To come back: START {code}")}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var testKey = service.Key{1, 2, 3}

// people opens a registry in memory; it is closed when the test ends, after the rig's gateway.
func people(t *testing.T) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), registry.Options{
		Dir: "people", FS: vfs.NewMem(), Log: slog.New(slog.DiscardHandler), MinFree: -1, CacheBytes: 1 << 20, Cache: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// apply makes changes that must all be done.
func apply(t *testing.T, r service.Registry, changes ...service.Change) {
	t.Helper()
	for i := range changes {
		changes[i].Channel, changes[i].Now = "office", time.Now()
		changes[i].At = changes[i].Now
	}
	out, err := r.Apply(t.Context(), service.Batch{Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out {
		if o.Err != nil {
			t.Fatalf("change %d: %v", i, o.Err)
		}
	}
}

// civilRig is a rig with the ministry's catalogue, a registry, and two accounts: "civil" of
// the agency, and "plain" with none; no client is bound.
func civilRig(t *testing.T, o rigOptions, more ...func(s *Setup)) (*rig, *registry.Registry) {
	t.Helper()
	reg := people(t)
	cat := ministry(t)
	o.Setup = func(s *Setup) {
		s.Catalogue = cat
		s.Accounts = append(s.Accounts,
			likeAcme("civil", func(a *Account) { a.Agency = "moi" }),
			likeAcme("plain", func(a *Account) { a.Throughput, a.Burst = 1, 2 }))
		for _, f := range more {
			f(s)
		}
	}
	before := o.Options
	o.Options = func(opt *Options) {
		opt.Registry = reg
		if before != nil {
			before(opt)
		}
	}
	r := newRig(t, o)
	r.carrierUp("a")
	return r, reg
}

const (
	sara  = number.E164(966501234567)
	fahad = number.E164(966551112222)
)

func TestANoticeGoesOutOfAnAccountThatHasNoBind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		// Bubbles begin at midnight.
		time.Sleep(12 * time.Hour)
		heard := make(chan *smpptest.Message, 10)
		r, reg := civilRig(t, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": {OnMessage: func(m *smpptest.Message) { heard <- m }}}})
		person := testKey.Person("1012345678")
		apply(t, reg, service.Change{Kind: service.Enrol, Person: person, Number: sara, Services: []string{"IDREN"}, Verified: true})

		const arabic = "تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما"
		n := Notice{Account: "civil", Service: "IDREN", Person: person, Text: arabic, Template: "IDREN/2/ar", Once: []byte("request 1"), Receipt: true}
		id, err := r.gw.Submit(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		m := <-heard
		if m.Text != arabic || m.Source != "MOI" || m.Dest != sara.String() || m.ServiceType != "IDREN" {
			t.Errorf("the carrier was sent %+v", m)
		}
		if again, err := r.gw.Submit(t.Context(), n); err != nil || again != id {
			t.Errorf("the same again: %v, %v; want %v", again, err, id)
		}
		n.Once = []byte("request 2")
		if other, err := r.gw.Submit(t.Context(), n); err != nil || other == id {
			t.Errorf("another request: %v, %v", other, err)
		}
		<-heard
		var v queue.View
		r.wait("the message has ended", func() bool {
			v, err = r.gw.Message(t.Context(), "civil", id)
			return err == nil && v.Stage == queue.Ended
		})
		if v.State != pdu.StateDelivered || v.M.Template != "IDREN/2/ar" || v.M.Person != person {
			t.Errorf("%+v of %+v", v, v.M)
		}
		if _, err := r.gw.Message(t.Context(), "plain", id); !errors.Is(err, queue.ErrUnknown) {
			t.Errorf("another account sees it: %v", err)
		}
		if _, err := r.gw.Message(t.Context(), "nobody", id); !errors.Is(err, ErrNoAccount) {
			t.Errorf("an unknown account: %v", err)
		}
		if len(heard) > 0 {
			t.Errorf("sent twice: %+v", <-heard)
		}
		if n := r.metric("masar_submits_total", "account=civil", "result=ok"); n != 3 {
			t.Errorf("%v submits counted, want 3", n)
		}
		p := r.bind(pdu.CmdBindReceiver, "civil")
		for range 2 {
			if got := p.receipt(); got["stat"] != "DELIVRD" {
				t.Errorf("receipt %v", got)
			}
		}
		p.quiet(time.Second)
	})
}

func TestANoticeIsRefusedAsASubmitWouldBe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour)
		r, reg := civilRig(t, rigOptions{}, func(s *Setup) {
			s.Accounts = append(s.Accounts, likeAcme("trial", func(a *Account) { a.Agency, a.Trial = "moi", map[number.E164]struct{}{sara: {}} }))
			s.Routes[0].Prefixes = []string{"966"}
		})
		moved, blocked := testKey.Person("1"), number.E164(966509999999)
		apply(t, reg,
			service.Change{Kind: service.Enrol, Person: moved, Number: fahad, Services: []string{"IDREN"}},
			service.Change{Kind: service.BlockNumber, Number: blocked, Block: service.Block{Scope: service.BlockAll, Reason: "asked"}})
		for _, row := range []struct {
			name   string
			n      Notice
			why    Refusal
			status pdu.Status
		}{
			{"not enrolled", Notice{Account: "civil", Service: "IDREN", Number: sara, Text: "x"}, NotEnrolled, StatusNotEnrolled},
			{"unverified", Notice{Account: "civil", Service: "IDREN", Person: moved, Text: "x"}, Unverified, StatusUnverified},
			{"unknown person", Notice{Account: "civil", Service: "IDREN", Person: testKey.Person("2"), Text: "x"}, UnknownPerson, StatusUnknownPerson},
			{"unknown service", Notice{Account: "civil", Service: "NOSUC", Number: sara, Text: "x"}, UnknownService, pdu.ESME_RINVSERTYP},
			{"no service", Notice{Account: "civil", Number: sara, Text: "x"}, UnknownService, pdu.ESME_RINVSERTYP},
			{"sender", Notice{Account: "civil", Service: "OTPEN", Number: sara, Source: "OTHER", Text: "x"}, SenderUnknown, pdu.ESME_RINVSRCADR},
			{"empty", Notice{Account: "civil", Service: "OTPEN", Number: sara}, EmptyMessage, pdu.ESME_RINVMSGLEN},
			{"no text", Notice{Account: "civil", Service: "OTPEN", Number: sara, Text: "\xff"}, BadText, pdu.ESME_RSUBMITFAIL},
			{"no number", Notice{Account: "civil", Service: "OTPEN", Text: "x"}, BadDestination, pdu.ESME_RINVDSTADR},
			{"no route", Notice{Account: "civil", Service: "OTPEN", Number: 971501234567, Text: "x"}, NoRoute, pdu.ESME_RINVDSTADR},
			{"too long", Notice{Account: "civil", Service: "OTPEN", Number: sara, Text: strings.Repeat("0123456789", 4000)}, TooLong, pdu.ESME_RINVMSGLEN},
			{"past", Notice{Account: "civil", Service: "OTPEN", Number: sara, Text: "x", Schedule: time.Now().Add(-time.Hour)}, BadSchedule, pdu.ESME_RINVSCHED},
			{"trial", Notice{Account: "trial", Service: "OTPEN", Number: fahad, Text: "x"}, TrialNumber, StatusTrialNumber},
			{"blocked, the gateway's own", Notice{Account: "civil", Service: "OTPEN", Number: blocked, Text: "x", System: true}, Blocked, StatusBlocked},
		} {
			tried, err := r.gw.Try(t.Context(), row.n)
			var no *SubmitError
			if !errors.As(err, &no) || no.Refusal != row.why || no.Status != row.status {
				t.Errorf("%s: try: %+v, %v; want %v", row.name, tried, err, row.why)
			}
			before := r.metric("masar_submits_total", "account="+row.n.Account, "result="+row.why.String())
			id, err := r.gw.Submit(t.Context(), row.n)
			if !errors.As(err, &no) || no.Refusal != row.why || no.Status != row.status {
				t.Errorf("%s: %v, %v; want %v", row.name, id, err, row.why)
			}
			if n := r.metric("masar_submits_total", "account="+row.n.Account, "result="+row.why.String()) - before; n != 1 {
				t.Errorf("%s: counted %v times", row.name, n)
			}
		}
		if _, err := r.gw.Submit(t.Context(), Notice{Account: "nobody", Number: sara, Text: "x"}); !errors.Is(err, ErrNoAccount) {
			t.Errorf("unknown account: %v", err)
		}
		if r.smscs["a:1"].Stats().Submits > 0 {
			t.Error("something was sent")
		}
	})
}

func TestTheGatewaysOwnNoticesPassConsentTrialAndThroughput(t *testing.T) {
	bubble(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour)
		r, _ := civilRig(t, rigOptions{}, func(s *Setup) {
			s.Accounts = append(s.Accounts, likeAcme("slow", func(a *Account) {
				a.Agency, a.Trial, a.Throughput, a.Burst = "moi", map[number.E164]struct{}{}, 1, 1
			}))
		})
		own := Notice{Account: "slow", Service: "IDREN", Number: fahad, Source: "1090", Text: "code 1234", System: true}
		for range 5 {
			if _, err := r.gw.Submit(t.Context(), own); err != nil {
				t.Fatal(err)
			}
		}
		var no *SubmitError
		theirs := Notice{Account: "plain", Number: fahad, Text: "x"}
		for i := range 5 {
			if _, err := r.gw.Try(t.Context(), theirs); err != nil {
				t.Errorf("a try took from the throughput: %v", err)
			}
			_, err := r.gw.Submit(t.Context(), theirs)
			if over := errors.As(err, &no) && no.Refusal == OverRate; over != (i >= 2) {
				t.Errorf("submit %d: %v", i, err)
			}
		}
	})
}

func TestATryTellsWhatWouldBeSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour)
		r, reg := civilRig(t, rigOptions{})
		person := testKey.Person("1012345678")
		apply(t, reg, service.Change{Kind: service.Enrol, Person: person, Number: sara, Services: []string{"IDREN"}, Verified: true})
		noon := time.Now()
		long := strings.Repeat("تنتهي صلاحية هويتكم. ", 7) // 147 units
		for _, row := range []struct {
			name  string
			n     Notice
			enc   string
			units []int
			hold  time.Time
			drop  bool
		}{
			{"one part", Notice{Account: "civil", Service: "IDREN", Person: person, Text: "hello [there]"}, "gsm7", []int{15}, time.Time{}, false},
			{"three parts", Notice{Account: "civil", Service: "IDREN", Number: sara, Text: long}, "ucs2", []int{67, 67, 13}, time.Time{}, false},
			{"scheduled", Notice{Account: "civil", Service: "IDREN", Number: sara, Text: "x", Schedule: noon.Add(time.Hour)}, "gsm7", []int{1}, noon.Add(time.Hour), false},
			{"scheduled into the night", Notice{Account: "civil", Service: "NIGHT", Number: sara, Text: "x", Schedule: noon.Add(11 * time.Hour)}, "gsm7", []int{1}, noon.Truncate(time.Hour).Add(20 * time.Hour), false},
			{"dropped", Notice{Account: "civil", Service: "DROPS", Number: sara, Text: "x"}, "gsm7", []int{1}, time.Time{}, true},
		} {
			got, err := r.gw.Try(t.Context(), row.n)
			if err != nil {
				t.Errorf("%s: %v", row.name, err)
				continue
			}
			if got.Encoding != row.enc || !slices.Equal(got.Units, row.units) || strings.Join(got.Parts, "") != row.n.Text || !got.HoldUntil.Equal(row.hold) || got.Number != sara || got.Route != "=a" || got.Dropped != row.drop {
				t.Errorf("%s: %+v", row.name, got)
			}
		}
		waiting := int64(0)
		r.store.Depths(func(_ queue.Lane, d queue.Depth) { waiting += d.Messages })
		if n := r.metric("masar_submits_total", "account=civil"); n != 0 || waiting != 0 || r.smscs["a:1"].Stats().Submits != 0 {
			t.Errorf("%v submits were counted, %d messages wait", n, waiting)
		}
	})
}

func TestANoticeThatWasTakenIsOnDisk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour)
		r, _ := civilRig(t, rigOptions{})
		r.refuse("a:1", true)
		id, err := r.gw.Submit(t.Context(), Notice{Account: "civil", Service: "OTPEN", Number: sara, Text: "code 1", System: true})
		if err != nil {
			t.Fatal(err)
		}
		r.restart()
		if v, err := r.gw.Message(t.Context(), "civil", id); err != nil || v.Stage != queue.Waiting || !v.M.System || v.M.ServiceType != "OTPEN" {
			t.Fatalf("after a restart: %+v, %v", v, err)
		}
		r.refuse("a:1", false)
		r.wait("it is sent", func() bool { return r.smscs["a:1"].Stats().Accepted == 1 })

		done, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.gw.Submit(done, Notice{Account: "civil", Service: "OTPEN", Number: sara, Text: "code 2", System: true}); !errors.Is(err, context.Canceled) {
			t.Errorf("an ended context: %v", err)
		}
	})
}
