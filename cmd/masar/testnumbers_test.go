package main

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/crypto/bcrypt"

	"masar/gateway"
	"masar/queue/pebble"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
	"masar/smpp/text"
)

func TestTestNumbersEndByTheirLastDigit(t *testing.T) {
	table, err := newTestTable([]testRange{
		{From: 966590000000, To: 966590000009, Delay: time.Second, Outcomes: map[int]string{0: "never", 9: "REJECTD"}},
		{From: 966500000000, To: 966500000099, Delay: 2 * time.Second},
		{From: 966500000200, To: 966500000200},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		dest string
		want string // "": no test number
	}{
		{"966500000000", "DELIVRD"}, {"966500000094", "DELIVRD"}, {"966500000095", "UNDELIV"}, {"966500000016", "EXPIRED"},
		{"966500000007", "REJECTD"}, {"966500000008", "unknown-subscriber"}, {"966500000099", "never"},
		{"966590000000", "never"}, {"966590000009", "REJECTD"}, {"966590000005", "UNDELIV"}, {"966500000200", "DELIVRD"},
		{"966499999999", ""}, {"966500000100", ""}, {"966500000199", ""}, {"966500000201", ""}, {"966590000010", ""},
		{"96650000000", ""}, {"9665000000000", ""}, {"", ""}, {"AHWAL", ""}, {"0966500000000", ""},
	} {
		got, is := table.outcome([]byte(row.dest))
		if is != (row.want != "") {
			t.Errorf("%q: a test number %t", row.dest, is)
			continue
		}
		want := testOutcomes[row.want]
		if got.Delay = 0; got != want {
			t.Errorf("%q: %+v, want %s", row.dest, got, row.want)
		}
	}
	if out, _ := table.outcome([]byte("966500000000")); out.Delay != 2*time.Second {
		t.Errorf("delay %s, want the range's", out.Delay)
	}
}

func TestWrongTestNumbersAreNamed(t *testing.T) {
	for name, row := range map[string]struct {
		ranges []testRange
		setup  gateway.Setup
		want   string
	}{
		"falling":         {ranges: []testRange{{From: 966500000009, To: 966500000000}}, want: "test_numbers[0]: 966500000009-966500000000 is no range"},
		"digits":          {ranges: []testRange{{From: 966500000, To: 966500000000}}, want: "as many digits"},
		"nothing":         {ranges: []testRange{{}}, want: "test_numbers[0]"},
		"overlap":         {ranges: []testRange{{From: 966500000000, To: 966500000009}, {From: 966500000009, To: 966500000020}}, want: "966500000000-966500000009 and 966500000009-966500000020 overlap"},
		"unknown outcome": {ranges: []testRange{{From: 966500000000, To: 966500000009, Outcomes: map[int]string{3: "LOST"}}}, want: `test_numbers[0].outcomes.3: "LOST" is none of`},
		"no digit":        {ranges: []testRange{{From: 966500000000, To: 966500000009, Outcomes: map[int]string{10: "DELIVRD"}}}, want: "10 is no last digit"},
		"carrier's name": {
			ranges: []testRange{{From: 966500000000, To: 966500000009}},
			setup:  gateway.Setup{Carriers: []gateway.Carrier{{Name: testNumbersName}}}, want: "carriers[0]",
		},
		"route's name": {
			ranges: []testRange{{From: 966500000000, To: 966500000009}},
			setup:  gateway.Setup{Routes: []gateway.Route{{}, {Name: testNumbersName}}}, want: "routes[1]",
		},
	} {
		tn, err := newTestNumbers()
		if err != nil {
			t.Fatal(err)
		}
		swap, err := tn.into(&row.setup, row.ranges)
		if err == nil || !strings.Contains(err.Error(), row.want) || swap != nil {
			t.Errorf("%s: %v, want %s", name, err, row.want)
		}
		tn.close()
	}
}

// TestTestNumbersNeverLeaveTheGateway submits to each outcome's number and to one outside
// the range, through a gateway whose only real carrier keeps count.
func TestTestNumbersNeverLeaveTheGateway(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds of real time")
	}
	carried := make(chan string, 100)
	_, real := smsc(t, smpptest.SMSCOptions{OnMessage: func(m *smpptest.Message) { carried <- m.Dest }})
	tn, err := newTestNumbers()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tn.close() })
	hash, err := bcrypt.GenerateFromPassword([]byte(runPassword), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	setup := gateway.Setup{
		Accounts: []gateway.Account{{SystemID: "load", PasswordHash: []string{string(hash)}, Codings: text.Codings{One: text.ASCII}}},
		Carriers: []gateway.Carrier{{
			Name: "a", Addrs: []string{real}, SystemID: "masar", Password: "secret", Window: 10, Identity: "a",
			Codings: text.Codings{One: text.ASCII},
		}},
		Routes: []gateway.Route{{Carriers: []gateway.RouteCarrier{{Name: "a"}}}},
		// Ported would lead away: test numbers go before it.
		Ported: func(string) (string, bool) { return "", false },
	}
	const delay = 300 * time.Millisecond
	ranges := []testRange{{From: 966500000000, To: 966500000099, Delay: delay}}
	swap, err := tn.into(&setup, ranges)
	if err != nil {
		t.Fatal(err)
	}
	swap()
	store, err := pebble.Open(t.Context(), pebble.Options{Dir: "data", FS: vfs.NewMem(), MinFree: -1, Ballast: -1, CacheBytes: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	listening := make(chan net.Addr, 1)
	gw, err := gateway.Start(t.Context(), gateway.Options{
		Store: store, Full: store.Full, Setup: setup, Drain: time.Second,
		Listeners: []gateway.Listener{{Addr: "127.0.0.1:0"}}, OnListen: func(a net.Addr) { listening <- a },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		gw.Close(context.Background())
		store.Close()
	})
	c := bindClient(t, (<-listening).String())

	long, err := text.Encode(nil, strings.Repeat("تنتهي صلاحية هويتكم الوطنية. ", 6), text.UCS2)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"966500000000": "DELIVRD", "966500000005": "UNDELIV", "966500000006": "EXPIRED",
		"966500000007": "REJECTD", "966500000008": "UNDELIV", "966531234567": "DELIVRD",
	}
	var octets []byte
	all := []string{"966500000000", "966500000005", "966500000006", "966500000007", "966500000008", "966500000009", "966531234567"}
	for i, dest := range all {
		sm := submitTo(dest, "", true)
		sm.DataCoding, sm.TLVs = pdu.CodingUCS2, pdu.TLVs(nil).Append(pdu.TagMessagePayload, long)
		octets = pdu.Append(octets, pdu.CmdSubmitSM, pdu.ESME_ROK, uint32(100+i), sm)
	}
	began := time.Now()
	if _, err := c.conn.Write(octets); err != nil {
		t.Fatal(err)
	}
	for answered := 0; len(want) > 0 || answered < len(all); {
		h, body := c.read(10 * time.Second)
		if h.Command == pdu.CmdSubmitSM.Resp() {
			if answered++; h.Status != pdu.ESME_ROK {
				t.Fatalf("%s: %v", all[h.Sequence-100], h.Status)
			}
			continue
		}
		var r pdu.DeliverSM
		if err := r.Decode(body); err != nil {
			t.Fatal(err)
		}
		c.answer(h)
		dest, said := string(r.Source.Addr), string(r.ShortMessage)
		if state := want[dest]; state == "" || !strings.Contains(said, "stat:"+state+" ") {
			t.Errorf("%s: receipt %q, want %q", dest, said, state)
		}
		if unknown := strings.Contains(said, "err:001"); unknown != (dest == "966500000008") {
			t.Errorf("%s: receipt %q", dest, said)
		}
		if took := time.Since(began); took < delay && dest != "966531234567" {
			t.Errorf("%s: its receipt came after %s, want %s at least", dest, took, delay)
		}
		delete(want, dest)
	}
	if dest := <-carried; dest != "966531234567" {
		t.Errorf("%s was sent to a real carrier", dest)
	}
	if len(carried) > 0 {
		t.Errorf("%s was sent to a real carrier", <-carried)
	}
	// What never ends waits for its receipt: three parts are with the simulated carrier.
	waiting := 0
	for _, q := range gw.Waiting() {
		waiting += int(q.Messages)
	}
	if n := tn.smsc.Stats().Accepted; n != 18 || waiting != 0 {
		t.Errorf("%d parts went to the simulated carrier, %d messages wait; want 18 and 0", n, waiting)
	}
}
