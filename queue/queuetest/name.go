package queuetest

import (
	"fmt"
	"sync"

	"masar/queue"
)

var nameTests = []test{
	{name: "NamesKeepTheirNumbers", run: numbers},
	{name: "ANameGetsOneNumberThoughManyAsk", run: numberRace},
}

func (r *rig) number(kind queue.NameKind, name string) uint32 {
	r.Helper()
	n, err := r.s.Number(r.ctx, kind, name)
	if err != nil {
		r.Fatalf("Number(%d, %q): %v", kind, name, err)
	}
	return n
}

func numbers(r *rig) {
	type key struct {
		kind queue.NameKind
		name string
	}
	given := map[key]uint32{}
	kinds := []queue.NameKind{queue.AccountName, queue.CarrierName, queue.GroupName}
	for round := range 4 {
		for _, kind := range kinds {
			for _, name := range []string{"a", "A", "ab", "a\x00b", "الأحوال", fmt.Sprint("round ", round)} {
				n, k := r.number(kind, name), key{kind, name}
				if old, ok := given[k]; ok && n != old {
					r.Errorf("round %d: kind %d name %q has number %d, had %d", round, kind, name, n, old)
				}
				if n == 0 || kind == queue.GroupName && n > 0xffff {
					r.Errorf("round %d: kind %d name %q has number %d", round, kind, name, n)
				}
				given[k] = n
				if got := r.s.Name(kind, n); got != name {
					r.Errorf("round %d: number %d of kind %d is %q, want %q", round, n, kind, got, name)
				}
			}
			if got := r.s.Name(kind, 0) + r.s.Name(kind, 4000); got != "" {
				r.Errorf("unknown numbers of kind %d are named %q", kind, got)
			}
		}
		if round%2 == 0 {
			r.crash(0)
		} else {
			r.restart()
		}
	}
	for _, kind := range kinds {
		first, seen := false, map[uint32]string{}
		for k, n := range given {
			if k.kind != kind {
				continue
			}
			if other, ok := seen[n]; ok {
				r.Errorf("kind %d: %q and %q share number %d", kind, k.name, other, n)
			}
			seen[n], first = k.name, first || n == 1
		}
		if !first {
			r.Errorf("no name of kind %d has number 1", kind)
		}
	}
}

func numberRace(r *rig) {
	const names, askers = 20, 8
	var got [askers][names]uint32
	var wg sync.WaitGroup
	for i := range askers {
		wg.Go(func() {
			for n := range names {
				number, err := r.s.Number(r.ctx, queue.CarrierName, fmt.Sprint("carrier ", n))
				if err != nil {
					r.Errorf("Number: %v", err)
				}
				got[i][n] = number
			}
		})
	}
	wg.Wait()
	seen := map[uint32]bool{}
	for n := range names {
		for i := range askers {
			if got[i][n] != got[0][n] {
				r.Errorf("name %d has numbers %d and %d", n, got[0][n], got[i][n])
			}
		}
		if seen[got[0][n]] {
			r.Errorf("number %d was given twice", got[0][n])
		}
		seen[got[0][n]] = true
	}
}
