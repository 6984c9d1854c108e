package jobs

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/gateway"
	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/service/campaign"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

// fakeGateway is a gateway that never forgets: it outlives the campaigns that it serves, as
// a queue on disk outlives a process.
type fakeGateway struct {
	mu     sync.Mutex
	byOnce map[string]queue.ID
	sent   []fakeMessage
	halts  []gateway.Halt
	given  int

	room    int                             // messages that may wait; 0: any
	refuses func(n *gateway.Notice) error   // nil: nothing
	dies    func() bool                     // after a batch was taken, before it is answered
	orders  []string                        // halt, resume, cancel
	keepOne bool                            // the first message is on the wire: it cannot be cancelled
	survey  func(ctx context.Context) error // before a cancel
	wait    func(ctx context.Context) error // before a batch, or a row of a check
}

type fakeMessage struct {
	n     gateway.Notice
	id    queue.ID
	state pdu.State // zero: waits
	told  bool
	at    time.Time
}

func newFakeGateway() *fakeGateway { return &fakeGateway{byOnce: map[string]queue.ID{}} }

func refusal(r gateway.Refusal) error { return &gateway.SubmitError{Refusal: r} }

func (f *fakeGateway) Submit(_ context.Context, n gateway.Notice) (queue.ID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.submit(&n)
}

func (f *fakeGateway) submit(n *gateway.Notice) (queue.ID, error) {
	if f.refuses != nil {
		if err := f.refuses(n); err != nil {
			return 0, err
		}
	}
	if id, known := f.byOnce[string(n.Once)]; known && len(n.Once) > 0 {
		return id, nil
	}
	if f.room > 0 && f.waiting() >= f.room {
		return 0, refusal(gateway.QueueFull)
	}
	id := queue.ID(0x1000 + len(f.sent))
	f.sent = append(f.sent, fakeMessage{n: *n, id: id, at: time.Now()})
	if len(n.Once) > 0 {
		f.byOnce[string(n.Once)] = id
	}
	return id, nil
}

func (f *fakeGateway) waiting() (n int) {
	for i := range f.sent {
		if f.sent[i].state == 0 {
			n++
		}
	}
	return n
}

