package queuetest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"masar/queue"
)

var mobileTests = []test{
	{name: "PartsOfAMobileMessageAreKeptUntilItIsDelivered", run: mobileParts},
	{name: "MobileSetsDoNotMix", run: mobileApart},
	{name: "MobileSetsAreListedByAge", run: mobileAge},
	{name: "AnUnmatchedReceiptIsKeptAndDisturbsNothing", run: unmatched},
}

func (r *rig) mobileSets(before time.Time, limit int) []queue.MOSet {
	r.Helper()
	sets, err := r.s.MOSets(r.ctx, before, limit)
	if err != nil {
		r.Fatalf("MOSets: %v", err)
	}
	return sets
}

// wantParts fails unless a set has exactly these parts.
func (r *rig) wantParts(what string, set queue.MOSet, ref queue.MORef, parts ...uint8) {
	r.Helper()
	var got []uint8
	for _, p := range set.Parts {
		got = append(got, p.Part)
		if want := fmt.Appendf(nil, "%s part %d", ref.Addresses, p.Part); !bytes.Equal(p.Raw, want) {
			r.Errorf("%s: part %d is %q, want %q", what, p.Part, p.Raw, want)
		}
	}
	if !slices.Equal(got, parts) || set.Ref.Carrier != ref.Carrier || set.Ref.Ref != ref.Ref || set.Ref.Total != ref.Total {
		r.Errorf("%s: set %+v has parts %v, want %+v with %v", what, set.Ref, got, ref, parts)
	}
}

func (r *rig) mobilePart(ref queue.MORef, n uint8) *queue.MOPart {
	return &queue.MOPart{Set: ref, Part: n, Raw: fmt.Appendf(nil, "%s part %d", ref.Addresses, n), At: r.clock.at()}
}

func mobileParts(r *rig) {
	ref := queue.MORef{Carrier: 7, Addresses: "966500000001\x005550", Ref: 0xfffe, Total: 4}
	far := r.clock.Now().Add(time.Hour)
	if sets := r.mobileSets(far, 10); len(sets) > 0 {
		r.Fatalf("%d sets at first", len(sets))
	}
	have := []uint8{}
	for _, n := range []uint8{3, 1, 4} {
		r.twice(r.mobilePart(ref, n))
		have = append(have, n)
		slices.Sort(have)
		for _, again := range []func(){func() {}, r.restart, func() { r.crash(0) }} {
			again()
			sets := r.mobileSets(far, 10)
			if len(sets) != 1 {
				r.Fatalf("%d sets after part %d, want 1", len(sets), n)
			}
			r.wantParts(fmt.Sprint("after part ", n), sets[0], ref, have...)
		}
	}
	r.commit(r.mobilePart(ref, 2)) // after a restart: the set is the same
	set := r.mobileSets(far, 10)[0]
	r.wantParts("whole", set, ref, 1, 2, 3, 4)
	m := r.message(1, queue.Normal)
	d := r.receipt(m, queue.Mobile)
	r.twice(&queue.Deliver{Delivery: d, MO: &set.Ref}) // named as MOSets named it
	for range 2 {
		if sets := r.mobileSets(far, 10); len(sets) > 0 {
			r.Errorf("%d sets are left: %+v", len(sets), sets[0])
		}
		r.wantDepths("after Deliver", map[any]int64{uint32(1): 1})
		if got := r.takeOutbox(1, 1)[0]; differences(got, d) != "" {
			r.Errorf("the delivery differs: %s", differences(got, d))
		}
		r.restart()
	}
}

