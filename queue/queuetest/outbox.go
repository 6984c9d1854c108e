package queuetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var outboxTests = []test{
	{name: "AnOutboxGivesItsDeliveriesInSequence", run: outboxOrder},
	{name: "DeliveriesKeepEveryField", run: deliveryFields},
	{name: "OutboxesDoNotMix", run: outboxesApart},
	{name: "AReleasedDeliveryComesBackInItsPlace", run: outboxRelease},
	{name: "EveryVerdictEndsADelivery", run: verdicts},
	{name: "WhatWasNotAcknowledgedComesAgainAfterARestart", run: redelivery},
	{name: "ALongOutboxIsGivenOnceAndInOrderWhileMoreComesIn", env: Env{ReadAhead: 16}, run: longOutbox},
	{name: "AFullOutboxLosesItsOldest", env: Env{OutboxMax: 50}, run: outboxMax},
	{name: "SequencesNeverRepeat", run: outboxSeq},
	{name: "ADeliveryHandedOverTwiceIsOne", run: deliverTwice},
}

// deliver puts n intermediate receipts into an account's outbox.
func (r *rig) deliver(account uint32, n int) []*queue.Delivery {
	r.Helper()
	out, steps := make([]*queue.Delivery, n), make([]queue.Step, n)
	for i := range out {
		r.made++
		m := &queue.Message{ID: queue.ID(epoch.UnixMicro()<<10 + int64(r.made)<<10), Account: account}
		out[i] = r.receipt(m, queue.IntermediateReceipt)
		steps[i] = &queue.Deliver{Delivery: out[i]}
	}
	r.commit(steps...)
	return out
}

func about(d []*queue.Delivery) []queue.ID {
	out := make([]queue.ID, len(d))
	for i := range d {
		out[i] = d[i].Message
	}
	return out
}

// wantOutbox takes len(want) deliveries and fails unless they are these, in this order.
func (r *rig) wantOutbox(what string, account uint32, want []*queue.Delivery) []*queue.Delivery {
	r.Helper()
	got := r.takeOutbox(account, len(want))
	if !slices.Equal(about(got), about(want)) {
		r.Fatalf("%s: the outbox of account %d gave %v, want %v", what, account, about(got), about(want))
	}
	return got
}

func (r *rig) delivered(d *queue.Delivery, v queue.Verdict) *queue.Delivered {
	return &queue.Delivered{Account: d.Account, Seq: d.Seq, Verdict: v}
}

func outboxOrder(r *rig) {
	var want []*queue.Delivery
	for i := range 20 {
		want = append(want, r.deliver(1, i%3+1)...)
	}
	for _, when := range []string{"from memory", "after a restart"} {
		got := r.wantOutbox(when, 1, want)
		for i := range got[1:] {
			if got[i+1].Seq <= got[i].Seq {
				r.Fatalf("%s: seq %d after %d", when, got[i+1].Seq, got[i].Seq)
			}
		}
		r.noOutbox(1)
		r.restart()
	}
}

func deliveryFields(r *rig) {
	m := r.message(7, queue.Normal)
	m.ID = queue.ID(epoch.UnixMicro() << 10)
	final, mobile := r.receipt(m, queue.FinalReceipt), r.receipt(m, queue.Mobile)
	mobile.Message, mobile.ShortMessage = 0, make([]byte, 1000)
	bare := &queue.Delivery{Account: 7, Kind: queue.Mobile, Expires: r.clock.in(1e9)}
	want := []*queue.Delivery{final, mobile, bare}
	for _, d := range want {
		r.commit(&queue.Deliver{Delivery: d})
		if d.Seq == 0 {
			r.Error("Deliver left Seq zero")
		}
	}
	for _, when := range []string{"from memory", "after a restart"} {
		for i, d := range r.takeOutbox(7, 3) {
			if diff := differences(d, want[i]); diff != "" {
				r.Errorf("%s delivery %d differs: %s", when, i, diff)
			}
		}
		r.restart()
	}
}

func outboxesApart(r *rig) {
	want := map[uint32][]*queue.Delivery{}
	for i := range 30 {
		account := []uint32{1, 2, 256, 1 << 24}[i%4]
		want[account] = append(want[account], r.deliver(account, i%3+1)...)
	}
	for range 2 {
		depths := map[any]int64{}
		for account, d := range want {
			depths[account] = int64(len(d))
			r.wantOutbox("alone", account, d)
			r.noOutbox(account)
		}
		r.noOutbox(3)
		r.wantDepths("of outboxes", depths)
		r.restart()
	}
}

func outboxRelease(r *rig) {
	want := r.deliver(1, 5)
	got := r.takeOutbox(1, 4)
	r.s.ReleaseOutbox(got[2])
	r.s.ReleaseOutbox(got[0])
	r.wantOutbox("after two releases", 1, []*queue.Delivery{want[0], want[2], want[4]})
	r.noOutbox(1)
	r.wantDepths("while held", map[any]int64{uint32(1): 5})
	r.twice(r.delivered(got[1], queue.Acknowledged))
	r.s.ReleaseOutbox(got[1]) // too late: it is gone
	r.noOutbox(1)
	r.wantDepths("after one ended", map[any]int64{uint32(1): 4})
	r.restart()
	r.wantOutbox("after a restart", 1, []*queue.Delivery{want[0], want[2], want[3], want[4]})
}

