package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"masar/queue"
	"masar/service"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// haltRig has three accounts at carrier a: acme of civil-affairs, muroor of traffic, and
// plain, which no catalogue governs and whose messages are bulk.
func haltRig(t *testing.T, o rigOptions) (*rig, *arrivals) {
	t.Helper()
	reg := newSubscribers()
	reg.enrol(ali, aliNo, "IDREN")
	got := new(arrivals)
	if o.SMSC == nil {
		o.SMSC = map[string]smpptest.SMSCOptions{"a:1": got.at("a")}
	}
	setup, options := o.Setup, o.Options
	o.Setup = func(s *Setup) {
		s.Accounts = append(s.Accounts,
			likeAcme("muroor", func(a *Account) { a.Agency = "traffic" }),
			likeAcme("plain", func(a *Account) { a.Class = queue.Bulk }))
		if setup != nil {
			setup(s)
		}
	}
	file := filepath.Join(t.TempDir(), "halts.json")
	o.Options = func(g *Options) {
		g.HaltFile = file
		if options != nil {
			options(g)
		}
	}
	r := governedRig(t, reg, catalogueOf(t, nil), o)
	r.carrierUp("a")
	return r, got
}

func (r *rig) halt(s Scope) Halt {
	r.t.Helper()
	h, err := r.gw.Halt(context.Background(), s, "sara", "wrong date")
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

func (r *rig) resume(id string) {
	r.t.Helper()
	if _, err := r.gw.Resume(context.Background(), id, "sara"); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) cancelHalted(id string) int64 {
	r.t.Helper()
	n, err := r.gw.CancelHalted(context.Background(), id, "sara")
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func (r *rig) countScope(s Scope, since time.Time) HaltCount {
	r.t.Helper()
	n, err := r.gw.CountScope(context.Background(), s, since)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// asideHalted is how many messages are set aside by a halt.
func (r *rig) asideHalted() (n int64) {
	r.store.Depths(func(_ queue.Lane, d queue.Depth) { n += d.Halted })
	return n
}

// texts are what has arrived, sorted.
func (a *arrivals) texts() []string {
	var out []string
	for _, x := range a.list() {
		out = append(out, x.text)
	}
	slices.Sort(out)
	return out
}

func saying(text string) func(p *pdu.SubmitSM) {
	return func(p *pdu.SubmitSM) { p.ShortMessage = []byte(text) }
}

// haltPeople submit one message of each kind that scopes tell apart; the text says which.
type haltPeople struct{ acme, muroor, plain *peer }

func (r *rig) haltPeople() haltPeople {
	return haltPeople{r.transmitter(), r.bind(pdu.CmdBindTransmitter, "muroor"), r.bind(pdu.CmdBindTransmitter, "plain")}
}

var haltKinds = []string{"IDNEW", "IDREN", "OTPEN", "TRAFF", "plain"}

// submit submits one of each kind, and returns their ids by kind.
func (h haltPeople) submit(round string) map[string]string {
	none := func(p *pdu.SubmitSM) { p.Source = pdu.Address{} }
	return map[string]string{
		"IDREN": h.acme.submit(both(of("IDREN"), none, saying("IDREN"+round))),
		"IDNEW": h.acme.submit(both(of("IDNEW"), none, saying("IDNEW"+round))),
		"OTPEN": h.acme.submit(both(of("OTPEN"), none, saying("OTPEN"+round))),
		"TRAFF": h.muroor.submit(both(of("TRAFF"), none, saying("TRAFF"+round))),
		"plain": h.plain.submit(both(from("PLAIN", 1), saying("plain"+round))),
	}
}

func all(round string) (out []string) {
	for _, k := range haltKinds {
		out = append(out, k+round)
	}
	return out
}

// TestAHaltHoldsItsScopeAndNothingElse: submits are accepted, what is in scope stays, the
// others go at once; after the halt everything has gone exactly once.
func TestAHaltHoldsItsScopeAndNothingElse(t *testing.T) {
	for _, row := range []struct {
		scope Scope
		held  []string
		aside bool // set aside; else in lanes that are not pulled
	}{
		{Scope{All: true}, haltKinds, false},
		{Scope{Account: "acme"}, []string{"IDNEW", "IDREN", "OTPEN"}, false},
		{Scope{Class: "bulk"}, []string{"plain"}, false},
		{Scope{Class: "normal", Account: "acme"}, []string{"IDNEW", "IDREN"}, false},
		{Scope{Carrier: "a"}, haltKinds, false},
		{Scope{Carrier: "a", Account: "muroor"}, []string{"TRAFF"}, false},
		{Scope{Service: "IDREN"}, []string{"IDREN"}, true},
		{Scope{Service: "OTPEN"}, []string{"OTPEN"}, true},
		{Scope{Agency: "civil-affairs"}, []string{"IDNEW", "IDREN", "OTPEN"}, true},
		{Scope{Agency: "traffic"}, []string{"TRAFF"}, true},
		{Scope{Agency: "civil-affairs", Class: "urgent"}, []string{"OTPEN"}, true},
		{Scope{Sender: "MUROOR"}, []string{"TRAFF"}, true},
		{Scope{Sender: "PLAIN"}, []string{"plain"}, true},
		{Scope{Service: "IDREN", Carrier: "a"}, []string{"IDREN"}, true},
		{Scope{Service: "IDREN", Account: "muroor"}, nil, true},
	} {
		t.Run(row.scope.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, got := haltRig(t, rigOptions{})
				who := r.haltPeople()
				h := r.halt(row.scope)
				who.submit("")
				var go1 []string
				for _, k := range haltKinds {
					if !slices.Contains(row.held, k) {
						go1 = append(go1, k)
					}
				}
				r.wait("the others", func() bool { return len(got.list()) >= len(go1) })
				time.Sleep(time.Minute)
				if texts := got.texts(); !slices.Equal(texts, go1) {
					t.Errorf("%v left, want %v", texts, go1)
				}
				n := r.countScope(row.scope, h.Since)
				if held := int64(len(row.held)); n.Waiting+n.Aside != held || (n.Aside == held) != (row.aside || held == 0) {
					t.Errorf("%+v are counted, want %d", n, held)
				}
				if m := r.metric("masar_halted_messages"); m != float64(len(row.held)) {
					t.Errorf("masar_halted_messages %v, want %d", m, len(row.held))
				}
				r.resume(h.ID)
				r.wait("all of them", func() bool { return len(got.list()) >= len(haltKinds) })
				time.Sleep(time.Minute)
				if texts := got.texts(); !slices.Equal(texts, all("")) {
					t.Errorf("%v left in the end", texts)
				}
				if m := r.metric("masar_halted_messages") + r.metric("masar_halts"); m != 0 {
					t.Errorf("%v halted messages and halts at the end", m)
				}
			})
		})
	}
}

