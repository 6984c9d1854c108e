package ratelimit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var epoch = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// taker is a Bucket or a Pace.
type taker interface {
	Take(now time.Time, n int) time.Duration
}

// passed is how many tokens go in a stretch of virtual time when the caller takes n at a
// time and sleeps as told, late by up to lag each time.
func passed(t *testing.T, b taker, from time.Time, d time.Duration, n int, lag time.Duration) int {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	count := 0
	for now := from; now.Before(from.Add(d)); {
		wait := b.Take(now, n)
		if wait == 0 {
			count += n
			if count > 1e8 {
				t.Fatal("no limit holds")
			}
			continue
		}
		now = now.Add(wait)
		if lag > 0 {
			now = now.Add(time.Duration(r.Int64N(int64(lag))))
		}
	}
	return count
}

func TestRateIsExactWithinTwoPercentOverTenSeconds(t *testing.T) {
	for _, rate := range []float64{1, 7, 10, 33.3, 50, 100, 333, 400, 1000, 9999, 100_000} {
		for _, n := range []int{1, 3} {
			for _, lag := range []time.Duration{0, 2 * time.Millisecond} {
				t.Run(fmt.Sprintf("%g per second by %d late %v", rate, n, lag), func(t *testing.T) {
					want := rate * 10
					// One take more or less is what counting in whole takes leaves open.
					tolerance := want*0.02 + float64(n)
					b := NewBucket(rate, 0)
					for b.Take(epoch, n) == 0 { // what was saved up before is not the rate
					}
					if got := passed(t, &b, epoch, 10*time.Second, n, lag); math.Abs(float64(got)-want) > tolerance {
						t.Errorf("bucket passed %d in 10s, want %.0f", got, want)
					}
					p := NewPace(PaceOptions{PerSecond: rate})
					if got := passed(t, p, epoch, 10*time.Second, n, lag); math.Abs(float64(got)-want) > tolerance {
						t.Errorf("pace passed %d in 10s, want %.0f", got, want)
					}
				})
			}
		}
	}
}

func TestFullBucketStaysWithinTwoPercentFromFiftyASecond(t *testing.T) {
	for _, rate := range []float64{50, 100, 500, 5000} {
		b := NewBucket(rate, 0)
		if got, most := float64(passed(t, &b, epoch, 10*time.Second, 1, 0)), rate*10*1.02+1; got < rate*10 || got > most {
			t.Errorf("%g per second: %.0f passed in 10s from a full bucket, want %.0f to %.0f", rate, got, rate*10, most)
		}
	}
}

func TestDefaultBurst(t *testing.T) {
	for _, row := range []struct{ rate, want float64 }{{1, 10}, {100, 10}, {101, 10.1}, {5000, 500}} {
		b := NewBucket(row.rate, 0)
		got := 0
		for b.Take(epoch, 1) == 0 {
			got++
		}
		if got != int(row.want) {
			t.Errorf("%g per second: %d at once, want %d", row.rate, got, int(row.want))
		}
	}
}

