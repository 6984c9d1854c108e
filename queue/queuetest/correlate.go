package queuetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"masar/queue"
	"masar/smpp/pdu"
)

var correlateTests = []test{
	{name: "AReceiptIsFoundByAnyOfItsCandidates", run: candidates},
	{name: "AReceiptIsFoundInAnotherLetterCase", run: letterCase},
	{name: "AnotherCarriersIDNeverMatches", run: otherCarrier},
	{name: "OneIDIsNotTheBeginningOfAnother", run: prefixes},
	{name: "ManyReceiptsAreFoundInOnePass", run: manyLookups},
	{name: "AnIDUsedAgainByItsCarrierFindsTheNewMessage", run: reusedID},
	{name: "AReceiptMustAgreeWithTheDestination", run: lookupDest},
	{name: "AReceiptAfterTheEndFindsAFinalMessageOrNone", run: lateReceipt},
	{name: "CorrelateOfManyCarriersAtOnce", run: correlateConcurrently},
}

// found looks one receipt up; nil when nothing matches.
func (r *rig) found(carrier uint32, forms ...string) *queue.Ref {
	r.Helper()
	q := []queue.Lookup{{IDs: forms}}
	if err := r.s.Correlate(r.ctx, carrier, q); err != nil {
		r.Fatalf("Correlate(%d, %v): %v", carrier, forms, err)
	}
	if ref := q[0].Found; ref != nil && ref.M == nil {
		r.Fatalf("Correlate(%d, %v) found a ref without its message: %+v", carrier, forms, ref)
	}
	return q[0].Found
}

// correlate is found, of what must be there.
func (r *rig) correlate(carrier uint32, forms ...string) *queue.Ref {
	r.Helper()
	ref := r.found(carrier, forms...)
	if ref == nil {
		r.Fatalf("carrier %d's id %v is not found", carrier, forms)
	}
	return ref
}

// sent sends one message for each carrier id and gives their ids.
func (r *rig) sent(carrier uint32, carrierIDs ...string) map[string]queue.ID {
	r.Helper()
	l := lane(1, queue.Normal)
	out := map[string]queue.ID{}
	ms := r.accept(l, len(carrierIDs))
	var steps []queue.Step
	for i, c := range r.take(l, len(ms)) {
		c.M.Attempt = 1
		steps = append(steps, r.part(c, 1, 1, carrier, carrierIDs[i]))
		out[carrierIDs[i]] = c.M.ID
	}
	r.commit(steps...)
	return out
}

func candidates(r *rig) {
	sent := r.sent(7, "1a2b", "6699", "1715")
	for _, restart := range []bool{false, true} {
		if restart {
			r.restart()
		}
		for _, row := range []struct {
			name string
			ids  []string
			want string
			form int
		}{
			{"the only form", []string{"1a2b"}, "1a2b", 0},
			{"the second form", []string{"dead", "6699"}, "6699", 1},
			{"the third form", []string{"dead", "beef", "1715"}, "1715", 2},
			{"two match: the likelier", []string{"1715", "6699"}, "1715", 0},
			{"no form matches", []string{"dead", "beef"}, "", 0},
			{"no form at all", nil, "", 0},
			{"an empty form", []string{""}, "", 0},
		} {
			q := []queue.Lookup{{IDs: row.ids}}
			if err := r.s.Correlate(r.ctx, 7, q); err != nil {
				r.Fatalf("%s: %v", row.name, err)
			}
			ref := q[0].Found
			switch {
			case row.want == "" && ref != nil:
				r.Errorf("%s: found %v", row.name, ref.M.ID)
			case row.want == "":
			case ref == nil:
				r.Errorf("%s: nothing found", row.name)
			case ref.M.ID != sent[row.want] || ref.Info.CarrierID != row.want || q[0].Form != row.form:
				r.Errorf("%s: found %v by form %d, want %v by form %d", row.name, ref.M.ID, q[0].Form, sent[row.want], row.form)
			}
		}
	}
}

// letterCase: a response may spell its id in capitals and the receipt not, and the other way round.
func letterCase(r *rig) {
	sent := r.sent(7, "AB12CD", "ef56ab")
	for range 2 {
		for _, id := range []string{"ab12cd", "AB12CD", "Ab12cD"} {
			if ref := r.found(7, id); ref == nil || ref.M.ID != sent["AB12CD"] {
				r.Errorf("AB12CD is not found as %s", id)
			}
		}
		for _, id := range []string{"ef56ab", "EF56AB"} {
			if ref := r.found(7, id); ref == nil || ref.M.ID != sent["ef56ab"] {
				r.Errorf("ef56ab is not found as %s", id)
			}
		}
		r.restart()
	}
	ref := r.correlate(7, "ab12cd")
	r.twice(&queue.Final{Ref: ref, State: pdu.StateDelivered, At: r.clock.at()})
	for range 2 {
		for _, id := range []string{"ab12cd", "AB12CD"} {
			if ref := r.found(7, id); ref != nil && !ref.Finalised {
				r.Errorf("%s is still correlated after the end", id)
			}
		}
		r.restart()
	}
}

