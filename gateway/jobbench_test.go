package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"

	"masar/queue/pebble"
)

// BenchmarkSubmitMany takes notices of a job as reminders do at nine o'clock, 512 at a time,
// onto a real disk. One operation is one notice.
func BenchmarkSubmitMany(b *testing.B) {
	store, err := pebble.Open(b.Context(), pebble.Options{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler), MinFree: -1, Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	s := rigSetup()
	s.Accounts = append(s.Accounts, likeAcme("civil", func(*Account) {}))
	g, err := Start(b.Context(), Options{
		Store: store, Jobs: new(listener), Setup: s, Drain: -1,
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nobody is there") },
	})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	defer g.Close(context.Background())
	many, out := make([]Notice, 512), make([]Submitted, 512)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += len(many) {
		for i := range many {
			many[i] = due(uint64(n+i), func(n *Notice) { n.Once = fmt.Appendf(nil, "r%d", n.Job.Item) })
		}
		if err := g.SubmitMany(b.Context(), many, out); err != nil {
			b.Fatal(err)
		}
		for i := range out {
			if out[i].Err != nil {
				b.Fatal(out[i].Err)
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "notices/s")
}