// TestWhatWasAlreadyWaitingIsHeldToo: behind a carrier that is down, and halted before it
// comes back.
func TestWhatWasAlreadyWaitingIsHeldToo(t *testing.T) {
	for _, s := range []Scope{{Agency: "civil-affairs"}, {Account: "acme"}} {
		t.Run(s.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, got := haltRig(t, rigOptions{})
				who := r.haltPeople()
				r.refuse("a:1", true)
				who.submit("1")
				who.submit("2")
				h := r.halt(s)
				if n := r.countScope(s, time.Time{}); n != (HaltCount{Waiting: 6}) {
					t.Errorf("counted %+v", n)
				}
				r.refuse("a:1", false)
				r.wait("the others", func() bool { return len(got.list()) == 4 })
				time.Sleep(time.Minute)
				if texts := got.texts(); !slices.Equal(texts, []string{"TRAFF1", "TRAFF2", "plain1", "plain2"}) {
					t.Errorf("%v left", texts)
				}
				r.resume(h.ID)
				r.wait("all", func() bool { return len(got.list()) == 10 })
			})
		})
	}
}

func TestAMessageOfTwoHaltsStaysUntilBothAreLifted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, got := haltRig(t, rigOptions{})
		who := r.haltPeople()
		first := r.halt(Scope{Service: "IDREN"})
		second := r.halt(Scope{Agency: "civil-affairs"})
		third := r.halt(Scope{Class: "normal"})
		who.submit("")
		r.wait("plain", func() bool { return len(got.list()) == 1 })
		if n := r.countScope(Scope{Service: "IDREN"}, time.Time{}); n.Others != 1 || n.Waiting+n.Aside != 1 {
			t.Errorf("counted %+v", n)
		}
		for _, step := range []struct {
			id   string
			want []string
		}{
			{second.ID, []string{"OTPEN", "plain"}},
			{third.ID, []string{"IDNEW", "OTPEN", "TRAFF", "plain"}},
			{first.ID, haltKinds},
		} {
			r.resume(step.id)
			time.Sleep(time.Minute)
			if texts := got.texts(); !slices.Equal(texts, step.want) {
				t.Fatalf("after %s: %v left, want %v", step.id, texts, step.want)
			}
		}
	})
}

