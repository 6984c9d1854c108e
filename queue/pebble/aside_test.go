package pebble

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/queue"
)

// BenchmarkAside is what it costs to bring a message back from the side way into its lane.
func BenchmarkAside(b *testing.B) {
	for _, row := range []struct {
		name string
		kind queue.DueKind
	}{{"scheduled", queue.Scheduled}, {"halted", queue.Halted}} {
		b.Run(row.name, func(b *testing.B) {
			s := benchStore(b, vfs.Default)
			const batch = 500
			var claims []queue.Claim
			var steps []queue.Step
			for i := 0; i < b.N; i += batch {
				steps = steps[:0]
				for j := range batch {
					steps = append(steps, &queue.Accept{M: newMessage(i + j), Lane: benchLane, Due: queue.At(time.Now())})
				}
				commitAll(b, s, steps)
				if row.kind == queue.Scheduled {
					continue
				}
				claims, _ = s.Due(b.Context(), queue.Scheduled, time.Now(), batch, claims[:0])
				steps = steps[:0]
				for _, c := range claims {
					steps = append(steps, &queue.Wait{Claim: c, Until: c.M.Expires, Why: queue.WaitHalted, Lane: benchLane})
				}
				commitAll(b, s, steps)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; {
				var err error
				if claims, err = s.Due(b.Context(), row.kind, time.Now(), batch, claims[:0]); err != nil || len(claims) == 0 {
					b.Fatalf("%d of %d came back: %v", n, b.N, err)
				}
				steps = steps[:0]
				for _, c := range claims {
					steps = append(steps, &queue.Enter{Claim: c, Lane: benchLane})
				}
				commitAll(b, s, steps)
				n += len(claims)
			}
		})
	}
}