func mobileApart(r *rig) {
	base := queue.MORef{Carrier: 7, Addresses: "966500000001\x005550", Ref: 9, Total: 3}
	refs := []queue.MORef{base, base, base, base, base}
	refs[1].Carrier, refs[2].Addresses, refs[3].Ref, refs[4].Total = 8, "966500000002\x005550", 10, 2
	var steps []queue.Step
	for _, ref := range refs {
		steps = append(steps, r.mobilePart(ref, 1), r.mobilePart(ref, 2))
	}
	r.twice(steps...)
	far := r.clock.Now().Add(time.Hour)
	if sets := r.mobileSets(far, 100); len(sets) != len(refs) {
		r.Fatalf("%d sets, want %d", len(sets), len(refs))
	}
	if sets := r.mobileSets(far, 3); len(sets) != 3 {
		r.Errorf("%d sets, 3 asked", len(sets))
	}
	for i, ref := range refs {
		r.commit(&queue.Deliver{Delivery: r.receipt(r.message(1, queue.Normal), queue.Mobile), MO: &ref})
		if sets := r.mobileSets(far, 100); len(sets) != len(refs)-i-1 {
			r.Errorf("%d sets after %d deliveries, want %d", len(sets), i+1, len(refs)-i-1)
		}
	}
	r.restart()
	if sets := r.mobileSets(far, 100); len(sets) != 0 {
		r.Errorf("after a restart %d sets, want none", len(sets))
	}
	r.wantDepths("in the end", map[any]int64{uint32(1): int64(len(refs))})
	// A reference comes around again: the new set has nothing of the old one.
	r.commit(r.mobilePart(base, 3))
	if sets := r.mobileSets(far, 100); len(sets) != 1 {
		r.Errorf("%d sets, want 1", len(sets))
	} else {
		r.wantParts("the new set", sets[0], base, 3)
	}
}

// mobileAge: a set is as old as its first part.
func mobileAge(r *rig) {
	old := queue.MORef{Carrier: 7, Addresses: "966500000001\x005550", Ref: 1, Total: 3}
	young := queue.MORef{Carrier: 7, Addresses: "966500000002\x005550", Ref: 1, Total: 3}
	begun := r.clock.at()
	r.commit(r.mobilePart(old, 2))
	r.clock.add(10 * time.Minute)
	r.commit(r.mobilePart(old, 1), r.mobilePart(young, 1))
	for range 2 {
		sets := r.mobileSets(r.clock.Now().Add(-5*time.Minute), 10)
		if len(sets) != 1 || sets[0].Begun != begun {
			r.Fatalf("before: %+v, want one set begun at %v", sets, begun)
		}
		r.wantParts("the older", sets[0], old, 1, 2)
		if sets := r.mobileSets(r.clock.Now().Add(time.Second), 10); len(sets) != 2 {
			r.Errorf("%d sets in all, want 2", len(sets))
		}
		if sets := r.mobileSets(begun.Time().Add(-time.Second), 10); len(sets) != 0 {
			r.Errorf("%d sets from before the first, want none", len(sets))
		}
		r.restart()
	}
}

// unmatched: the interface has no way to read these rows again, so no more is asked
// than that they are taken and nothing finds them as if they were sent.
func unmatched(r *rig) {
	sent := r.sent(7, "u1")
	for i := range 5 {
		r.twice(&queue.Unmatched{Carrier: 7, CarrierID: fmt.Sprint("un", i%2), Raw: []byte("deliver_sm"), Why: "unknown id", At: r.clock.at()})
	}
	r.commit(&queue.Unmatched{Carrier: 7, CarrierID: "u1", Raw: []byte("deliver_sm"), Why: "other destination", At: r.clock.at()})
	r.commit(&queue.Unmatched{Carrier: 7, Raw: nil, Why: "", At: 0})
	for range 2 {
		if ref := r.found(7, "un0"); ref != nil {
			r.Errorf("an unmatched receipt is found as %+v", ref.Info)
		}
		if ref := r.correlate(7, "u1"); ref.M.ID != sent["u1"] {
			r.Errorf("u1 finds %v", ref.M.ID)
		}
		r.wantDepths("with unmatched receipts", map[any]int64{})
		r.restart()
	}
}
