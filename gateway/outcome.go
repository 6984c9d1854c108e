package gateway

import (
	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/receipt"
)

// outcome is what the receipts of a message's parts say so far.
type outcome struct {
	decided  bool
	repeated bool // this part had a final receipt already: the first one holds
	state    pdu.State
	err      string
}

// note writes a final receipt into its part and says what the message's parts mean now
// (flow.md 5): all DELIVRD is DELIVRD; the first that ends otherwise decides at once; a
// carrier that reports only the last part decides by that one.
func note(ref *queue.Ref, got queue.PartInfo, lastPart bool) outcome {
	if ref.Info.State.Final() {
		return outcome{repeated: true}
	}
	ref.Info.State, ref.Info.Err, ref.Info.Done = got.State, got.Err, got.Done
	if ref.Info.Of == 1 {
		return outcome{decided: true, state: got.State, err: got.Err}
	}
	for i := range ref.M.Answers {
		if a := &ref.M.Answers[i]; a.Attempt == ref.Info.Attempt && a.Part == ref.Info.Part {
			*a = ref.Info
		}
	}
	return combine(ref.M.Answers, int(ref.Info.Of), lastPart)
}

// combine is the outcome of the answered parts of one attempt of several.
func combine(parts []queue.PartInfo, of int, lastPart bool) outcome {
	delivered := 0
	for _, p := range parts {
		switch {
		case !p.State.Final():
		case lastPart && int(p.Part) == of:
			return outcome{decided: true, state: p.State, err: p.Err}
		case lastPart:
		case p.State != pdu.StateDelivered:
			return outcome{decided: true, state: p.State, err: p.Err}
		default:
			delivered++
		}
	}
	if delivered == of {
		return outcome{decided: true, state: pdu.StateDelivered, err: parts[len(parts)-1].Err}
	}
	return outcome{}
}

// wantsFinal tells whether a client asked to hear of this final state.
func wantsFinal(registered uint8, st pdu.State) bool {
	switch registered & pdu.RegisteredReceiptMask {
	case pdu.RegisteredFinal:
		return true
	case pdu.RegisteredFailure:
		return st != pdu.StateDelivered && st != pdu.StateAccepted
	case pdu.RegisteredSuccess:
		return st == pdu.StateDelivered || st == pdu.StateAccepted
	}
	return false
}

// formTrials finds out how a carrier writes ids in responses and in receipts, where its
// profile does not say: the form that matched last is tried first, and after twenty
// matches of one form and none of another the others are no longer tried.
type formTrials struct {
	resp, rec receipt.Form
	known     bool
	matches   map[[2]receipt.Form]int
	last      [2]receipt.Form
}

const formTrialsEnough = 20

func newFormTrials(o *CarrierReceipts) formTrials {
	return formTrials{resp: o.RespForm, rec: o.TextForm, known: o.FormsKnown, matches: map[[2]receipt.Form]int{}}
}

// likely is the one key to try first: of the known form, else of the one that matched last.
func (t *formTrials) likely(id string) receipt.Candidate {
	resp, rec := t.last[0], t.last[1]
	if t.known {
		resp, rec = t.resp, t.rec
	}
	if resp != rec {
		for _, c := range receipt.Candidates(id) {
			if c.Resp == resp && c.Receipt == rec {
				return c
			}
		}
	}
	return receipt.Candidate{Key: receipt.Normalise(id), Resp: resp, Receipt: rec}
}

// candidates are all keys worth trying, the likeliest first; once the form is certain
// there is one.
func (t *formTrials) candidates(id string) []receipt.Candidate {
	first := t.likely(id)
	all := []receipt.Candidate{first}
	if t.known || t.matches[t.last] >= formTrialsEnough && len(t.matches) == 1 {
		return all
	}
	for _, c := range receipt.Candidates(id) {
		if c.Key != first.Key {
			all = append(all, c)
		}
	}
	return all
}

// of is the form in which a receipt's id is a response's key.
func (t *formTrials) of(id, key string) receipt.Candidate {
	for _, c := range receipt.Candidates(id) {
		if c.Key == key {
			return c
		}
	}
	return receipt.Candidate{Key: key}
}

// matched learns from a match.
func (t *formTrials) matched(c receipt.Candidate) {
	if t.known {
		return
	}
	t.last = [2]receipt.Form{c.Resp, c.Receipt}
	if t.matches[t.last] < formTrialsEnough {
		t.matches[t.last]++
	}
}

// asksReceipt tells whether the carrier is asked for a receipt: the client asked (any
// bit), or the route or the carrier always does, unless the carrier never may be.
func (c *carrier) asksReceipt(m *queue.Message, grp *group) bool {
	switch c.opt.Receipts.Ask {
	case NeverAsk:
		return false
	case AlwaysAsk:
		return true
	}
	if grp != nil && grp.receipts != AsAsked {
		return grp.receipts == AlwaysAsk
	}
	return m.RegisteredDelivery&(pdu.RegisteredReceiptMask|pdu.RegisteredIntermediate) != 0
}
