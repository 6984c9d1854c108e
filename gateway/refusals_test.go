package gateway

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/queue"
	"masar/queue/pebble"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// stuckFS is a file system whose fsyncs can be held back: a slow disk.
type stuckFS struct {
	vfs.FS
	mu   sync.Mutex
	cond *sync.Cond
	held bool
}

func newStuckFS() *stuckFS {
	fs := &stuckFS{FS: vfs.NewMem()}
	fs.cond = sync.NewCond(&fs.mu)
	return fs
}

func (fs *stuckFS) hold(yes bool) {
	fs.mu.Lock()
	fs.held = yes
	fs.cond.Broadcast()
	fs.mu.Unlock()
}

func (fs *stuckFS) wait() {
	fs.mu.Lock()
	for fs.held {
		fs.cond.Wait()
	}
	fs.mu.Unlock()
}

type stuckFile struct {
	vfs.File
	fs *stuckFS
}

func (f *stuckFile) Sync() error     { f.fs.wait(); return f.File.Sync() }
func (f *stuckFile) SyncData() error { f.fs.wait(); return f.File.SyncData() }
func (f *stuckFile) SyncTo(n int64) (bool, error) {
	f.fs.wait()
	return f.File.SyncTo(n)
}

func (fs *stuckFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	if err != nil {
		return nil, err
	}
	return &stuckFile{f, fs}, nil
}

func (fs *stuckFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(from, to, c)
	if err != nil {
		return nil, err
	}
	return &stuckFile{f, fs}, nil
}

// refusalRow is one way to be refused.
type refusalRow struct {
	why     Refusal
	name    string
	status  pdu.Status
	account func(a *Account)
	rig     func(o *rigOptions)
	before  func(r *rig, p *peer)
	submit  func(p *pdu.SubmitSM)
}