func otherCarrier(r *rig) {
	seven, eight := r.sent(7, "same", "only7"), r.sent(8, "same")
	for range 2 {
		for carrier, want := range map[uint32]queue.ID{7: seven["same"], 8: eight["same"]} {
			if ref := r.correlate(carrier, "same"); ref.M.ID != want || ref.Info.Carrier != carrier {
				r.Errorf("carrier %d's id finds %v of carrier %d, want %v", carrier, ref.M.ID, ref.Info.Carrier, want)
			}
		}
		for _, carrier := range []uint32{0, 6, 8, 9, 7 << 8} {
			if ref := r.found(carrier, "only7"); ref != nil {
				r.Errorf("carrier %d finds carrier 7's message %v", carrier, ref.M.ID)
			}
		}
		r.restart()
	}
	r.commit(&queue.Final{Ref: r.correlate(7, "same"), State: pdu.StateDelivered, At: r.clock.at()})
	if ref := r.correlate(8, "same"); ref.M.ID != eight["same"] || ref.Finalised {
		r.Errorf("after the end of carrier 7's message carrier 8's id finds %v, finalised %v", ref.M.ID, ref.Finalised)
	}
}

func prefixes(r *rig) {
	names := []string{"1", "12", "123", "1234", "1-2", "1 2", "1.2"}
	sent := r.sent(7, names...)
	for range 2 {
		for _, name := range names {
			if ref := r.found(7, name); ref == nil || ref.M.ID != sent[name] {
				r.Errorf("%q finds %+v, want %v", name, ref, sent[name])
			}
		}
		for _, name := range []string{"", "0", "13", "12345", "1-", "11"} {
			if ref := r.found(7, name); ref != nil {
				r.Errorf("%q finds %q", name, ref.Info.CarrierID)
			}
		}
		r.restart()
	}
}

func manyLookups(r *rig) {
	var names []string
	for i := range 600 {
		names = append(names, fmt.Sprintf("%x", i*7919))
	}
	sent := r.sent(7, names...)
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 3 {
		var q []queue.Lookup
		var want []queue.ID
		for _, i := range rng.Perm(len(names)) {
			q = append(q, queue.Lookup{IDs: []string{fmt.Sprint("miss", i), names[i]}})
			want = append(want, sent[names[i]])
			if i%5 == 0 { // an unknown one, and the same one again
				q = append(q, queue.Lookup{IDs: []string{fmt.Sprint("unknown", i)}}, queue.Lookup{IDs: []string{names[i]}})
				want = append(want, 0, sent[names[i]])
			}
		}
		if err := r.s.Correlate(r.ctx, 7, q); err != nil {
			r.Fatal(err)
		}
		for i, l := range q {
			switch {
			case want[i] == 0 && l.Found != nil:
				r.Fatalf("round %d: %v found %v", round, l.IDs, l.Found.M.ID)
			case want[i] != 0 && (l.Found == nil || l.Found.M.ID != want[i] || l.IDs[l.Form] != l.Found.Info.CarrierID):
				r.Fatalf("round %d: %v found %+v by form %d, want %v", round, l.IDs, l.Found, l.Form, want[i])
			}
		}
		r.restart()
	}
	var steps []queue.Step
	for _, name := range names[:300] {
		steps = append(steps, &queue.Final{Ref: r.correlate(7, name), State: pdu.StateDelivered, At: r.clock.at()})
	}
	r.twice(steps...)
	for i, name := range names {
		switch ref := r.found(7, name); {
		case i < 300 && ref != nil && !ref.Finalised, i >= 300 && (ref == nil || ref.Finalised):
			r.Fatalf("after half have ended number %d finds %+v", i, ref)
		}
	}
	if err := r.s.Correlate(r.ctx, 7, nil); err != nil {
		r.Errorf("Correlate of nothing: %v", err)
	}
}

