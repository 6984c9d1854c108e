package pebble

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/queue"
	"masar/smpp/pdu"
)

// Close waits for whoever reads; a survey of millions must not make it wait for minutes.
func TestCloseDoesNotWaitForTheEndOfASurvey(t *testing.T) {
	s := open(t, small(vfs.NewMem()))
	var steps []queue.Step
	const n = 5000
	for range n {
		steps = append(steps, accept())
	}
	must(t, s, steps...)
	closed := make(chan error, 1)
	told := 0
	err := s.Survey(t.Context(), queue.Survey{Sent: true, Since: time.Unix(0, 0)}, func(*queue.View) bool {
		if told++; told == 1 {
			go func() { closed <- s.Close() }()
			<-s.quit
			// Whoever asks now gets an answer, so that each does not wait for Close in vain.
			if _, err := s.ClaimID(t.Context(), 0, 1); err == nil {
				t.Error("a message that is not there was claimed")
			}
		}
		return true
	})
	if !errors.Is(err, queue.ErrClosed) || told >= n {
		t.Errorf("told of %d of %d messages: %v", told, n, err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// A damaged row is no reason to tell nothing of the others.
func TestASurveyLeavesOutWhatCannotBeRead(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, small(fs))
	a, bad, b := accept(), accept(), accept()
	must(t, s, a, bad, b)
	err := s.do(t.Context(), func(c *committer) {
		c.set(laneKey(nil, benchLane, uint64(bad.M.ID)), []byte{queue.RecordVersion, 0, 0})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got []queue.ID
	if err := s.Survey(t.Context(), queue.Survey{}, func(v *queue.View) bool { got = append(got, v.M.ID); return true }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0] != a.M.ID || got[1] != b.M.ID {
		t.Errorf("told of %v, want %v and %v", got, a.M.ID, b.M.ID)
	}
}

// BenchmarkSurvey is what one message costs a survey, by where it is.
func BenchmarkSurvey(b *testing.B) {
	s := benchStore(b, vfs.NewMem())
	const n = 20_000
	fill := func(stage queue.Stage) {
		for i := 0; i < n; i += 1000 {
			var steps []queue.Step
			for j := range 1000 {
				steps = append(steps, &queue.Accept{M: newMessage(i + j), Lane: benchLane})
			}
			commitAll(b, s, steps)
			var claims []queue.Claim
			for len(claims) < 1000 && stage != queue.Waiting {
				claims, _ = s.Take(benchLane, 1000-len(claims), claims)
			}
			steps = steps[:0]
			for j, c := range claims {
				part := queue.PartInfo{Attempt: 1, Part: 1, Of: 1, Carrier: 1, CarrierID: fmt.Sprint(i + j), Sent: queue.At(time.Now())}
				switch stage {
				case queue.Aside:
					steps = append(steps, &queue.Wait{Claim: c, Until: c.M.Expires, Why: queue.WaitHalted, Lane: benchLane})
				case queue.Sent:
					steps = append(steps, &queue.Part{Claim: c, Info: part, Await: true, Last: true})
				case queue.Ended:
					steps = append(steps, &queue.Part{Claim: c, Info: part, Last: true, State: pdu.StateAccepted})
				}
			}
			commitAll(b, s, steps)
		}
	}
	fill(queue.Ended)
	fill(queue.Sent)
	fill(queue.Aside)
	fill(queue.Waiting)
	for _, row := range []struct {
		name string
		what queue.Survey
		n    int
	}{
		{"waiting and halted", queue.Survey{}, 2 * n},
		{"sent too", queue.Survey{Sent: true}, 3 * n},
		{"ended too", queue.Survey{Sent: true, Since: time.Unix(0, 0)}, 4 * n},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				got := 0
				if err := s.Survey(b.Context(), row.what, func(*queue.View) bool { got++; return true }); err != nil || got != row.n {
					b.Fatalf("%d messages: %v", got, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*row.n), "ns/message")
		})
	}
}

func commitAll(b *testing.B, s *Store, steps []queue.Step) {
	done := make(chan error, 1)
	if err := s.Commit(b.Context(), queue.DoneFunc(func(err error) { done <- err }), steps...); err != nil {
		b.Fatal(err)
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