func (f *fakeGateway) SubmitMany(ctx context.Context, n []gateway.Notice, out []gateway.Submitted) error {
	if f.wait != nil {
		if err := f.wait(ctx); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range n {
		out[i].ID, out[i].Err = f.submit(&n[i])
	}
	if f.dies != nil && f.dies() {
		clear(out)
		return context.Canceled
	}
	return ctx.Err()
}

func (f *fakeGateway) SubmittedAs(_ context.Context, _ string, once []byte) (queue.ID, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, has := f.byOnce[string(once)]
	return id, has, nil
}

func (f *fakeGateway) Try(ctx context.Context, n gateway.Notice) (gateway.Trial, error) {
	if f.wait != nil {
		if err := f.wait(ctx); err != nil {
			return gateway.Trial{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuses != nil {
		if err := f.refuses(&n); err != nil {
			return gateway.Trial{}, err
		}
	}
	parts, err := text.Split(n.Text, text.Choose(n.Text), text.UDH8)
	return gateway.Trial{Route: "default", Parts: parts, Number: n.Number}, err
}

func (f *fakeGateway) TimeFor(parts map[string]int64, _ queue.Class) (t time.Duration) {
	for _, n := range parts {
		t += time.Duration(n) * time.Second
	}
	return t
}

func (f *fakeGateway) Halt(_ context.Context, s gateway.Scope, by, reason string) (gateway.Halt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.given++
	h := gateway.Halt{ID: fmt.Sprintf("h%d", f.given), Scope: s, By: by, Reason: reason}
	f.halts = append(f.halts, h)
	f.orders = append(f.orders, "halt "+s.String())
	return h, nil
}

func (f *fakeGateway) Halts() []gateway.Halt {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]gateway.Halt(nil), f.halts...)
}

func (f *fakeGateway) Resume(_ context.Context, id, _ string) (gateway.Halt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, h := range f.halts {
		if h.ID == id {
			f.halts = append(f.halts[:i:i], f.halts[i+1:]...)
			f.orders = append(f.orders, "resume "+h.Scope.String())
			return h, nil
		}
	}
	return gateway.Halt{}, gateway.ErrNoHalt
}

func (f *fakeGateway) CancelHalted(ctx context.Context, id, _ string) (n int64, err error) {
	f.mu.Lock()
	survey := f.survey
	f.mu.Unlock()
	if survey != nil {
		if err := survey(ctx); err != nil {
			return 0, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.halts {
		if h.ID != id {
			continue
		}
		f.orders = append(f.orders, "cancel "+h.Scope.String())
		for i := range f.sent {
			if m := &f.sent[i]; m.state == 0 && m.n.Job.Number == h.Scope.Campaign && (i > 0 || !f.keepOne) {
				m.state = pdu.StateDeleted
				n++
			}
		}
		return n, nil
	}
	return 0, gateway.ErrNoHalt
}

func (f *fakeGateway) held(campaign uint64) bool {
	for _, h := range f.halts {
		if h.Scope.Campaign == campaign {
			return true
		}
	}
	return false
}

// deliver gives up to max messages that wait, and are not held, an end.
func (f *fakeGateway) deliver(max int, st pdu.State) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.sent {
		if m := &f.sent[i]; m.state == 0 && n < max && !f.held(m.n.Job.Number) {
			m.state = st
			n++
		}
	}
	return n
}

// tell tells ends until all are told, as the gateway does: after an error again.
func (f *fakeGateway) tell(t testing.TB, c *Campaigns) {
	t.Helper()
	f.mu.Lock()
	var ends []gateway.End
	var of []int
	for i := range f.sent {
		m := &f.sent[i]
		if m.state == 0 || m.told || m.n.Job.Kind == queue.NoJob {
			continue
		}
		e := gateway.End{Job: m.n.Job, Account: m.n.Account, Message: m.id, State: m.state, At: time.Now()}
		if m.state == pdu.StateDeleted {
			e.Err = "halted"
		}
		ends, of = append(ends, e), append(of, i)
	}
	f.mu.Unlock()
	for len(ends) > 0 {
		n := min(len(ends), 512)
		if err := c.Ended(context.Background(), ends[:n]); err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		for _, i := range of[:n] {
			f.sent[i].told = true
		}
		f.mu.Unlock()
		ends, of = ends[n:], of[n:]
	}
}

func (f *fakeGateway) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sent)
}

// place is campaigns over a store in memory and a fakeGateway.
type place struct {
	t   *testing.T
	fs  vfs.FS
	o   CampaignsOptions
	st  *campaign.Store
	c   *Campaigns
	g   *fakeGateway
	cat *service.Catalogue
}

// inBubble runs f on virtual time.
func inBubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

func newPlace(t *testing.T, change func(*CampaignsOptions)) *place {
	t.Helper()
	p := &place{t: t, fs: vfs.NewMem(), g: newFakeGateway(), cat: campaignCatalogue(t)}
	p.o = CampaignsOptions{
		Catalogue: func() *service.Catalogue { return p.cat }, Country: "966", ReleaseAbove: 1000, Workers: 2,
		Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&p.o)
	}
	p.open()
	t.Cleanup(p.close)
	return p
}