// reusedID: carriers count in few digits. The older message is final; its id must lead to
// the newer one.
func reusedID(r *rig) {
	first := r.sent(7, "0042")["0042"]
	r.commit(&queue.Final{Ref: r.correlate(7, "0042"), State: pdu.StateDelivered, At: r.clock.at()})
	second := r.sent(7, "0042")["0042"]
	for range 2 {
		if ref := r.correlate(7, "0042"); ref.M.ID != second || ref.Finalised {
			r.Errorf("the id finds %v (finalised %v), want %v and not %v", ref.M.ID, ref.Finalised, second, first)
		}
		r.restart()
	}
	r.commit(&queue.Final{Ref: r.correlate(7, "0042"), State: pdu.StateExpired, At: r.clock.at()})
	r.wantStage(first, queue.Ended, pdu.StateDelivered)
	r.wantStage(second, queue.Ended, pdu.StateExpired)
}

// lateReceipt: the second receipt of a message may find it Finalised, or nothing. It must
// not find it open, and a Final by it must not end the message again.
func lateReceipt(r *rig) {
	id := r.sent(7, "late")["late"]
	early := r.correlate(7, "late")
	final := func(ref *queue.Ref, s pdu.State) queue.Step {
		return &queue.Final{Ref: ref, State: s, At: r.clock.at(), Deliver: r.receipt(ref.M, queue.FinalReceipt)}
	}
	r.commit(final(r.correlate(7, "late"), pdu.StateUndeliverable))
	for range 2 {
		ref := r.found(7, "late")
		if ref != nil {
			if !ref.Finalised {
				r.Error("a final message is found and not Finalised")
			}
			r.send(final(ref, pdu.StateDelivered)).wait()
		}
		r.send(final(early, pdu.StateDelivered)).wait()
		r.wantStage(id, queue.Ended, pdu.StateUndeliverable)
		r.wantDepths("after late receipts", map[any]int64{uint32(1): 1})
		r.restart()
	}
}

func correlateConcurrently(r *rig) {
	names := strings.Fields("c0 c1 c2 c3 c4 c5 c6 c7 c8 c9")
	sent := map[uint32]map[string]queue.ID{}
	for carrier := uint32(1); carrier <= 4; carrier++ {
		sent[carrier] = r.sent(carrier, names...)
	}
	var wg sync.WaitGroup
	for carrier, want := range sent {
		for range 2 {
			wg.Go(func() {
				for range 50 {
					q := make([]queue.Lookup, len(names))
					for i, name := range names {
						q[i].IDs = []string{name}
					}
					if err := r.s.Correlate(r.ctx, carrier, q); err != nil {
						r.Errorf("Correlate: %v", err)
						return
					}
					for i, name := range names {
						if f := q[i].Found; f == nil || f.M.ID != want[name] {
							r.Errorf("carrier %d's %s found %+v", carrier, name, f)
							return
						}
					}
				}
			})
		}
	}
	wg.Wait()
}

// lookupDest: a carrier gave one id to two messages; the number in the receipt tells them apart.
// Compared are the last eight digits: before them prefixes come and go.
func lookupDest(r *rig) {
	l := lane(1, queue.Normal)
	ms := r.accept(l, 2)
	dests := []string{ms[0].Dest.Addr, ms[1].Dest.Addr}
	var steps []queue.Step
	for _, c := range r.take(l, 2) {
		c.M.Attempt = 1
		steps = append(steps, r.part(c, 1, 1, 7, "twin"))
	}
	r.commit(steps...)
	look := func(dest string) *queue.Ref {
		q := []queue.Lookup{{IDs: []string{"none", "twin"}, Dest: dest}}
		if err := r.s.Correlate(r.ctx, 7, q); err != nil {
			r.Fatal(err)
		}
		return q[0].Found
	}
	for range 2 {
		for i, dest := range dests {
			for _, written := range []string{dest, "00" + dest, "0" + dest[len(dest)-9:], dest[len(dest)-8:]} {
				if ref := look(written); ref == nil || ref.M.ID != ms[i].ID {
					r.Errorf("the receipt about %q finds %+v, want %v", written, ref, ms[i].ID)
				}
			}
		}
		if ref := look("966599999999"); ref != nil {
			r.Errorf("the receipt about another number finds %v", ref.M.ID)
		}
		if ref := look(""); ref == nil || ref.M.ID != ms[0].ID && ref.M.ID != ms[1].ID {
			r.Errorf("the receipt without a number finds %+v, want either", ref)
		}
		r.restart()
	}
	r.commit(&queue.Final{Ref: look(dests[1]), State: pdu.StateDelivered, At: r.clock.at()})
	if ref := look(dests[0]); ref == nil || ref.Finalised || ref.M.ID != ms[0].ID {
		r.Errorf("after the end of its twin the other is found as %+v", ref)
	}
	if ref := look(dests[1]); ref != nil && !ref.Finalised {
		r.Errorf("the ended one is found as %+v", ref.Info)
	}
}
