package jobs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/queue"
	"masar/service/reminder"
	"masar/smpp/smpptest"
)

// carrierInMemory is a carrier that a gateway dials without a network, and what it got: how
// often each text came.
type carrierInMemory struct {
	smsc *smpptest.SMSC
	mu   sync.Mutex
	got  map[string]int
}

func newCarrierInMemory(t *testing.T, o smpptest.SMSCOptions) *carrierInMemory {
	t.Helper()
	c := &carrierInMemory{got: map[string]int{}}
	o.OnMessage = func(m *smpptest.Message) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.got[m.Text]++
	}
	var err error
	if c.smsc, err = smpptest.NewSMSC(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.smsc.Close() })
	return c
}

func (c *carrierInMemory) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := smpptest.Pipe(256<<10, netip.MustParseAddrPort("10.9.0.1:40000"))
	c.smsc.ServeConn(theirs)
	return ours, nil
}

// texts takes over what came so far.
func (c *carrierInMemory) texts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[string]int, len(c.got))
	for text, times := range c.got {
		all[text] = times
	}
	return all
}

// raced is one reminder that is changed about when it is sent.
type raced struct {
	key       string
	deleted   bool // else its date was moved
	withdrawn bool
	leaving   bool
	err       error
}

// race puts tries reminders that are due at a moment, and changes each at a random one
// around it; then nothing of the date before may come that was withdrawn, and nothing twice.
func race(t *testing.T, x *real, c *carrierInMemory, tries int, due time.Time, around time.Duration, seed uint64) {
	t.Helper()
	day := reminder.DayOf(due)
	var list []reminder.Reminder
	for i := range tries {
		m := of(fmt.Sprintf("R%05d", i), "2000-01-01")
		m.Expires = reminder.AddDays(day, 7)
		list = append(list, m)
	}
	for from := 0; from < tries; from += 1000 {
		out, err := x.reminders.PutMany(t.Context(), list[from:min(tries, from+1000)])
		if err != nil {
			t.Fatal(err)
		}
		for i := range out {
			if out[i].Err != nil || out[i].Status != reminder.PutCreated {
				t.Fatalf("%+v", out[i])
			}
		}
	}
	if time.Now().After(due.Add(-around)) {
		t.Fatal("the puts took longer than thought: nothing would be raced")
	}
	all := make([]raced, tries)
	const workers = 16
	order := rand.Perm(tries) // not that in which they leave
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), seed))
			// Those of a worker in the order of their moments.
			at := make([]time.Duration, 0, tries/workers+1)
			for i := w; i < tries; i += workers {
				at = append(at, time.Duration(rng.Int64N(int64(2*around)))-around)
			}
			slices.Sort(at)
			for k, i := 0, w; i < tries; k, i = k+1, i+workers {
				time.Sleep(time.Until(due.Add(at[k])))
				r, m := &all[order[i]], list[order[i]]
				r.key = m.Key
				if r.deleted = rng.IntN(2) == 0; r.deleted {
					res, err := x.reminders.Delete(t.Context(), "civil", r.key, "")
					r.withdrawn, r.leaving, r.err = res.Withdrawn, res.Leaving, err
					continue
				}
				m.Expires = reminder.AddDays(day, 8) // tomorrow then
				res, err := x.reminders.Put(t.Context(), m)
				r.withdrawn, r.leaving, r.err = res.Withdrawn, res.Leaving, err
			}
		})
	}
	wg.Wait()
	quietUntilSent(t, x, c)
	got := map[string][]string{} // by key
	for text, times := range c.texts() {
		if times > 1 {
			t.Fatalf("%q came %d times", text, times)
		}
		key, _, _ := strings.Cut(strings.TrimPrefix(text, "new: "), " ") // the wording since June 2000
		got[key] = append(got[key], text)
	}
	old, later := reminder.AddDays(day, 7).String(), reminder.AddDays(day, 8).String()
	var withdrawn, leaving, before int
	for i := range all {
		r := &all[i]
		if r.err != nil {
			t.Fatal(r.key, r.err)
		}
		sent := 0
		for _, text := range got[r.key] {
			if strings.Contains(text, later) {
				t.Fatalf("%q came before its day", text)
			}
			if strings.Contains(text, old) {
				sent++
			}
		}
		switch {
		case r.withdrawn && sent > 0:
			t.Fatalf("%s was withdrawn, and came", r.key)
		case r.withdrawn && r.leaving:
			t.Fatalf("%s is both", r.key)
		case r.leaving && sent != 1:
			t.Fatalf("%s was leaving, and came %d times", r.key, sent)
		case !r.withdrawn && !r.leaving && sent > 0:
			t.Fatalf("%s was not handed over, and came", r.key)
		}
		switch {
		case r.withdrawn:
			withdrawn++
		case r.leaving:
			leaving++
		default:
			before++
		}
	}
	t.Logf("%d changed before they were handed over, %d taken back, %d left", before, withdrawn, leaving)
	if before < tries/100 || withdrawn < tries/100 || leaving < tries/100 {
		t.Error("too little of one kind was raced for this to prove anything")
	}
}