func openCampaigns(t testing.TB, fs vfs.FS) *campaign.Store {
	t.Helper()
	st, err := campaign.Open(campaign.Options{Dir: "campaigns", FS: fs, MinFree: -1, Log: slog.New(slog.DiscardHandler), Fatal: func(err error) { panic(err) }})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func (p *place) open() {
	p.t.Helper()
	p.st = openCampaigns(p.t, p.fs)
	p.o.Store = p.st
	p.c = NewCampaigns(p.o)
	p.c.Begin(p.g)
}

func (p *place) close() {
	p.c.Close()
	p.st.Close()
}

func (p *place) restart() {
	p.t.Helper()
	p.close()
	p.open()
}

// file is a CSV file of so many numbers, for the service NEWS.
func file(rows int) string {
	var b strings.Builder
	b.WriteString("number,name\n")
	for i := range rows {
		fmt.Fprintf(&b, "9665%08d,name %d\n", i, i)
	}
	return b.String()
}

func (p *place) get(id uint64) campaign.View {
	p.t.Helper()
	v, err := p.c.Get(p.t.Context(), id)
	if err != nil {
		p.t.Fatal(err)
	}
	if wrong := v.Counts.Wrong(); wrong != "" {
		p.t.Fatal(wrong)
	}
	return v
}

// draft makes a campaign with a file.
func (p *place) draft(file string, change func(*campaign.Campaign)) uint64 {
	p.t.Helper()
	k := campaign.Campaign{Name: "news", Account: "nic", Service: "NEWS", By: "huda"}
	if change != nil {
		change(&k)
	}
	v, err := p.c.Create(p.t.Context(), k)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.c.Upload(p.t.Context(), v.ID, strings.NewReader(file), campaign.Format{By: "ali"}); err != nil {
		p.t.Fatal(err)
	}
	return v.ID
}

func (p *place) checked(id uint64) campaign.View {
	p.t.Helper()
	if _, err := p.c.Check(p.t.Context(), id, "huda"); err != nil {
		p.t.Fatal(err)
	}
	p.until("checked", func() bool { return p.get(id).State != campaign.Checking })
	return p.get(id)
}

func (p *place) started(rows int, change func(*campaign.Campaign)) uint64 {
	p.t.Helper()
	id := p.draft(file(rows), change)
	p.checked(id)
	if p.get(id).NeedsRelease {
		if _, err := p.c.Release(p.t.Context(), id, "sara"); err != nil {
			p.t.Fatal(err)
		}
	}
	if _, err := p.c.Start(p.t.Context(), id, "huda"); err != nil {
		p.t.Fatal(err)
	}
	return id
}

func (p *place) until(what string, ok func() bool) { p.t.Helper(); until(p.t, what, ok) }

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// finish delivers what comes until the campaign is over.
func (p *place) finish(id uint64) campaign.View {
	p.t.Helper()
	p.until("over", func() bool {
		p.g.deliver(1<<30, pdu.StateDelivered)
		p.g.tell(p.t, p.c)
		v := p.get(id)
		return v.Over()
	})
	return p.get(id)
}

// exact checks that every row has one line in the report, that each accepted row is one
// message, and that the counts say the same.
func (p *place) exact(id uint64) map[string]int64 {
	p.t.Helper()
	p.g.mu.Lock()
	perNumber := map[number.E164]int{}
	ids := map[string]pdu.State{}
	for i := range p.g.sent {
		m := &p.g.sent[i]
		if m.n.Job.Number != id {
			continue
		}
		ids[m.id.String()] = m.state
		if perNumber[m.n.Number]++; perNumber[m.n.Number] > 1 {
			p.t.Errorf("%s has %d messages", m.n.Number, perNumber[m.n.Number])
		}
	}
	p.g.mu.Unlock()
	return exactReport(p.t, p.c, id, ids)
}

func exactReport(t testing.TB, c *Campaigns, id uint64, ids map[string]pdu.State) map[string]int64 {
	t.Helper()
	var b bytes.Buffer
	if err := c.Report(t.Context(), id, &b); err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	states, rows, messages := map[string]int64{}, map[string]bool{}, map[string]bool{}
	for _, r := range all[1:] {
		if rows[r[0]] {
			t.Errorf("row %s has two lines", r[0])
		}
		rows[r[0]] = true
		states[r[3]]++
		if r[2] == "" {
			continue
		}
		if messages[r[2]] {
			t.Errorf("message %s stands in two lines", r[2])
		}
		messages[r[2]] = true
		st, known := ids[r[2]]
		if !known {
			t.Errorf("row %s has message %s, which nobody was sent", r[0], r[2])
		}
		if want := "accepted"; st != 0 {
			if want = st.Receipt(); r[3] != want {
				t.Errorf("row %s ended %s, the report says %s", r[0], want, r[3])
			}
		}
	}
	if len(messages) != len(ids) {
		t.Errorf("the report has %d messages, %d were accepted", len(messages), len(ids))
	}
	if int64(len(rows)) != v.Counts.Rows {
		t.Errorf("the report has %d rows of %d", len(rows), v.Counts.Rows)
	}
	n := v.Counts
	want := map[string]int64{"bad": n.Bad, "duplicate": n.Duplicate, "left": n.Left, "stopped": n.Stopped, "refused": n.Refused, "accepted": n.Waiting}
	for st, k := range n.Ended {
		want[st] = k
	}
	for st, k := range want {
		if states[st] != k {
			t.Errorf("%d rows are %s in the report, %d in the counts", states[st], st, k)
		}
	}
	return states
}