// TestEveryRefusal reaches each row of the table of refusals and looks at its status on
// the wire, its metric and its line in the log.
func TestEveryRefusal(t *testing.T) {
	ucs2 := func(s string) func(p *pdu.SubmitSM) {
		return func(p *pdu.SubmitSM) { p.DataCoding, p.ShortMessage = 8, []byte(s) }
	}
	var full atomic.Bool
	rows := append(governedRefusals(t), []refusalRow{
		{OverWindow, "", pdu.ESME_RTHROTTLED, func(a *Account) { a.Window, a.Park = 2, 1 }, nil, func(r *rig, p *peer) {
			r.fs.(*stuckFS).hold(true)
			for range 3 {
				p.send(pdu.CmdSubmitSM, sms(nil))
			}
		}, nil},
		{OverRate, "", pdu.ESME_RTHROTTLED, func(a *Account) { a.Throughput, a.Burst = 1, 1 }, nil, func(r *rig, p *peer) { p.submit(nil) }, nil},
		{ShuttingDown, "", pdu.ESME_RMSGQFUL, nil, nil, func(r *rig, p *peer) { r.gw.closing.Store(true) }, nil},
		{InvalidField, "priority", pdu.ESME_RINVPRTFLG, nil, nil, nil, func(p *pdu.SubmitSM) { p.PriorityFlag = 9 }},
		{BothBodies, "", pdu.ESME_RINVMSGLEN, nil, nil, nil, func(p *pdu.SubmitSM) { p.TLVs = p.TLVs.Append(pdu.TagMessagePayload, []byte("x")) }},
		{BrokenUDH, "", pdu.ESME_RINVESMCLASS, nil, nil, nil, func(p *pdu.SubmitSM) { p.ESMClass, p.ShortMessage = pdu.ESMClassUDHI, []byte{9, 0} }},
		{UnknownDefaultMessage, "", pdu.ESME_RINVDFTMSGID, nil, nil, nil, func(p *pdu.SubmitSM) { p.DefaultMsgID = 1 }},
		{SenderNotAllowed, "", pdu.ESME_RINVSRCADR, func(a *Account) { a.Senders = []Sender{{Exact: "MOI"}} }, nil, nil, nil},
		{BadDestination, "", pdu.ESME_RINVDSTADR, nil, nil, nil, func(p *pdu.SubmitSM) { p.Dest.Addr = []byte("x") }},
		{BadDestination, "strict", pdu.ESME_RINVDSTADR, func(a *Account) { a.Numbers.Mode = NumbersStrict }, nil, nil, func(p *pdu.SubmitSM) { p.Dest.Addr = []byte("9090") }},
		{BadSchedule, "", pdu.ESME_RINVSCHED, nil, nil, nil, func(p *pdu.SubmitSM) { p.ScheduleDeliveryTime = []byte("991231000000000+") }},
		{BadValidity, "", pdu.ESME_RINVEXPIRY, nil, nil, nil, func(p *pdu.SubmitSM) { p.ValidityPeriod = []byte("000000000000000R") }},
		{ServiceNotAllowed, "", pdu.ESME_RINVSERTYP, func(a *Account) { a.Services = []string{"IDNEW"} }, nil, nil, nil},
		{EmptyMessage, "", pdu.ESME_RINVMSGLEN, func(a *Account) { a.EmptyRefused = true }, nil, nil, func(p *pdu.SubmitSM) { p.ShortMessage = nil }},
		{BadText, "unpaired surrogate", pdu.ESME_RSUBMITFAIL, nil, nil, nil, ucs2("\x06\x45\xd8\x3d")},
		{BadText, "NUL", pdu.ESME_RSUBMITFAIL, nil, nil, nil, ucs2("\x06\x45\x00\x00")},
		{BadText, "half a character", pdu.ESME_RSUBMITFAIL, nil, nil, nil, ucs2("\x06\x45\x06")},
		{BadText, "an eighth bit in GSM", pdu.ESME_RSUBMITFAIL, nil, nil, nil, func(p *pdu.SubmitSM) { p.ShortMessage = []byte("caf\xe9") }},
		{BadText, "NUL in Latin-1", pdu.ESME_RSUBMITFAIL, nil, nil, nil, func(p *pdu.SubmitSM) { p.DataCoding, p.ShortMessage = 3, []byte("a\x00") }},
		{TooLong, "", pdu.ESME_RINVMSGLEN, func(a *Account) { a.MaxParts = 1 }, nil, nil, func(p *pdu.SubmitSM) { p.ShortMessage = []byte(strings.Repeat("x", 161)) }},
		{NoRoute, "", pdu.ESME_RINVDSTADR, nil, func(o *rigOptions) {
			setup := o.Setup
			o.Setup = func(s *Setup) { setup(s); s.Routes[0].Prefixes = []string{"971"} }
		}, nil, nil},
		{QueueFull, "of the account", pdu.ESME_RMSGQFUL, func(a *Account) { a.Room = 1 }, nil, func(r *rig, p *peer) { r.refuse("a:1", true); p.submit(nil) }, nil},
		{QueueFull, "of the store", pdu.ESME_RMSGQFUL, nil, func(o *rigOptions) {
			o.Store = func(o *pebble.Options) { o.Room = 1 }
		}, func(r *rig, p *peer) { r.refuse("a:1", true); p.submit(nil) }, nil},
		{DiskFull, "", pdu.ESME_RMSGQFUL, nil, func(o *rigOptions) {
			o.Options = func(o *Options) { o.Full = func() (bool, bool) { return full.Load(), false } }
		}, func(r *rig, p *peer) { full.Store(true) }, nil},
		{StoreBusy, "", pdu.ESME_RTHROTTLED, nil, func(o *rigOptions) {
			o.Store = func(o *pebble.Options) { o.InboxSteps = 4 }
		}, func(r *rig, p *peer) {
			r.fs.(*stuckFS).hold(true)
			p.send(pdu.CmdSubmitSM, sms(nil)) // at the disk
			synctest.Wait()
			for range 4 {
				p.send(pdu.CmdSubmitSM, sms(nil)) // in the inbox
			}
		}, nil},
		{StoreFailed, "", pdu.ESME_RSYSERR, nil, func(o *rigOptions) {
			o.Options = func(o *Options) { o.Store = &failing{Store: o.Store} }
		}, nil, nil},
	}...)
	// UnknownPerson is for notices alone: TestAPersonWhomTheRegistryDoesNotKnowIsRefused.
	reached := map[Refusal]bool{Accepted: true, UnknownPerson: true}
	for _, row := range rows {
		reached[row.why] = true
		t.Run(strings.TrimSuffix(row.why.String()+" "+row.name, " "), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				full.Store(false)
				fs := newStuckFS()
				o := rigOptions{FS: fs, Setup: func(s *Setup) {
					if row.account != nil {
						row.account(&s.Accounts[0])
					}
				}}
				if row.rig != nil {
					row.rig(&o)
				}
				r := newRig(t, o)
				r.carrierUp("a")
				p := r.transceiver()
				if row.before != nil {
					row.before(r, p)
				}
				if st := p.submitted(row.submit); st != row.status {
					t.Errorf("status %v, want %v", st, row.status)
				}
				if row.status != pdu.ESME_RINVPRTFLG && row.status != refusals[row.why].status {
					t.Errorf("the table has %v", refusals[row.why].status)
				}
				fs.hold(false)
				if n := r.metric("masar_submits_total", "account=acme", "result="+row.why.String()); n != 1 {
					t.Errorf("masar_submits_total{result=%q} is %v", row.why, n)
				}
				lines := r.log.find("submit refused", "account=acme", "reason="+row.why.String())
				if len(lines) != 1 || lines[0].attrs["status"] != row.status.String() || lines[0].attrs["rule"] == "" {
					t.Errorf("log %v", lines)
				}
				for _, l := range lines {
					if strings.Contains(l.String(), "966501234567") || strings.Contains(l.String(), "hello") {
						t.Errorf("the log says too much: %v", l)
					}
				}
				r.gw.closing.Store(false)
				if s := r.srv.Sessions(); len(s) != 1 || !s[0].State().Bound() {
					t.Error("the session did not stay")
				}
			})
		})
	}
	Refusals(func(why Refusal, _ pdu.Status, label, _ string) {
		if !reached[why] {
			t.Errorf("%s is not reached by this test", label)
		}
	})
}

