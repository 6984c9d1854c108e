package queuetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"masar/queue"
)

func (g *model) outboxSome() { g.takeRows(g.accounts[g.rng.IntN(len(g.accounts))], g.rng.IntN(5)+1) }

// takeRows takes up to n deliveries: the first that nobody holds, in sequence.
func (g *model) takeRows(account uint32, n int) {
	g.Helper()
	var want []*row
	for _, o := range g.outbox[account] {
		if !o.held && len(want) < n {
			want = append(want, o)
		}
	}
	for i, d := range g.takeOutbox(account, len(want)) {
		if diff := differences(d, want[i].d, "Seq"); diff != "" {
			g.bad("outbox of %d: delivery %d differs: %s", account, i, diff)
		}
		want[i].d, want[i].held = d, true
		g.out = append(g.out, want[i])
	}
}

func (g *model) someRow() *row {
	if len(g.out) == 0 {
		return nil
	}
	return g.out[g.rng.IntN(len(g.out))]
}

func (g *model) deliveredOne() {
	o := g.someRow()
	if o == nil {
		return
	}
	g.durable(g.delivered(o.d, queue.Verdict(g.rng.IntN(3))))
	g.out = slices.DeleteFunc(g.out, func(p *row) bool { return p == o })
	g.outbox[o.d.Account] = slices.DeleteFunc(g.outbox[o.d.Account], func(p *row) bool { return p == o })
}

func (g *model) releaseDelivery() {
	if o := g.someRow(); o != nil {
		g.s.ReleaseOutbox(o.d)
		o.held = false
		g.out = slices.DeleteFunc(g.out, func(p *row) bool { return p == o })
	}
}

func (g *model) deliverOne() {
	if len(g.all) == 0 {
		return
	}
	d := g.receipt(g.all[g.rng.IntN(len(g.all))].m, queue.IntermediateReceipt)
	g.durable(&queue.Deliver{Delivery: d})
	g.put(d)
}

func (g *model) mobileOne() {
	ref := queue.MORef{Carrier: 7, Addresses: fmt.Sprint("9665", g.rng.IntN(3), "\x005550"), Ref: uint16(g.rng.IntN(2)), Total: 5}
	if len(g.mobile[ref]) > 2 {
		d := g.receipt(&queue.Message{Account: g.accounts[0]}, queue.Mobile)
		g.commit(&queue.Deliver{Delivery: d, MO: &ref})
		g.put(d)
		delete(g.mobile, ref)
	} else if n := uint8(g.rng.IntN(5) + 1); !slices.Contains(g.mobile[ref], n) {
		g.twice(g.mobilePart(ref, n))
		g.mobile[ref] = append(g.mobile[ref], n)
		slices.Sort(g.mobile[ref])
	}
	sets := g.mobileSets(g.clock.Now().Add(240*time.Hour), 100)
	if len(sets) != len(g.mobile) {
		g.bad("%d mobile sets, want %d", len(sets), len(g.mobile))
	}
	for _, set := range sets {
		have := []uint8{}
		for _, p := range set.Parts {
			have = append(have, p.Part)
		}
		r := queue.MORef{Carrier: set.Ref.Carrier, Ref: set.Ref.Ref, Total: set.Ref.Total}
		known := false
		for ref, parts := range g.mobile {
			r.Addresses = ref.Addresses
			known = known || ref == r && slices.Equal(parts, have) && strings.HasPrefix(string(set.Parts[0].Raw), ref.Addresses)
		}
		if !known {
			g.bad("mobile set %+v with parts %v, want one of %v", set.Ref, have, g.mobile)
		}
	}
}

func (g *model) nameOne() {
	name := fmt.Sprint("carrier ", g.rng.IntN(20))
	n := g.number(queue.CarrierName, name)
	if old, ok := g.names[name]; ok && old != n {
		g.bad("%s has number %d, had %d", name, n, old)
	}
	g.names[name] = n
	if got := g.s.Name(queue.CarrierName, n); got != name {
		g.bad("number %d is %q, want %q", n, got, name)
	}
}