func TestBucketTakes(t *testing.T) {
	const ms = time.Millisecond
	type step struct {
		at   time.Duration
		n    int
		wait time.Duration
	}
	for _, row := range []struct {
		name        string
		rate, burst float64
		steps       []step
	}{
		{"no limit", 0, 0, []step{{0, 1_000_000, 0}, {0, 1_000_000, 0}}},
		{"a negative rate is no limit", -5, 1, []step{{0, 1000, 0}, {0, 1000, 0}}},
		{"burst then rate", 10, 2, []step{{0, 1, 0}, {0, 1, 0}, {0, 1, 100 * ms}, {60 * ms, 1, 40 * ms}, {100 * ms, 1, 0}, {100 * ms, 1, 100 * ms}}},
		{"more than the burst leaves a debt", 10, 2, []step{{0, 12, 0}, {0, 1, 1100 * ms}, {1000 * ms, 1, 100 * ms}, {1100 * ms, 1, 0}}},
		{"more than is left leaves a debt", 10, 5, []step{{0, 4, 0}, {0, 4, 0}, {0, 1, 400 * ms}}},
		{"rest saves up no more than the burst", 10, 2, []step{{0, 2, 0}, {3600_000 * ms, 1, 0}, {3600_000 * ms, 1, 0}, {3600_000 * ms, 1, 100 * ms}}},
		{"a burst below one is one", 10, 0.2, []step{{0, 1, 0}, {0, 1, 100 * ms}, {100 * ms, 1, 0}}},
		{"nothing asked is never refused", 10, 1, []step{{0, 1, 0}, {0, 0, 0}, {0, -3, 0}, {0, 1, 100 * ms}}},
		{"a refused take costs nothing", 10, 1, []step{{0, 1, 0}, {0, 50, 100 * ms}, {50 * ms, 50, 50 * ms}, {100 * ms, 1, 0}}},
		{"a clock a little behind refills nothing twice", 10, 1, []step{{0, 1, 0}, {50 * ms, 1, 50 * ms}, {0, 1, 50 * ms}, {50 * ms, 1, 50 * ms}, {100 * ms, 1, 0}}},
		{"a clock set back goes on from there", 10, 1, []step{{7200_000 * ms, 1, 0}, {0, 1, 100 * ms}, {100 * ms, 1, 0}}},
		{"one a hundred seconds", 0.01, 1, []step{{0, 1, 0}, {0, 1, 100_000 * ms}, {99_999 * ms, 1, 1 * ms}, {100_000 * ms, 1, 0}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := NewBucket(row.rate, row.burst)
			for i, s := range row.steps {
				got := b.Take(epoch.Add(s.at), s.n)
				if d := got - s.wait; d < -time.Microsecond || d > time.Microsecond || (s.wait == 0) != (got == 0) {
					t.Fatalf("step %d: take %d at %v waits %v, want %v", i, s.n, s.at, got, s.wait)
				}
			}
		})
	}
}

func TestTheWaitToldIsEnough(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		b := NewBucket(math.Exp(r.Float64()*16-4), 1+r.Float64()*20)
		now := epoch
		for b.Take(now, 1+r.IntN(30)) == 0 {
		}
		wait := b.Wait(now)
		if wait <= 0 {
			t.Fatalf("%+v: refused, yet nothing to wait for", b)
		}
		if again := b.Take(now.Add(wait), 1); again != 0 {
			t.Fatalf("%+v: told to wait %v and then %v more", b, wait, again)
		}
	}
}

func TestGiveRestoresAtMostTheBurst(t *testing.T) {
	b := NewBucket(10, 3)
	b.Take(epoch, 3)
	b.Give(2)
	for _, row := range []struct{ give, want int }{{0, 2}, {100, 3}, {-5, 0}} {
		b.Give(row.give)
		got := 0
		for b.Take(epoch, 1) == 0 {
			got++
		}
		if got != row.want {
			t.Errorf("%d at once after %d were given back, want %d", got, row.give, row.want)
		}
	}
}

func TestSetChangesTheRateFromNowOn(t *testing.T) {
	at := func(d time.Duration) time.Time { return epoch.Add(d) }
	b := NewBucket(10, 10)
	b.Take(epoch, 20) // a debt of 10
	b.Set(at(500*time.Millisecond), 100, 0)
	if wait := b.Wait(at(500 * time.Millisecond)); wait.Round(time.Millisecond) != 60*time.Millisecond {
		t.Errorf("after half a second at 10/s a debt of 5 is left, which 100/s pays in 60ms: told %v", wait)
	}
	b.Set(at(time.Hour), 10, 2)
	if b.Take(at(time.Hour), 2) != 0 || b.Take(at(time.Hour), 1) == 0 {
		t.Error("a smaller burst must cut what was saved up")
	}
	b.Set(at(time.Hour), 0, 0)
	if b.Take(at(time.Hour), 1_000_000) != 0 {
		t.Error("no limit now, yet refused")
	}
	b.Set(at(2*time.Hour), 10, 2)
	if b.Take(at(2*time.Hour), 2) != 0 || b.Take(at(2*time.Hour), 1) == 0 {
		t.Error("a limit where there was none begins with its burst")
	}
}

func BenchmarkBucketTake(b *testing.B) {
	bucket := NewBucket(1e6, 0)
	now := epoch
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Microsecond)
		bucket.Take(now, 1)
	}
}