// failing is a store that refuses Accepts for a reason of its own.
type failing struct{ queue.Store }

func (f *failing) Commit(ctx context.Context, d queue.Done, steps ...queue.Step) error {
	if _, ok := steps[0].(*queue.Accept); ok {
		return context.DeadlineExceeded
	}
	return f.Store.Commit(ctx, d, steps...)
}

func TestRefusalsAreLoggedOnceInTenSecondsWithTheirCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		p := r.transceiver()
		bad := func(p *pdu.SubmitSM) { p.Dest.Addr = []byte("x") }
		for range 50 {
			p.submitted(bad)
		}
		if got := r.log.find("submit refused"); len(got) != 1 || got[0].attrs["not_logged"] != "0" {
			t.Fatalf("log %v", got)
		}
		time.Sleep(11 * time.Second)
		p.submitted(bad)
		got := r.log.find("submit refused")
		if len(got) != 2 || got[1].attrs["not_logged"] != "49" {
			t.Fatalf("log %v", got)
		}
		if n := r.metric("masar_submits_total", "result=bad_destination"); n != 51 {
			t.Errorf("%v counted", n)
		}
	})
}

func TestNumbersInTheLogAreMaskedUnlessAskedFor(t *testing.T) {
	for _, show := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			r := newRig(t, rigOptions{
				Options: func(o *Options) { o.ShowNumbers = show },
				Setup:   func(s *Setup) { s.Accounts[0].Senders = []Sender{{Exact: "MOI"}} },
			})
			r.transceiver().submitted(func(p *pdu.SubmitSM) { p.Source.Addr = []byte("966555555555") })
			got := r.log.find("submit refused")[0]
			if masked := strings.HasSuffix(got.attrs["to"], "*") && strings.HasSuffix(got.attrs["from"], "*"); masked == show {
				t.Errorf("show %v: from %s to %s", show, got.attrs["from"], got.attrs["to"])
			}
		})
	}
}

func TestEnquireLinkIsAnsweredWhileTheStoreIsStuck(t *testing.T) { // rows 11 and 48
	// No bubble: its clock stands while anybody waits for a mutex, as behind a stuck fsync.
	fs := newStuckFS()
	r := newRig(t, rigOptions{FS: fs, Setup: func(s *Setup) { s.Accounts[0].Window, s.Accounts[0].Park = 5, 3 }})
	p := r.transceiver()
	fs.hold(true)
	p.play(`
		> submit_sm seq=10 times=8` + to + `short_message=hello
		~ 100ms
		> submit_sm seq=18 times=2` + to + `
		< submit_sm_resp seq=18 status=ESME_RTHROTTLED times=2
		> enquire_link seq=20
		< enquire_link_resp seq=20`)
	// Questions about messages have room beside the window.
	p.play("> query_sm seq=21 message_id=\n< query_sm_resp seq=21 status=ESME_RINVMSGID")
	fs.hold(false)
	p.play("< submit_sm_resp seq=10 status=ESME_ROK times=8 within=10s\n> submit_sm seq=30" + to + "\n< submit_sm_resp seq=30 status=ESME_ROK")
}

func TestUnbindIsAnsweredAfterTheSubmitsOfAStuckStore(t *testing.T) { // row 43
	fs := newStuckFS()
	r := newRig(t, rigOptions{FS: fs})
	p := r.transceiver()
	fs.hold(true)
	p.play("> submit_sm seq=2 times=3" + to + "\n> unbind seq=5\n~ 100ms\n> enquire_link seq=6\n< enquire_link_resp seq=6")
	fs.hold(false)
	p.play("< submit_sm_resp seq=2 status=ESME_ROK times=3 within=10s\n< unbind_resp seq=5\n< eof")
}