// quietUntilSent waits until nothing waits in the queue, and what was sent has arrived.
func quietUntilSent(t *testing.T, x *real, c *carrierInMemory) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for quiet := 0; quiet < 5; {
		if time.Now().After(deadline) {
			t.Fatal("messages still wait after two minutes")
		}
		waits := int64(0)
		x.queue.Depths(func(_ queue.Lane, d queue.Depth) { waits += d.Messages })
		if waits == 0 && c.smsc.Idle() {
			quiet++
		} else {
			quiet = 0
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// races is how many tries: RACES, else a few.
func races(few int) int {
	if v, err := strconv.Atoi(os.Getenv("RACES")); err == nil {
		return v
	}
	return few
}

var raceCarrier = smpptest.SMSCOptions{Latency: 5 * time.Millisecond, Jitter: 5 * time.Millisecond, NoReceipt: 1}

// Renewing withdraws, on virtual time.
func TestWhatIsChangedAtTheMomentOfSendingIsWithdrawnOrSentAndNeverBoth(t *testing.T) {
	for seed := range uint64(max(races(4000)/2000, 1)) {
		synctest.Test(t, func(t *testing.T) {
			c := newCarrierInMemory(t, raceCarrier)
			x := startReal(t, realOptions{fs: vfs.NewMem(), catalogue: remindCatalogue(t), dial: c.dial, addr: "a:1", window: 10, at: 9 * time.Hour, carries: 700})
			defer x.stop(t)
			around := []time.Duration{4 * time.Second, 300 * time.Millisecond, time.Second, 20 * time.Millisecond}[seed%4]
			race(t, x, c, 2000, moment("2000-01-01 09:00"), around, seed)
		})
	}
}

// And on the clock of the machine, where goroutines run at once.
func TestWhatIsChangedAtTheMomentOfSendingIsWithdrawnOrSentOnRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	tries := races(1000)
	c := newCarrierInMemory(t, raceCarrier)
	due := time.Now().Add(5*time.Second + time.Duration(tries)*3*time.Millisecond).In(remindZone).Truncate(time.Second)
	if due.Day() != time.Now().In(remindZone).Day() {
		t.Skip("midnight is too near: its day begins while it is raced")
	}
	y, m, d := due.Date()
	x := startReal(t, realOptions{
		fs: vfs.NewMem(), catalogue: remindCatalogue(t), dial: c.dial, addr: "a:1", window: 10, carries: float64(tries) / 3,
		at: due.Sub(time.Date(y, m, d, 0, 0, 0, 0, remindZone)),
	})
	defer x.stop(t)
	race(t, x, c, tries, due, 3*time.Second, 7)
}
