package gateway

import (
	"fmt"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/receipt"
)

func TestTheReceiptsOfPartsDecideTheirMessage(t *testing.T) {
	const d, u, x = pdu.StateDelivered, pdu.StateUndeliverable, pdu.StateExpired
	type part struct {
		state pdu.State
		done  queue.Time
	}
	tests := map[string]struct {
		parts []part // by number; zero: no receipt yet
		of    int
		rules partRules
		want  outcome
	}{
		"all delivered":                       {[]part{{d, 1}, {d, 2}}, 2, partRules{}, outcome{decided: true, state: d, err: "2"}},
		"one is missing":                      {[]part{{d, 1}, {}}, 2, partRules{}, outcome{}},
		"one is not sent yet":                 {[]part{{d, 1}}, 2, partRules{}, outcome{}},
		"a failure decides at once":           {[]part{{}, {u, 1}, {}}, 3, partRules{}, outcome{decided: true, state: u, err: "2"}},
		"the first failure in time decides":   {[]part{{u, 9}, {x, 3}}, 2, partRules{}, outcome{decided: true, state: x, err: "2"}},
		"an intermediate state decides not":   {[]part{{d, 1}, {pdu.StateEnroute, 2}}, 2, partRules{}, outcome{}},
		"last part only: another is nothing":  {[]part{{u, 1}, {}}, 2, partRules{lastPart: true}, outcome{}},
		"last part only: it decides":          {[]part{{}, {d, 1}}, 2, partRules{lastPart: true}, outcome{decided: true, state: d, err: "2"}},
		"last part only: not sent yet":        {[]part{{d, 1}}, 2, partRules{lastPart: true}, outcome{}},
		"each part its receipt: wait for all": {[]part{{u, 1}, {}}, 2, partRules{all: true}, outcome{}},
		"each part its receipt: all are here": {[]part{{u, 1}, {d, 2}}, 2, partRules{all: true}, outcome{decided: true, state: u, err: "1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var parts []queue.PartInfo
			for i, p := range tt.parts {
				parts = append(parts, queue.PartInfo{Attempt: 1, Part: uint8(i + 1), Of: uint8(tt.of), State: p.state, Done: p.done, Err: fmt.Sprint(i + 1)})
			}
			if got := combine(parts, tt.of, tt.rules); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestTheFirstFinalReceiptOfAPartHolds(t *testing.T) {
	m := &queue.Message{Attempt: 1, Answers: []queue.PartInfo{{Attempt: 1, Part: 1, Of: 2}, {Attempt: 1, Part: 2, Of: 2}}}
	ref := &queue.Ref{M: m, Info: m.Answers[0]}
	if o := note(ref, queue.PartInfo{State: pdu.StateDelivered}, partRules{}); o.repeated || o.decided {
		t.Fatalf("the first: %+v", o)
	}
	if o := note(ref, queue.PartInfo{State: pdu.StateUndeliverable}, partRules{}); !o.repeated {
		t.Errorf("the second: %+v", o)
	}
	// The same part by another Ref, as the store gives one.
	again := &queue.Ref{M: m, Info: queue.PartInfo{Attempt: 1, Part: 1, Of: 2}}
	if o := note(again, queue.PartInfo{State: pdu.StateUndeliverable}, partRules{}); !o.repeated {
		t.Errorf("by another Ref: %+v", o)
	}
	if m.Answers[0].State != pdu.StateDelivered {
		t.Errorf("the part is %v", m.Answers[0].State)
	}
}

func TestAnIDIsFoundInWhateverFormItComes(t *testing.T) {
	hexOnly := CarrierReceipts{RespForm: receipt.Hex, RespKnown: true}
	tests := map[string]struct {
		profile CarrierReceipts
		id      string
		want    []string
	}{
		"nothing known, digits":         {CarrierReceipts{}, "0255", []string{"255", "ff", "597"}},
		"nothing known, letters":        {CarrierReceipts{}, "00FF", []string{"ff", "255"}},
		"nothing known, a UUID":         {CarrierReceipts{}, "6F1C-aa", []string{"6f1c-aa"}},
		"hex to decimal":                {CarrierReceipts{RespForm: receipt.Hex, TextForm: receipt.Dec, RespKnown: true, TextKnown: true}, "255", []string{"ff"}},
		"decimal to hex":                {CarrierReceipts{RespForm: receipt.Dec, TextForm: receipt.Hex, RespKnown: true, TextKnown: true}, "FF", []string{"255"}},
		"both the same":                 {CarrierReceipts{RespForm: receipt.Hex, TextForm: receipt.Hex, RespKnown: true, TextKnown: true}, "0FF", []string{"ff"}},
		"responses are hex, no more":    {hexOnly, "255", []string{"255", "ff"}},
		"receipts are decimal, no more": {CarrierReceipts{TextForm: receipt.Dec, TextKnown: true}, "255", []string{"255", "ff"}},
		"receipts are hex, no more":     {CarrierReceipts{TextForm: receipt.Hex, TextKnown: true}, "255", []string{"255", "597"}},
		"not of the known form":         {CarrierReceipts{RespForm: receipt.Hex, TextForm: receipt.Dec, RespKnown: true, TextKnown: true}, "x-1", []string{"x-1"}},
		"more than 64 bits":             {CarrierReceipts{RespForm: receipt.Hex, TextForm: receipt.Dec, RespKnown: true, TextKnown: true}, "18446744073709551616", []string{"10000000000000000"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFormTrials(&tt.profile)
			var got []string
			for _, c := range f.candidates(tt.id) {
				got = append(got, c.Key)
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("tried %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAFormIsLearnedAfterTwentyMatchesOfOneAndNoneOfAnother(t *testing.T) {
	f := newFormTrials(&CarrierReceipts{})
	hexDec := receipt.Candidate{Resp: receipt.Hex, Receipt: receipt.Dec}
	for range formTrialsEnough - 1 {
		f.matched(hexDec)
	}
	if n := len(f.candidates("255")); n != 3 {
		t.Errorf("after 19 matches %d keys are tried", n)
	}
	if f.likely("255").Key != "ff" {
		t.Error("the form that matched last is not tried first")
	}
	f.matched(hexDec)
	if c := f.candidates("255"); len(c) != 1 || c[0].Key != "ff" {
		t.Errorf("after 20 matches %v are tried", c)
	}
	f.matched(receipt.Candidate{Resp: receipt.Raw, Receipt: receipt.Raw})
	if n := len(f.candidates("255")); n < 2 {
		t.Error("a match of another form did not open the others again")
	}
}

func TestAStatusMeansWhatItsCarrierSays(t *testing.T) {
	o := profile(func(o *Carrier) {
		o.Statuses = map[pdu.Status]AnswerClass{0x0401: AnswerThrottle, pdu.ESME_RMSGQFUL: AnswerTemporary, pdu.ESME_RINVDSTADR: AnswerElsewhere}
	})
	for st, want := range map[pdu.Status]AnswerClass{
		pdu.ESME_ROK: AnswerOK, pdu.ESME_RTHROTTLED: AnswerThrottle, 0x0401: AnswerThrottle, pdu.ESME_RMSGQFUL: AnswerTemporary,
		pdu.ESME_RINVDSTADR: AnswerElsewhere, pdu.ESME_RINVSRCADR: AnswerElsewhere, pdu.ESME_RSYSERR: AnswerTemporary,
		pdu.ESME_RINVMSGLEN: AnswerPermanent, 0x04FF: AnswerPermanent,
	} {
		if got := o.classify(st); got != want {
			t.Errorf("%v is %v, want %v", st, got, want)
		}
	}
}

func TestARetryKeepsToItsSchedule(t *testing.T) {
	o := profile(func(o *Carrier) {
		o.Retry = RetrySchedule{Delays: []time.Duration{time.Second, time.Minute}, Jitter: 0.5}
		o.StatusRetry = map[pdu.Status]RetrySchedule{pdu.ESME_RSUBMITFAIL: {Delays: []time.Duration{time.Hour}, Tries: 2}}
	})
	tests := []struct {
		st     pdu.Status
		tries  uint8
		random float64
		want   time.Duration
		more   bool
	}{
		{pdu.ESME_RSYSERR, 0, 0.5, time.Second, true},
		{pdu.ESME_RSYSERR, 1, 0.5, time.Minute, true},
		{pdu.ESME_RSYSERR, 200, 0.5, time.Minute, true},
		{pdu.ESME_RSYSERR, 0, 0, 500 * time.Millisecond, true},
		{pdu.ESME_RSYSERR, 0, 1, 1500 * time.Millisecond, true},
		{pdu.ESME_RSUBMITFAIL, 0, 0.5, time.Hour, true},
		{pdu.ESME_RSUBMITFAIL, 1, 0.5, 0, false},
	}
	for _, tt := range tests {
		if got, more := o.retryAfter(tt.st, tt.tries, tt.random); got != tt.want || more != tt.more {
			t.Errorf("%v after %d tries, random %v: %v %v, want %v %v", tt.st, tt.tries, tt.random, got, more, tt.want, tt.more)
		}
	}
	if d, _ := profile(nil).retryAfter(pdu.ESME_RSYSERR, 0, 0.5); d != 10*time.Second {
		t.Errorf("without a schedule the first retry comes after %v", d)
	}
}

func TestTheNextLaneAvoidsWhoRefusedForGood(t *testing.T) {
	grp := &group{number: 3, members: make([]member, 3)}
	tests := map[string]struct {
		avoid, barred uint16
		at            int
		want          uint16
		other         bool
	}{
		"a new message":              {0, 0, 1, 0b010, true},
		"it avoids one already":      {0b001, 0, 1, 0b011, true},
		"the last of them":           {0b011, 0, 2, 0, false},
		"one has refused for good":   {0, 0b001, 1, 0b011, true},
		"only the barred are left":   {0b011, 0b001, 2, 0b001, false},
		"bits of no carrier go away": {0xFF00, 0, 0, 0b001, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l, other := grp.nextLane(queue.Lane{Target: queue.Target(3, tt.avoid)}, tt.at, tt.barred)
			if l.Avoid() != tt.want || other != tt.other || l.Group() != 3 {
				t.Errorf("avoid %b %v, want %b %v", l.Avoid(), other, tt.want, tt.other)
			}
		})
	}
}

func TestAReceiptIsAboutItsNumberHoweverThatIsWritten(t *testing.T) {
	m := &queue.Message{Dest: queue.Address{Addr: "966501234567"}, DestWritten: queue.Address{Addr: "937"}}
	for from, want := range map[string]bool{
		"966501234567": true, "+966501234567": true, "0501234567": true, "00966501234567": true, "501234567": true,
		"966501234568": false, "971701234567": true /* the last eight */, "": true, "AHWAL": true, "937": true, "7": false,
	} {
		if got := about(from, m); got != want {
			t.Errorf("%q: %v, want %v", from, got, want)
		}
	}
}

func TestReferencesOfOneHandsetFollowEachOther(t *testing.T) {
	var r references8
	now := time.Unix(1800000000, 0)
	first := r.take("966501234567", 9, now)
	if first != 9 {
		t.Errorf("the first reference is %d", first)
	}
	seen := map[uint8]bool{}
	for range 256 {
		seen[r.take("966501234567", 9, now)] = true
	}
	if len(seen) != 256 {
		t.Errorf("256 messages had %d references", len(seen))
	}
	for i := range references8Most + 5 {
		r.take(fmt.Sprint(i), 0, now)
	}
	if n := len(r.next) + len(r.old); n > 2*references8Most {
		t.Errorf("%d destinations are remembered", n)
	}
	if next := r.take("966501234567", 200, now); next == 200 {
		t.Error("a destination of a moment ago was forgotten")
	}
}

func TestPartsOfOneConversationGoOneWay(t *testing.T) {
	part := func(ref, n byte) *queue.Message {
		return &queue.Message{Account: 7, ESMClass: pdu.ESMClassUDHI, Source: queue.Address{Addr: "A"}, Dest: queue.Address{Addr: "966501234567"},
			Body: []byte{5, 0, 3, ref, 3, n, 'x'}}
	}
	h := conversation(part(9, 1), part(9, 1).Body)
	if conversation(part(9, 3), part(9, 3).Body) != h {
		t.Error("another part of the same message goes another way")
	}
	if conversation(part(8, 1), part(8, 1).Body) == h {
		t.Error("another message has the same key")
	}
	// Rendezvous: weights are shares, and when a carrier goes only its own keys move.
	weights := map[string]int{"a": 3, "b": 1, "c": 1}
	best := func(key uint64, names ...string) string {
		top, at := 0.0, ""
		for _, n := range names {
			if s := rendezvous(key, n, weights[n]); s > top {
				top, at = s, n
			}
		}
		return at
	}
	count := map[string]int{}
	for key := range uint64(10000) {
		all := best(key*0x9e3779b9, "a", "b", "c")
		count[all]++
		if without := best(key*0x9e3779b9, "a", "b"); all != "c" && without != all {
			t.Fatalf("key %d moved from %s to %s when c went", key, all, without)
		}
	}
	if count["a"] < 5700 || count["a"] > 6300 || count["b"] < 1800 || count["b"] > 2200 {
		t.Errorf("shares %v of weights %v", count, weights)
	}
}