func TestASubmitWhoseSessionEndedIsAcceptedAndCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fs := newStuckFS()
		r := newRig(t, rigOptions{FS: fs})
		r.carrierUp("a")
		p := r.transceiver()
		fs.hold(true)
		p.send(pdu.CmdSubmitSM, sms(func(p *pdu.SubmitSM) { p.RegisteredDelivery = 1 }))
		synctest.Wait()
		p.conn.Close()
		synctest.Wait()
		fs.hold(false)
		if got := r.transceiver().receipt(); got["stat"] != "DELIVRD" {
			t.Errorf("receipt %v", got)
		}
		if n := r.metric("masar_submit_unheard_total", "account=acme"); n != 1 {
			t.Errorf("masar_submit_unheard_total is %v", n)
		}
		if n := r.gw.met.openSubmits.Load(); n != 0 {
			t.Errorf("%d submits are open", n)
		}
	})
}

func TestTheRateOfAnAccountIsExact(t *testing.T) { // row 49
	for _, row := range []struct {
		name     string
		rate     float64
		binds    int
		over     float64 // offered, as a multiple of the rate
		accepted float64 // in ten seconds, burst included
	}{
		{"100/s offered twice", 100, 1, 2, 1000 + 10},
		{"500/s over two binds", 500, 2, 3, 5000 + 50},
		{"offered less than allowed", 200, 1, 0.5, 1000},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, rigOptions{Setup: func(s *Setup) { s.Accounts[0].Throughput = row.rate }})
				var binds []*peer
				for range row.binds {
					binds = append(binds, r.transmitter())
				}
				time.Sleep(time.Second) // the bucket is full
				gap := time.Duration(float64(time.Second) / (row.rate * row.over))
				began := time.Now()
				n := 0
				for ; time.Since(began) < 10*time.Second; n++ {
					binds[n%len(binds)].send(pdu.CmdSubmitSM, sms(nil))
					time.Sleep(gap)
				}
				counts := map[pdu.Status]int{}
				for i := range n {
					h, _ := binds[i%len(binds)].expect(pdu.CmdSubmitSM.Resp())
					counts[h.Status]++
				}
				got := float64(counts[pdu.ESME_ROK])
				if got < row.accepted*0.98 || got > row.accepted*1.02 {
					t.Errorf("%v accepted of %d, want %v within 2%%", got, n, row.accepted)
				}
				if counts[pdu.ESME_ROK]+counts[pdu.ESME_RTHROTTLED] != n {
					t.Errorf("statuses %v", counts)
				}
			})
		})
	}
}

func TestTheRateCountsEachDestinationOfASubmitMulti(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) { s.Accounts[0].Throughput, s.Accounts[0].Burst = 10, 10 }})
		p := r.transceiver()
		var dests []pdu.Destination
		for range 20 {
			dests = append(dests, dest("966501234567"))
		}
		m := multiOf(dests...)
		m.RegisteredDelivery = 0
		p.send(pdu.CmdSubmitMulti, m)
		if h, _ := p.expect(pdu.CmdSubmitMulti.Resp()); h.Status != pdu.ESME_ROK {
			t.Fatal(h.Status) // into debt, once
		}
		if st := p.submitted(nil); st != pdu.ESME_RTHROTTLED {
			t.Errorf("right behind twenty: %v", st)
		}
		time.Sleep(1200 * time.Millisecond)
		if st := p.submitted(nil); st != pdu.ESME_ROK {
			t.Errorf("when the debt is paid: %v", st)
		}
	})
}

func TestRoomIsBoundedPerAccountAndClass(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) {
			other := acme()
			other.SystemID = "other"
			s.Accounts = append(s.Accounts, other)
			s.Accounts[0].Room = 3
		}})
		r.refuse("a:1", true)
		p := r.transceiver()
		for range 3 {
			p.submit(nil)
		}
		if st := p.submitted(nil); st != pdu.ESME_RMSGQFUL {
			t.Errorf("the fourth of a class: %v", st)
		}
		if st := p.submitted(func(p *pdu.SubmitSM) { p.PriorityFlag = 3 }); st != pdu.ESME_ROK {
			t.Errorf("another class: %v", st)
		}
		r.bind(pdu.CmdBindTransmitter, "other").submit(nil)
		r.refuse("a:1", false)
		r.wait("room again", func() bool { return p.submitted(nil) == pdu.ESME_ROK })
	})
}

func TestRefusedCarriersNeverSeeTheMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen atomic.Int64
		r := newRig(t, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": {OnSubmit: func(*smpptest.Submit) { seen.Add(1) }}}})
		r.carrierUp("a")
		p := r.transceiver()
		p.submitted(func(p *pdu.SubmitSM) { p.Dest.Addr = []byte("x") })
		p.submit(nil)
		r.wait("one message", func() bool { return seen.Load() == 1 })
		time.Sleep(time.Minute)
		if n := seen.Load(); n != 1 {
			t.Errorf("the carrier saw %d", n)
		}
	})
}
