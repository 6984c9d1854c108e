package gateway

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/number"
	"masar/queue"
	"masar/service"
	registry "masar/service/pebble"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

// benchNumbers are the numbers that admission and dispatch are measured with, each enrolled
// in the service of the messages.
const benchNumbers = 1000

// desked is a gateway of which only admission and clearance are asked: without carriers,
// store and sessions. Governed, it has a catalogue with hours and senders, and the real
// registry with its numbers in memory.
func desked(t testing.TB, governed bool) (*Gateway, *client) {
	t.Helper()
	s := rigSetup()
	if governed {
		s.Catalogue = catalogueOf(t, func(o *service.Options) { o.Calendar.Quiet.Days = []service.Span{{From: 1, To: 2}} })
		s.Accounts[0].Agency = "civil-affairs"
	}
	s.setDefaults(72 * time.Hour)
	g := &Gateway{met: newMetrics(nil), store: &numbering{}, log: discard()}
	g.opt = Options{Setup: s}
	g.opt.setDefaults()
	g.ctx = context.Background()
	if governed {
		r, err := registry.Open(g.ctx, registry.Options{Dir: "people", FS: vfs.NewMem(), Log: slog.New(slog.DiscardHandler), MinFree: -1, CacheBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		var b service.Batch
		for i := range benchNumbers {
			b.Changes = append(b.Changes, service.Change{
				Kind: service.Enrol, Person: service.Person{1, byte(i >> 8), byte(i)}, Number: benchNumber(i), Services: []string{"IDREN", "IDDRP"},
				Verified: true, Channel: "office", Now: time.Now(), At: time.Now(),
			})
		}
		out, err := r.Apply(g.ctx, b)
		if err != nil || out[0].Err != nil {
			t.Fatal(err, out)
		}
		g.opt.Registry = r
	}
	w, err := g.build(g.ctx, g.opt.Setup, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.world.Store(w)
	return g, &client{g: g, account: w.accounts["acme"], most: 1 << 20}
}

func benchNumber(i int) number.E164 { return 966500000000 + number.E164(i) }

// benchSubmit is a 55-character Arabic submit_sm as it comes from the read buffer.
func benchSubmit(t testing.TB) *pdu.SubmitSM {
	body, err := text.Encode(nil, strings.Repeat("م", 55), text.UCS2)
	if err != nil {
		t.Fatal(err)
	}
	return sms(func(p *pdu.SubmitSM) {
		p.ServiceType, p.DataCoding, p.ShortMessage, p.RegisteredDelivery = []byte("IDREN"), 8, body, 1
	})
}

// admitOne is admission alone: from the read buffer to the step that stores the message.
func admitOne(t testing.TB, c *client, p *pdu.SubmitSM, i int, now time.Time) *submission {
	strconv.AppendUint(p.Dest.Addr[:0], uint64(benchNumber(i%benchNumbers)), 10)
	s := &submission{client: c, began: now}
	if no := c.mayAct(now, 1); no.why != Accepted {
		t.Fatal(no.why)
	}
	if no := c.admit(s, p, now); no.why != Accepted {
		t.Fatal(no.why, no.detail)
	}
	return s
}

func BenchmarkAdmit(b *testing.B) {
	for name, governed := range map[string]bool{"plain": false, "governed": true} {
		b.Run(name, func(b *testing.B) {
			_, c := desked(b, governed)
			p, now := benchSubmit(b), time.Now()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				admitOne(b, c, p, i, now)
			}
		})
	}
}

// BenchmarkLeave is what is asked again of a message of which nothing has changed, from a
// carrier's claim to its only part, and of one that waited on disk over a restart.
func BenchmarkLeave(b *testing.B) {
	for _, row := range []struct {
		name            string
		governed, fresh bool
	}{{"plain", false, false}, {"governed", true, false}, {"after a restart", true, true}} {
		b.Run(row.name, func(b *testing.B) {
			g, c := desked(b, row.governed)
			p, now := benchSubmit(b), time.Now()
			var all []*queue.Message
			for i := range benchNumbers {
				all = append(all, &admitOne(b, c, p, i, now).m)
			}
			w := g.world.Load()
			o := w.carriers["a"]
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m := all[i%len(all)]
				if row.fresh {
					m.World = 0
				}
				keeps := g.clear(g.ctx, w, m, now)
				if !keeps.free() || w.barredAt(o.opt, keeps.rules, m, now) != Accepted {
					b.Fatal(keeps)
				}
				if asked := checkedOf(m, now); !g.unchanged(w, &asked) {
					b.Fatal("changed")
				}
			}
		})
	}
}

// TestAServiceCostsAdmissionNoAllocation: what is asked of a governed account's message is
// asked in what the message has anyway.
func TestAServiceCostsAdmissionNoAllocation(t *testing.T) {
	allocs := map[bool]float64{}
	for _, governed := range []bool{false, true} {
		_, c := desked(t, governed)
		p, now := benchSubmit(t), time.Now()
		for i := range benchNumbers {
			admitOne(t, c, p, i, now) // what is kept in memory is there
		}
		i := 0
		allocs[governed] = testing.AllocsPerRun(1000, func() { admitOne(t, c, p, i, now); i++ })
	}
	if allocs[true] > allocs[false] {
		t.Errorf("%v allocations a message with a service, %v without", allocs[true], allocs[false])
	}
}
