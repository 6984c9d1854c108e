package gateway

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"masar/smpp/pdu"
)

// verdict binds and tells the answer's status and how long it took.
func (r *rig) verdict(from, systemID, password string) (pdu.Status, time.Duration) {
	r.t.Helper()
	p := r.connect(from)
	began := time.Now()
	p.send(pdu.CmdBindTransceiver, &pdu.Bind{SystemID: []byte(systemID), Password: []byte(password), InterfaceVersion: 0x34})
	h, _ := p.expect(pdu.CmdBindTransceiver.Resp())
	if h.Status != pdu.ESME_ROK {
		p.gone()
	} else {
		defer p.conn.Close()
	}
	return h.Status, time.Since(began)
}

func TestUnknownUserAndWrongPasswordLookAlike(t *testing.T) { // row 2
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) {
			s.RefusalDelay = 500 * time.Millisecond
			s.Accounts[0].PasswordHash = append(s.Accounts[0].PasswordHash, secretHash(), secretHash())
			locked := acme()
			locked.SystemID, locked.PasswordHash = "locked", nil
			s.Accounts = append(s.Accounts, locked)
		}})
		for _, row := range []struct{ name, systemID, password string }{
			{"unknown", "nobody", "secret"},
			{"unknown, empty", "", ""},
			{"wrong password", "acme", "wrong"},
			{"empty password", "acme", ""},
			{"no hash at all", "locked", ""},
		} {
			st, took := r.verdict("", row.systemID, row.password)
			if st != pdu.ESME_RINVPASWD || took != 500*time.Millisecond {
				t.Errorf("%s: %v after %v", row.name, st, took)
			}
		}
		if n := r.metric("masar_binds_refused_total", "status=ESME_RINVPASWD"); n != 5 {
			t.Errorf("masar_binds_refused_total is %v", n)
		}
		lines := r.log.find("bind refused", "system_id=acme", "status=ESME_RINVPASWD")
		if len(lines) != 2 || lines[0].attrs["from"] != "10.0.0.7" || lines[0].attrs["reason"] == "" {
			t.Errorf("log %v", lines)
		}
		for _, l := range r.log.all() {
			if strings.Contains(l.String(), secretHash()) {
				t.Errorf("the log has a secret: %v", l)
			}
		}
		if st, took := r.verdict("", "acme", "secret"); st != pdu.ESME_ROK || took != 0 {
			t.Errorf("the right one: %v after %v", st, took)
		}
	})
}

func TestTheStatusOfARefusedPasswordIsTheSameForUnknownUsers(t *testing.T) { // row 2
	for _, want := range []pdu.Status{pdu.ESME_RINVPASWD, pdu.ESME_RINVSYSID, pdu.ESME_RBINDFAIL} {
		bubble(t, func(t *testing.T) {
			r := newRig(t, rigOptions{Setup: func(s *Setup) { s.AuthStatus = want }})
			for _, systemID := range []string{"acme", "nobody"} {
				if st, _ := r.verdict("", systemID, "wrong"); st != want {
					t.Errorf("%s: %v, want %v", systemID, st, want)
				}
			}
		})
	}
}

func TestAFloodOfWrongPasswordsKeepsNobodyElseWaiting(t *testing.T) {
	a := newAuthenticator()
	s := rigSetup()
	w := &world{setup: s}
	flood, honest := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	ctx, cancel := context.WithCancel(t.Context())
	if !a.enter(ctx, flood) {
		t.Fatal("the first one waits for nobody")
	}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if a.check(ctx, w, &s.Accounts[0], []byte("wrong"), flood) {
				t.Error("a wrong password opened")
			}
		})
	}
	if !a.check(ctx, w, &s.Accounts[0], []byte("secret"), honest) {
		t.Error("the honest one was refused")
	}
	cancel()
	wg.Wait()
	a.leave(flood, true)
	if len(a.waiting) != 0 || len(a.slots) != 0 {
		t.Errorf("%d addresses, %d slots are held", len(a.waiting), len(a.slots))
	}
}

func TestTheDecoyCostsAsMuchAsTheDearestAccount(t *testing.T) {
	dear, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost+2)
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthenticator()
	s := rigSetup()
	s.Accounts[0].PasswordHash = append(s.Accounts[0].PasswordHash, string(dear))
	w := &world{setup: s}
	if cost, err := bcrypt.Cost([]byte(a.decoy(w))); err != nil || cost != bcrypt.MinCost+2 {
		t.Errorf("cost %d, %v", cost, err)
	}
	if first := a.decoy(w); first != a.decoy(w) {
		t.Error("it is made anew each time")
	}
	if a.check(t.Context(), w, nil, []byte("secret"), netip.Addr{}) {
		t.Error("an unknown user was let in")
	}
}

