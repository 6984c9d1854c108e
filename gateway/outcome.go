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

// partRules say which receipts decide a message of several parts.
type partRules struct {
	lastPart bool // the carrier reports only the last part, which decides
	all      bool // every part is heard before the message ends: its client gets one receipt each
}

// note writes a final receipt into its part and says what the message's parts mean now
// (flow.md 5): all DELIVRD is DELIVRD; the first that ends otherwise decides at once.
func note(ref *queue.Ref, got queue.PartInfo, rules partRules) outcome {
	if ref.Info.State.Final() {
		return outcome{repeated: true}
	}
	ref.Info.State, ref.Info.Err, ref.Info.Done = got.State, got.Err, got.Done
	if ref.Info.Of == 1 {
		return outcome{decided: true, state: got.State, err: got.Err}
	}
	for i := range ref.M.Answers {
		if a := &ref.M.Answers[i]; a.Attempt == ref.Info.Attempt && a.Part == ref.Info.Part {
			if a.State.Final() {
				return outcome{repeated: true}
			}
			*a = ref.Info
		}
	}
	return combine(ref.M.Answers, int(ref.Info.Of), rules)
}

// combine is the outcome of the answered parts of one attempt of several.
func combine(parts []queue.PartInfo, of int, rules partRules) outcome {
	var bad, last *queue.PartInfo
	delivered, final := 0, 0
	for i := range parts {
		p := &parts[i]
		if int(p.Part) == of {
			last = p
		}
		if !p.State.Final() {
			continue
		}
		final++
		switch {
		case p.State == pdu.StateDelivered:
			delivered++
		case bad == nil || p.Done < bad.Done:
			bad = p
		}
	}
	switch {
	case rules.lastPart:
		if last == nil || !last.State.Final() {
			return outcome{}
		}
		return outcome{decided: true, state: last.State, err: last.Err}
	case rules.all && final < of:
		return outcome{}
	case bad != nil:
		return outcome{decided: true, state: bad.State, err: bad.Err}
	case delivered == of && last != nil:
		return outcome{decided: true, state: pdu.StateDelivered, err: last.Err}
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
// matches of one form and none of another the others are no longer tried. What the
// profile says of one side bounds what is tried.
type formTrials struct {
	resp, rec           receipt.Form
	respKnown, recKnown bool
	matches             map[[2]receipt.Form]int
	last                [2]receipt.Form
}

const formTrialsEnough = 20

func newFormTrials(o *CarrierReceipts) formTrials {
	t := formTrials{resp: o.RespForm, rec: o.TextForm, respKnown: o.RespKnown, recKnown: o.TextKnown, matches: map[[2]receipt.Form]int{}}
	if t.respKnown && t.recKnown {
		t.last = [2]receipt.Form{t.resp, t.rec}
	}
	return t
}

func (t *formTrials) certain() bool {
	return t.respKnown && t.recKnown || t.matches[t.last] >= formTrialsEnough && len(t.matches) == 1
}

// likely is the one key to try first: of the known form, else of the one that matched last.
func (t *formTrials) likely(id string) receipt.Candidate {
	if t.last[0] != t.last[1] {
		for _, c := range receipt.Candidates(id) {
			if c.Resp == t.last[0] && c.Receipt == t.last[1] {
				return c
			}
		}
	}
	return receipt.Candidate{Key: receipt.Normalise(id), Resp: t.last[0], Receipt: t.last[1]}
}

// candidates are all keys worth trying, the likeliest first; once the form is certain
// there is one.
func (t *formTrials) candidates(id string) []receipt.Candidate {
	first := t.likely(id)
	all := []receipt.Candidate{first}
	if t.certain() {
		return all
	}
	for _, c := range receipt.Candidates(id) {
		if c.Key != first.Key && t.possible(c) {
			all = append(all, c)
		}
	}
	return all
}

// possible tells whether a candidate agrees with the side that the profile knows. The id
// as it is (Raw twice) says only that both sides are alike.
func (t *formTrials) possible(c receipt.Candidate) bool {
	if c.Resp == c.Receipt {
		return true
	}
	return (!t.respKnown || c.Resp == t.resp) && (!t.recKnown || c.Receipt == t.rec)
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
	if t.respKnown && t.recKnown {
		return
	}
	t.last = [2]receipt.Form{c.Resp, c.Receipt}
	if t.matches[t.last] < formTrialsEnough {
		t.matches[t.last]++
	}
}

// asksReceipt tells whether the carrier is asked for a receipt: the client asked (any
// bit), or the route or the carrier always does, unless the carrier never may be. Of a job's
// message whatever the route says.
func (c *carrier) asksReceipt(m *queue.Message, grp *group) bool {
	switch c.opt.Receipts.Ask {
	case NeverAsk:
		return false
	case AlwaysAsk:
		return true
	}
	if ofJob(m) {
		return true
	}
	if grp != nil && grp.receipts != AsAsked {
		return grp.receipts == AlwaysAsk
	}
	return m.RegisteredDelivery&(pdu.RegisteredReceiptMask|pdu.RegisteredIntermediate) != 0
}