// TestHaltsSurviveARestart, both an orderly one and a power cut: halts, what they hold, and
// a resume that had only begun.
func TestHaltsSurviveARestart(t *testing.T) {
	for _, row := range []struct {
		name string
		cut  bool
	}{{"orderly", false}, {"power cut", true}} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fs := crashable()
				r, got := haltRig(t, rigOptions{FS: fs})
				who := r.haltPeople()
				h1 := r.halt(Scope{Service: "IDREN"})
				h2 := r.halt(Scope{Account: "muroor"})
				lifted := r.halt(Scope{Service: "IDNEW"})
				who.submit("")
				r.wait("those that may", func() bool { return len(got.list()) == 2 })
				r.wait("set aside", func() bool { return r.asideHalted() == 2 })
				time.Sleep(time.Second)
				want := r.gw.Halts()
				if row.cut {
					left := crash(fs)
					r.stop()
					r.fs = left
					r.start()
				} else {
					r.restart()
				}
				if have := r.gw.Halts(); !slices.EqualFunc(have, want, func(a, b Halt) bool {
					return a.ID == b.ID && a.Scope == b.Scope && a.By == b.By && a.Since.Equal(b.Since)
				}) {
					t.Fatalf("halts %v after the restart, %v before", have, want)
				}
				r.carrierUp("a")
				who = r.haltPeople()
				who.submit("2")
				time.Sleep(time.Minute)
				if texts := got.texts(); !slices.Equal(texts, []string{"OTPEN", "OTPEN2", "plain", "plain2"}) {
					t.Errorf("%v left", texts)
				}
				if len(r.log.find("still halted", "by=sara", "reason=wrong date")) != 3 {
					t.Error("the log does not say that it is halted still")
				}
				r.resume(h1.ID)
				r.resume(h2.ID)
				r.resume(lifted.ID)
				r.wait("all", func() bool { return len(got.list()) == 10 })
				time.Sleep(time.Minute)
				if texts := got.texts(); len(texts) != 10 || len(slices.Compact(texts)) != 10 {
					t.Errorf("%v left in the end", texts)
				}
				if next := r.halt(Scope{All: true}); next.ID != "h4" {
					t.Errorf("the fourth halt is %s", next.ID)
				}
			})
		})
	}
}

// TestAResumeThatAPowerCutInterruptsGoesOn: the halt is gone from the file, its messages
// are still set aside.
func TestAResumeThatAPowerCutInterruptsGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, got := haltRig(t, rigOptions{})
		who := r.haltPeople()
		r.halt(Scope{Service: "IDREN"})
		who.submit("")
		r.wait("set aside", func() bool { return r.asideHalted() == 1 })
		file := r.gw.opt.HaltFile
		r.stop()
		if err := os.WriteFile(file, []byte(`{"format":1,"given":1,"halts":[]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.wait("all", func() bool { return len(got.list()) == 5 })
	})
}

func TestAFileOfHaltsThatCannotBeReadKeepsTheGatewayFromStarting(t *testing.T) {
	for _, row := range []struct{ name, content, says string }{
		{"half a file", `{"format":1,"gi`, "cannot be read"},
		{"of a later version", `{"format":2,"given":1,"halts":[]}`, "format 2"},
		{"empty", ``, "cannot be read"},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, _ := haltRig(t, rigOptions{})
				o := r.gw.opt
				r.stop()
				if err := os.WriteFile(o.HaltFile, []byte(row.content), 0o600); err != nil {
					t.Fatal(err)
				}
				k := halts{file: o.HaltFile}
				if _, _, err := k.load(); err == nil || !strings.Contains(err.Error(), row.says) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

func TestAHaltThatCannotBeStoredIsNotInForce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "gone")
		r, got := haltRig(t, rigOptions{Options: func(o *Options) { o.HaltFile = filepath.Join(dir, "halts.json") }})
		if _, err := r.gw.Halt(context.Background(), Scope{All: true}, "sara", ""); !errors.Is(err, errNotStored) {
			t.Fatalf("error %v", err)
		}
		if n := len(r.gw.Halts()); n != 0 {
			t.Errorf("%d halts are in force", n)
		}
		r.transceiver().submit(of("IDREN"))
		r.wait("the message", func() bool { return len(got.list()) == 1 })
	})
}

