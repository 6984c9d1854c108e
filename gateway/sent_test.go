package gateway

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

func sentMessage(i int) *queue.Message {
	s := &submission{}
	m := &s.m
	m.ID, m.Attempt, m.Accepted = queue.ID(i+1), 1, queue.At(time.Now())
	m.Dest = queue.Address{TON: 1, NPI: 1, Addr: fmt.Sprintf("9665%08d", i)}
	m.Source = queue.Address{TON: 5, Addr: "AHWAL"}
	m.Body = make([]byte, 110)
	m.Text = m.Body[:20]
	m.RegisteredDelivery = 1
	return m
}

func answeredPart(i, part, of int) queue.PartInfo {
	return queue.PartInfo{Attempt: 1, Part: uint8(part), Of: uint8(of), Carrier: 1, CarrierID: fmt.Sprintf("%x", 0x10000000+i*256+part), Sent: 1}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestSentPartsStayWithinTheirOctets(t *testing.T) {
	if testing.Short() {
		t.Skip("allocates 60 MB")
	}
	before := heap()
	s := newSentParts(0)
	for i := range 2 * sentMost {
		s.add(sentMessage(i), answeredPart(i, 1, 1))
	}
	if s.parts.Len() < sentMost*9/10 {
		t.Errorf("%d parts are kept of %d", s.parts.Len(), sentMost)
	}
	used := heap() - before
	t.Logf("%d parts in %d octets, %d each; counted as %d", s.parts.Len(), used, used/uint64(s.parts.Len()), s.octets/s.parts.Len())
	if used > sentOctets*11/10 {
		t.Errorf("%d parts take %d octets", s.parts.Len(), used)
	}
	if ratio := float64(used) / float64(s.octets); ratio > 1.1 || ratio < 0.6 {
		t.Errorf("%d octets are counted as %d", used, s.octets)
	}
	runtime.KeepAlive(&s)
}

func TestTheOldestSentPartIsForgottenFirst(t *testing.T) {
	s := newSentParts(0)
	s.add(sentMessage(0), answeredPart(0, 1, 2))
	for i := range sentMost {
		s.add(sentMessage(i+1), answeredPart(i+1, 1, 1))
	}
	if _, ok := s.get(answeredPart(0, 1, 2).CarrierID); ok {
		t.Error("the oldest is still there")
	}
	if len(s.several) != 0 {
		t.Error("the message of a forgotten part is still there")
	}
	if _, ok := s.get(answeredPart(sentMost, 1, 1).CarrierID); !ok {
		t.Error("the latest is gone")
	}
	for s.parts.Len() > 0 {
		_, old, _ := s.parts.RemoveOldest()
		s.forget(old)
	}
	if s.octets != 0 {
		t.Errorf("an empty memory counts %d octets", s.octets)
	}
}

func TestPartsOfOneMessageShareWhatIsKnownOfIt(t *testing.T) {
	s := newSentParts(0)
	m := sentMessage(0)
	m.Answers = []queue.PartInfo{answeredPart(0, 1, 3)}
	first := s.add(m, answeredPart(0, 1, 3))
	first.M.Answers[0].State = pdu.StateDelivered // its receipt came
	m.Answers = append(m.Answers, answeredPart(0, 2, 3))
	second := s.add(m, answeredPart(0, 2, 3))
	if first.M != second.M || len(second.M.Answers) != 2 || second.M.Answers[0].State != pdu.StateDelivered {
		t.Fatalf("second part: %+v", second.M.Answers)
	}
	if second.M.Body != nil || &second.M.Text[0] == &m.Body[0] {
		t.Error("the body is kept")
	}
	if m.Answers[0].State != 0 {
		t.Error("a receipt wrote into the message that the dispatcher and the store read")
	}
	// The store tells of the first again, without what memory knows.
	old := s.found(&queue.Ref{M: &queue.Message{ID: m.ID, Attempt: 1}, Info: answeredPart(0, 1, 3), Parts: []queue.PartInfo{answeredPart(0, 1, 3)}})
	if old.M != first.M || old.Info.State != pdu.StateDelivered {
		t.Errorf("the store's word replaced memory's: %+v", old.Info)
	}
	// A new attempt: receipts of the one before decide nothing.
	s.endAttempt(m.ID)
	if first.Info.Attempt == first.M.Attempt {
		t.Error("the older attempt still counts")
	}
}

func TestACarrierThatUsesAnIDAgainMeansTheNewest(t *testing.T) {
	s := newSentParts(0)
	s.add(sentMessage(1), answeredPart(9, 1, 1))
	s.add(sentMessage(2), answeredPart(9, 1, 1))
	if ref, _ := s.get(answeredPart(9, 1, 1).CarrierID); ref.M.ID != 3 || s.parts.Len() != 1 {
		t.Errorf("message %v of %d", ref.M.ID, s.parts.Len())
	}
	if s.octets > partOctets+100 {
		t.Errorf("%d octets counted for one part", s.octets)
	}
}

func TestAStrayIsKeptForTenMinutesAndAtMostSoMany(t *testing.T) {
	var s strays
	k := &correlator{forms: newFormTrials(&CarrierReceipts{})}
	began := time.Unix(1800000000, 0)
	add := func(id string, at time.Time) {
		s.add(&inbound{id: id, ids: k.forms.candidates(id), came: at})
	}
	all := func(*inbound) bool { return true }
	add("255", began)
	add("255", began.Add(time.Second))
	if got := s.take("ff", all); len(got) != 2 || !got[0].silent {
		t.Errorf("by its hex form: %v", got)
	}
	if len(s.byID) != 0 || len(s.order) != 0 {
		t.Errorf("what was taken is still there: %v %v", s.byID, s.order)
	}
	add("256", began)
	s.expire(began.Add(strayFor - time.Second))
	if len(s.order) != 1 {
		t.Error("expired too early")
	}
	s.expire(began.Add(strayFor))
	if len(s.order) != 0 || len(s.byID) != 0 {
		t.Error("not expired")
	}
	for i := range straysMost + 100 {
		add(fmt.Sprintf("uuid-%d", i), began)
	}
	if len(s.order) != straysMost || len(s.byID) != straysMost {
		t.Errorf("%d strays by %d ids are kept", len(s.order), len(s.byID))
	}
}

func TestTheReceiptRatioForgets(t *testing.T) {
	var r receiptRatio
	if got := r.next(0, 0, time.Second); got != 1 {
		t.Errorf("nothing asked: %v", got)
	}
	if got := r.next(100, 90, time.Second); got != 0.9 {
		t.Errorf("90 of 100: %v", got)
	}
	var asked, finals uint64 = 100, 90
	for range 3 * 3600 { // the carrier sends none any more
		asked++
		r.next(asked, finals, time.Second)
	}
	if got := r.next(asked, finals, time.Second); got > 0.01 {
		t.Errorf("three hours without a receipt: %v", got)
	}
}