func verdicts(r *rig) {
	want := r.deliver(1, 4)
	got := r.wantOutbox("at first", 1, want)
	for i, v := range []queue.Verdict{queue.Acknowledged, queue.Refused, queue.Undelivered} {
		r.twice(r.delivered(got[i], v))
		r.wantDepths(fmt.Sprint("after verdict ", v), map[any]int64{uint32(1): int64(3 - i)})
	}
	r.restart()
	got = r.wantOutbox("after a restart", 1, want[3:])
	r.noOutbox(1)
	r.twice(r.delivered(got[0], queue.Acknowledged))
	r.crash(0)
	r.noOutbox(1)
	r.wantDepths("in the end", map[any]int64{})
	// An acknowledgement may come for what was released, even for what nobody holds.
	want = r.deliver(1, 2)
	got = r.wantOutbox("again", 1, want)
	r.s.ReleaseOutbox(got[0])
	r.twice(r.delivered(got[0], queue.Acknowledged))
	r.noOutbox(1)
	r.wantDepths("after a late acknowledgement", map[any]int64{uint32(1): 1})
}

func redelivery(r *rig) {
	want := r.deliver(1, 6)
	for i := range 5 {
		got := r.wantOutbox(fmt.Sprint("round ", i), 1, want)
		r.commit(r.delivered(got[1], queue.Acknowledged)) // not the head: the rest keeps its order
		want = append(slices.Clone(want[:1]), want[2:]...)
		if i%2 == 0 {
			r.crash(0)
		} else {
			r.restart()
		}
		r.wantDepths(fmt.Sprint("after round ", i), map[any]int64{uint32(1): int64(len(want))})
	}
	r.wantOutbox("in the end", 1, want)
}

func longOutbox(r *rig) {
	const first, more = 3000, 2000
	for range first / 100 {
		r.deliver(1, 100)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range more / 20 {
			steps := make([]queue.Step, 20)
			for i := range steps {
				d := r.receipt(&queue.Message{ID: 1 << 40, Account: 1}, queue.IntermediateReceipt)
				steps[i] = &queue.Deliver{Delivery: d}
			}
			k := newTicket()
			if err := r.s.Commit(r.ctx, k, steps...); err != nil {
				r.Errorf("Commit: %v", err)
				return
			}
			k.wait()
		}
	})
	last := uint64(0)
	for n := 0; n < first+more; {
		got := r.takeOutbox(1, min(25, first+more-n))
		steps := make([]queue.Step, len(got))
		for i, d := range got {
			if d.Seq <= last {
				r.Fatalf("delivery %d has seq %d, after %d", n+i, d.Seq, last)
			}
			last = d.Seq
			steps[i] = r.delivered(d, queue.Acknowledged)
		}
		n += len(got)
		r.send(steps...)
	}
	wg.Wait()
	r.noOutbox(1)
	r.wantDepths("in the end", map[any]int64{})
}

func outboxMax(r *rig) {
	var all []*queue.Delivery
	for range 9 {
		all = append(all, r.deliver(1, 10)...)
	}
	other := r.deliver(2, 20)
	for late := time.Now().Add(patience); r.depths()[uint32(1)] > 50; r.settle() {
		if time.Now().After(late) { // no event tells of it: asked again behind each commit
			r.Fatalf("%d deliveries wait, the bound is 50", r.depths()[uint32(1)])
		}
	}
	n := int(r.waiting()[uint32(1)])
	if n < 40 {
		r.Errorf("%d of 90 deliveries are left, the bound is 50", n)
	}
	for range 2 {
		r.wantOutbox("the newest", 1, all[len(all)-n:])
		r.noOutbox(1)
		r.wantOutbox("another account's", 2, other)
		r.restart()
	}
	r.wantDepths("in the end", map[any]int64{uint32(1): int64(n), uint32(2): 20})
}

func outboxSeq(r *rig) {
	seen := map[uint64]bool{}
	last := uint64(0)
	for i := range 6 {
		r.deliver(1, 3)
		for _, d := range r.takeOutbox(1, 3) {
			if seen[d.Seq] || d.Seq <= last {
				r.Fatalf("seq %d after %d", d.Seq, last)
			}
			seen[d.Seq], last = true, d.Seq
			r.commit(r.delivered(d, queue.Acknowledged))
		}
		if i%2 == 0 {
			r.clock.add(-3600e9)
			r.restart()
		} else {
			r.crash(0)
		}
	}
}

// deliverTwice: Seq is set by the first time, so the second is known for what it is.
func deliverTwice(r *rig) {
	m := r.accept(lane(1, queue.Normal), 1)[0]
	step := &queue.Deliver{Delivery: r.receipt(m, queue.IntermediateReceipt)}
	r.twice(step)
	got := r.takeOutbox(1, 1)
	r.noOutbox(1)
	r.commit(r.delivered(got[0], queue.Acknowledged))
	f := r.final(r.takeOne(lane(1, queue.Normal)), pdu.StateDelivered)
	f.Deliver = r.receipt(m, queue.FinalReceipt)
	r.commit(f, f) // the same step twice in one Commit
	r.again(f)
	r.takeOutbox(1, 1)
	r.noOutbox(1)
	r.restart()
	r.takeOutbox(1, 1)
	r.noOutbox(1)
}