func TestAnyOfSeveralPasswordsOpens(t *testing.T) {
	old, err := bcrypt.GenerateFromPassword([]byte("old"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) { s.Accounts[0].PasswordHash = []string{string(old), secretHash()} }})
		for _, row := range []struct {
			password string
			want     pdu.Status
		}{{"old", pdu.ESME_ROK}, {"secret", pdu.ESME_ROK}, {"secret", pdu.ESME_ROK}, {"new", pdu.ESME_RINVPASWD}, {"old", pdu.ESME_ROK}} {
			if st, _ := r.verdict("", "acme", row.password); st != row.want {
				t.Errorf("%s: %v, want %v", row.password, st, row.want)
			}
		}
		// A hash that is taken away closes at once, though its password was right before.
		s := rigSetup()
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		if st, _ := r.verdict("", "acme", "old"); st != pdu.ESME_RINVPASWD {
			t.Errorf("a withdrawn password: %v", st)
		}
	})
}

func TestAddressesOfAnAccount(t *testing.T) { // row 5
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) {
			s.Accounts[0].Allow = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::/32")}
		}})
		for from, want := range map[string]pdu.Status{
			"10.1.2.3": pdu.ESME_ROK, "::ffff:10.1.2.3": pdu.ESME_ROK, "2001:db8::1": pdu.ESME_ROK,
			"10.2.0.1": pdu.ESME_RBINDFAIL, "2001:db9::1": pdu.ESME_RBINDFAIL,
		} {
			if st, _ := r.verdict(from, "acme", "secret"); st != want {
				t.Errorf("from %s: %v, want %v", from, st, want)
			}
		}
		if got := r.log.find("bind refused", "status=ESME_RBINDFAIL", "from=10.2.0.1"); len(got) != 1 {
			t.Errorf("log %v", got)
		}
	})
}

func TestAListenerTakesItsAddressesOnlyAndTellsAPortInUse(t *testing.T) {
	var at net.Addr
	r := newRig(t, rigOptions{Options: func(o *Options) {
		o.Listeners = []Listener{{Addr: "127.0.0.1:0", Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}
		o.OnListen = func(a net.Addr) { at = a }
	}})
	conn, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	(&peer{t: t, conn: conn}).gone()
	if n := r.metric("masar_protocol_violations_total", "kind=address_refused"); n != 1 {
		t.Errorf("%v refused by their address", n)
	}
	o := Options{Store: r.store, Setup: rigSetup(), Listeners: []Listener{{Addr: at.String()}}, Dial: r.dial}
	if g, err := Start(context.Background(), o); err == nil {
		g.Close(context.Background())
		t.Error("two gateways on one port")
	} else if !strings.Contains(err.Error(), at.String()) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("error %v", err)
	}
}

func TestARemovedAccountIsUnboundAndCannotBind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: withOther})
		p := r.transceiver()
		s := rigSetup()
		s.Accounts[0].SystemID = "another"
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		h, _ := p.expect(pdu.CmdUnbind)
		p.answer(h, pdu.ESME_ROK)
		p.gone()
		if st, _ := r.verdict("", "acme", "secret"); st != pdu.ESME_RINVPASWD {
			t.Errorf("a removed account: %v", st)
		}
		if st, _ := r.verdict("", "another", "secret"); st != pdu.ESME_ROK {
			t.Errorf("a new one: %v", st)
		}
	})
}

func TestTheOptionsOfAReloadHoldForSessionsThatAreBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		p := r.transceiver()
		p.submit(nil)
		s := rigSetup()
		s.Accounts[0].Senders = []Sender{{Exact: "MOI"}}
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		if st := p.submitted(nil); st != pdu.ESME_RINVSRCADR {
			t.Errorf("status %v", st)
		}
		s = rigSetup()
		s.Routes[0].Carriers[0].Name = "nobody"
		if err := r.gw.Reload(context.Background(), s); err == nil {
			t.Error("a route to a carrier that is not there")
		}
		if st := p.submitted(func(p *pdu.SubmitSM) { p.Source.Addr = []byte("MOI") }); st != pdu.ESME_ROK {
			t.Errorf("after a refused reload: %v", st)
		}
	})
}

func TestInternedStringsAreBounded(t *testing.T) {
	var in interner
	for i := range 10 * internMost {
		b := []byte{byte(i), byte(i >> 8), 'x'}
		if in.string(b) != string(b) {
			t.Fatal("another string came back")
		}
		if len(in.kept) > internMost {
			t.Fatalf("%d are kept", len(in.kept))
		}
	}
	if in.string(nil) != "" {
		t.Error("nothing is not nothing")
	}
}

func TestNamesFromStrangersCannotBreakALogLine(t *testing.T) {
	if got := printable([]byte("a\nb\x1b[31m\xffc")); got != "a?b?[31m?c" {
		t.Errorf("%q", got)
	}
}
