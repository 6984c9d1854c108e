package servicetest

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"

	"masar/number"
	"masar/service"
)

var crowdTests = []test{
	{name: "ApplyMayBeCalledByManyAtOnce", run: crowd},
	{name: "AStandingHoldsAsLongAsItsVersionStays", run: standingHolds},
	{name: "WhatWasAppliedIsThereAfterAPowerCut", run: powerCut},
}

func crowd(r *rig) {
	const callers, each = 16, 50
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				id := c*each + i
				out, err := r.r.Apply(r.ctx, service.Batch{Changes: []service.Change{
					{Kind: service.Enrol, Person: person(id), Number: num(i % 10), Services: codes("A"), Verified: true, Now: epoch, Channel: "c" + strconv.Itoa(c)},
					{Kind: service.SetNumber, Person: person(id), Number: num(100 + id), Verified: true, Now: epoch},
				}})
				if err != nil || out[0].Err != nil || out[1].Err != nil {
					r.Errorf("%+v %v", out, err)
					return
				}
				st, err := r.r.Lookup(r.ctx, num(100+id))
				if err != nil || st == nil || len(st.People) != 1 || st.People[0].Person != person(id) {
					r.Errorf("%+v %v", st, err)
				}
			}
		})
	}
	wg.Wait()
	r.both(func() {
		st, err := r.r.Stats(r.ctx)
		if err != nil || st.Subscribers != callers*each || st.Numbers != callers*each || st.Enrolled["A"] != callers*each {
			r.Errorf("%+v %v", st, err)
		}
	})
}

// standingHolds writes rising reasons into a few numbers while readers look: whoever holds
// a Standing whose Version has stayed must not be behind any change that has returned.
func standingHolds(r *rig) {
	const numbers, rounds = 4, 300
	var returned [numbers]atomic.Int64
	var done atomic.Bool
	var writers, readers sync.WaitGroup
	reason := func(n number.E164) (int64, uint64) {
		v := r.r.Version(n)
		st, err := r.r.Lookup(r.ctx, n)
		if err != nil {
			r.Errorf("Lookup: %v", err)
			return 0, v
		}
		if st == nil {
			return 0, v
		}
		i, _ := strconv.ParseInt(st.Block.Reason, 10, 64)
		return i, v
	}
	for k := range numbers {
		writers.Go(func() {
			for i := range int64(rounds) {
				_, err := r.r.Apply(r.ctx, service.Batch{Changes: []service.Change{
					{Kind: service.BlockNumber, Number: num(k), Block: service.Block{Scope: service.BlockAll, Reason: strconv.FormatInt(i+1, 10)}, Now: epoch},
				}})
				if err != nil {
					r.Errorf("Apply: %v", err)
					return
				}
				returned[k].Store(i + 1)
			}
		})
	}
	for seed := range uint64(4) {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 1))
			for !done.Load() {
				k := rng.IntN(numbers)
				saw, version := reason(num(k))
				for range 3 {
					known := returned[k].Load()
					if r.r.Version(num(k)) == version && saw < known {
						r.Errorf("change %d has returned, the version stayed, and the standing is that of change %d", known, saw)
						return
					}
				}
				if rng.IntN(4) == 0 { // crowds the cache, so that rows are read again
					for i := range 200 {
						r.r.Lookup(r.ctx, num(1000+rng.IntN(100_000)+i))
					}
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
}

// powerCut cuts the power again and again while batches come: each that returned before is
// there whole, any other whole or not at all.
func powerCut(r *rig) {
	if r.env.Media.Cut == nil {
		r.Skip("this media cannot show a power cut")
	}
	rng := rand.New(rand.NewPCG(5, 6))
	next := 0
	for round := range 8 {
		const batches = 30
		cutAt := rng.IntN(batches)
		var mu sync.Mutex
		var state any
		before := map[int]bool{}
		var wg sync.WaitGroup
		for b := range batches {
			i := next
			next++
			wg.Go(func() {
				_, err := r.r.Apply(r.ctx, service.Batch{
					Changes: []service.Change{
						{Kind: service.Enrol, Person: person(i), Number: num(i), Services: codes("A"), Verified: true, Now: epoch},
						{Kind: service.SetNumber, Person: person(i), Number: num(100_000 + i), Verified: true, Now: epoch},
					},
					Bookmark: &service.Bookmark{Job: strconv.Itoa(i), Line: 7, At: epoch},
				})
				if err != nil {
					r.Errorf("Apply: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if state == nil {
					before[i] = true
					if b == cutAt || len(before) > cutAt {
						state = r.env.Media.Cut([]int{0, 50, 100}[round%3])
					}
				}
			})
		}
		wg.Wait()
		if err := r.r.Close(); err != nil {
			r.Fatal(err)
		}
		r.env.Media.State = state
		r.r = r.open(r.T, r.env)
		var there int64
		for i := range next {
			_, err := r.r.Find(r.ctx, person(i))
			m, errMark := r.r.Bookmark(r.ctx, strconv.Itoa(i))
			if errMark != nil {
				r.Fatal(errMark)
			}
			switch {
			case err == nil:
				there++
				if p := r.find(person(i)); p.Number != num(100_000+i) || m.Line != 7 || len(r.history(person(i))) != 2 {
					r.Fatalf("half of batch %d is there: %+v %+v", i, p, m)
				}
			case before[i]:
				r.Fatalf("batch %d had returned and is gone: %v", i, err)
			case m.Line != 0 || r.lookup(num(i)) != nil || r.lookup(num(100_000+i)) != nil:
				r.Fatalf("half of batch %d is there", i)
			}
		}
		st, err := r.r.Stats(r.ctx)
		if err != nil || st.Subscribers != there || st.Enrolled["A"] != there {
			r.Fatalf("%d are there, Stats say %+v %v", there, st, err)
		}
	}
}
