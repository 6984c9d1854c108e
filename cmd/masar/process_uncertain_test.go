package main

import (
	"testing"

	"masar/smpp/smppload"
)

// With uncertain: fail nothing is ever sent twice, at the price that what was on the wire
// ends without reaching anybody for certain.
func TestNothingGoesTwiceOverARouteThatFailsWhatIsUncertain(t *testing.T) {
	killed(t, min(5, envInt(t, "KILLS", 5)), "fail", func(b killBooks) {
		for life, doubles := range b.arrived.double {
			t.Errorf("life %d: %d parts went twice, as %+v", life, len(doubles), doubles[0])
		}
		uncertain := 0
		for n, o := range b.load.Ledger.All {
			if o.Has(smppload.Accepted) && b.arrived.whole[n] == 0 {
				uncertain++
			}
		}
		// A message of parts counts once for each kill at most.
		if bound := b.kills * (killCarrierBinds*killCarrierWindow + killUnrecorded); uncertain > bound {
			t.Errorf("%d accepted messages never reached the carrier, at most %d may be uncertain", uncertain, bound)
		}
		t.Logf("%d accepted messages were uncertain and did not reach the carrier", uncertain)
	})
}