func TestAScopeThatNamesNothingIsAnErrorThatNamesTheField(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _ := haltRig(t, rigOptions{Setup: func(s *Setup) {
			for i := range s.Accounts {
				s.Accounts[i].Senders = []Sender{{Exact: "AHWAL"}, {Exact: "MUROOR"}, {Exact: "PLAIN"}}
			}
		}})
		for _, row := range []struct {
			scope Scope
			field string // empty: it is good
		}{
			{Scope{}, "scope"},
			{Scope{All: true, Service: "IDREN"}, "all"},
			{Scope{Service: "IDREM"}, "service"},
			{Scope{Service: "IDREN", Agency: "nobody"}, "agency"},
			{Scope{Account: "Acme"}, "account"},
			{Scope{Sender: "NOBODY"}, "sender"},
			{Scope{Class: "huge"}, "class"},
			{Scope{Carrier: "z"}, "carrier"},
			{Scope{Campaign: 7, Carrier: "z"}, "carrier"},
			{Scope{Campaign: 7}, ""},
			{Scope{Sender: "AHWAL2"}, ""}, // the catalogue's
			{Scope{Service: "IDREN", Agency: "traffic"}, ""},
		} {
			_, err := r.gw.Halt(context.Background(), row.scope, "sara", "")
			_, cerr := r.gw.CountScope(context.Background(), row.scope, time.Time{})
			var field *ScopeError
			switch {
			case row.field == "" && (err != nil || cerr != nil):
				t.Errorf("%v: %v, %v", row.scope, err, cerr)
			case row.field != "" && (!errors.As(err, &field) || field.Field != row.field || fmt.Sprint(cerr) != fmt.Sprint(err)):
				t.Errorf("%v: %v, %v, want %s", row.scope, err, cerr, row.field)
			}
		}
		if n := len(r.gw.Halts()); n != 3 {
			t.Errorf("%d halts are in force", n)
		}
		if _, err := r.gw.Resume(context.Background(), "h99", ""); !errors.Is(err, ErrNoHalt) {
			t.Errorf("resume: %v", err)
		}
		if _, err := r.gw.CancelHalted(context.Background(), "h99", ""); !errors.Is(err, ErrNoHalt) {
			t.Errorf("cancel: %v", err)
		}
	})
}

// TestAnAccountThatWasRemovedCanBeHalted: what an account has left is held though it is not configured
// any more.
func TestAnAccountThatWasRemovedCanBeHalted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, got := haltRig(t, rigOptions{})
		who := r.haltPeople()
		r.refuse("a:1", true)
		who.submit("")
		s := r.gw.opt.Setup
		s.Accounts = slices.DeleteFunc(slices.Clone(s.Accounts), func(a Account) bool { return a.SystemID == "plain" })
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		h := r.halt(Scope{Account: "plain"})
		r.refuse("a:1", false)
		r.wait("the others", func() bool { return len(got.list()) == 4 })
		time.Sleep(time.Minute)
		if n := len(got.list()); n != 4 {
			t.Errorf("%d have left", n)
		}
		r.resume(h.ID)
		r.wait("all", func() bool { return len(got.list()) == 5 })
	})
}

// TestAnAgencyIsWhatTheCatalogueSaysNow: a service that goes to another agency leaves the
// halt of the one before.
func TestAnAgencyIsWhatTheCatalogueSaysNow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, got := haltRig(t, rigOptions{})
		who := r.haltPeople()
		r.halt(Scope{Agency: "traffic"})
		who.submit("")
		r.wait("the others", func() bool { return len(got.list()) == 4 && r.asideHalted() == 1 })
		s := r.gw.opt.Setup
		s.Accounts = slices.Clone(s.Accounts)
		s.Accounts[1].Agency, s.Accounts[1].Services = "", []string{"TRAFF"}
		s.Catalogue = catalogueOf(t, func(o *service.Options) {
			o.Services[5].Agency, o.Senders[2].Agency = "civil-affairs", "civil-affairs"
			o.Senders[1].Agency, o.Agencies[1].Sender = "traffic", "AHWAL2"
		})
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		r.wait("the one that has gone to another", func() bool { return slices.Contains(got.texts(), "TRAFF") })
	})
}
