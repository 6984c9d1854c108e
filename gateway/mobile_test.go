package gateway

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smpptest"
	"masar/smpp/text"
)

const longText = "هذه رسالة طويلة يرسلها مواطن من هاتفه إلى الرمز القصير وتحتاج إلى أكثر من جزء واحد لأنها أطول من سبعين حرفا"

func (r *rig) fromHandset(mo smpptest.MO) error {
	mo.SystemID = "masar"
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return r.smscs["a:1"].Deliver(ctx, mo)
}

// textOf is what a mobile-originated deliver_sm says.
func textOf(t *testing.T, d *pdu.DeliverSM) string {
	t.Helper()
	return mobileText(text.Codings{One: text.ASCII}, d)
}

func TestMobileOriginatedMessagesFindTheirAccount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) {
			withOther(s)
			for _, name := range []string{"short", "words", "pattern"} {
				a := acme()
				a.SystemID = name
				s.Accounts = append(s.Accounts, a)
			}
			s.Mobile = []MobileRule{
				{To: "9090", Keyword: "اشتراك", Account: "words"},
				{To: "9090", Keyword: "STOP", Account: "words"},
				{To: "9090", Regexp: regexp.MustCompile(`^\d{10}$`), Account: "pattern"},
				{To: "9090", Account: "short"},
				{Keyword: "HELP", Account: "other"},
				{To: "9191", Account: "nobody"}, // an account that does not exist
			}
		}})
		r.carrierUp("a")
		bound := map[string]*peer{}
		for _, name := range []string{"short", "words", "pattern", "other"} {
			bound[name] = r.bind(pdu.CmdBindReceiver, name)
		}
		for _, row := range []struct{ to, text, account string }{
			{"9090", "hello there", "short"},
			{"9090", "stop", "words"},
			{"9090", "Stop please", "words"},
			{"9090", "STOPPED", "short"},
			{"9090", "اشتراك هوية", "words"},
			{"9090", "1234567890", "pattern"},
			{"9090", "", "short"},
			{"8080", "help", "other"},
			{"8080", "hello", ""},
			{"9191", "hello", ""},
		} {
			if err := r.fromHandset(smpptest.MO{From: "966501234567", To: row.to, Text: row.text}); err != nil {
				t.Fatalf("%s to %s: %v", row.text, row.to, err)
			}
			if row.account == "" {
				continue
			}
			d := bound[row.account].deliver()
			if string(d.Dest.Addr) != row.to || string(d.Source.Addr) != "966501234567" || textOf(t, d) != row.text || d.ESMClass != 0 {
				t.Errorf("%q to %s: came %+v", row.text, row.to, d)
			}
		}
		for _, p := range bound {
			p.quiet(time.Second)
		}
		if n := r.metric("masar_mobile_unrouted_total"); n != 2 {
			t.Errorf("masar_mobile_unrouted_total is %v", n)
		}
		if n := r.metric("masar_mobile_originated_total", "carrier=a"); n != 10 {
			t.Errorf("masar_mobile_originated_total is %v", n)
		}
		if got := r.log.find("mobile-originated message has no account", "carrier=a"); len(got) != 1 {
			t.Errorf("log %v", got)
		}
	})
}

func TestLongMessagesFromHandsetsComeWholeOrInParts(t *testing.T) {
	for _, style := range []text.Style{text.UDH8, text.UDH16, text.SAR, text.Payload} {
		for _, whole := range []bool{true, false} {
			t.Run(style.String()+map[bool]string{true: " whole", false: " parts"}[whole], func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := newRig(t, rigOptions{Setup: func(s *Setup) { s.Mobile = []MobileRule{{To: "9090", Account: "acme", Whole: whole}} }})
					r.carrierUp("a")
					p := r.receiver()
					order := []int{1, 0}
					if style == text.Payload {
						order = nil
					}
					if err := r.fromHandset(smpptest.MO{From: "966501234567", To: "9090", Text: longText, Style: style, Order: order}); err != nil {
						t.Fatal(err)
					}
					if whole || style == text.Payload {
						d := p.deliver()
						if got := textOf(t, d); got != longText || d.ESMClass&pdu.ESMClassUDHI != 0 {
							t.Errorf("came %q, esm_class %#x", got, d.ESMClass)
						}
						if _, sar := d.TLVs.Get(pdu.TagSARMsgRefNum); sar {
							t.Error("a whole message has sar_msg_ref_num")
						}
					} else {
						second, first := p.deliver(), p.deliver() // as they came
						if textOf(t, first)+textOf(t, second) != longText {
							t.Errorf("came %q, %q", textOf(t, first), textOf(t, second))
						}
						if _, is := concatOf(first); !is {
							t.Error("a part does not say which it is")
						}
					}
					p.quiet(time.Second)
				})
			})
		}
	}
}

func TestKeywordsAreFoundAcrossParts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) {
			s.Mobile = []MobileRule{{To: "9090", Regexp: regexp.MustCompile("سبعين حرفا$"), Account: "acme"}}
		}})
		r.carrierUp("a")
		p := r.receiver()
		if err := r.fromHandset(smpptest.MO{From: "966501234567", To: "9090", Text: longText}); err != nil {
			t.Fatal(err)
		}
		// The account takes parts: they come in order, each with its header.
		if got := textOf(t, p.deliver()) + textOf(t, p.deliver()); got != longText {
			t.Errorf("came %q", got)
		}
	})
}

// partOf is one deliver_sm of a message in two parts.
func partOf(ref, total, seq uint8, s string) *pdu.DeliverSM {
	return &pdu.DeliverSM{
		Source: pdu.Address{TON: 1, NPI: 1, Addr: []byte("966501234567")}, Dest: pdu.Address{TON: 3, Addr: []byte("9090")},
		ESMClass: pdu.ESMClassUDHI, ShortMessage: append([]byte{5, 0, 3, ref, total, seq}, s...),
	}
}

// rawSMSC is a carrier that is scripted: the test holds its end of the one bind.
type rawSMSC struct {
	*peer
	r *rig
}

// scripted lets the test answer for carrier "b" itself.
func scripted(t *testing.T, o rigOptions) (*rig, func() *rawSMSC) {
	conns := make(chan *peer, 10)
	setup := o.Setup
	o.Setup = func(s *Setup) {
		s.Carriers[0].Addrs = []string{"script:1"}
		if setup != nil {
			setup(s)
		}
	}
	o.Options = func(o *Options) { o.Dial = scriptDial(t, conns) }
	r := newRig(t, o)
	return r, func() *rawSMSC {
		p := <-conns
		h, _ := p.expect(pdu.CmdBindTransceiver)
		p.write(pdu.Append(nil, h.Command.Resp(), pdu.ESME_ROK, h.Sequence, &pdu.BindResp{SystemID: []byte("b")}))
		return &rawSMSC{p, r}
	}
}

// sends delivers one deliver_sm and returns the status of its answer.
func (c *rawSMSC) sends(p *pdu.DeliverSM) pdu.Status {
	c.t.Helper()
	c.send(pdu.CmdDeliverSM, p)
	h, _ := c.expect(pdu.CmdDeliverSM.Resp())
	return h.Status
}

func wholeMobile(s *Setup) { s.Mobile = []MobileRule{{To: "9090", Account: "acme", Whole: true}} }

func TestPartsThatComeTwiceCountOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, bound := scripted(t, rigOptions{Setup: wholeMobile})
		c, p := bound(), r.receiver()
		for _, part := range []*pdu.DeliverSM{
			partOf(7, 2, 1, "first "), partOf(7, 2, 1, "first "), partOf(7, 2, 2, "second"),
			partOf(7, 2, 2, "second"), partOf(7, 2, 1, "first "), // its answers were lost on the way
		} {
			if st := c.sends(part); st != pdu.ESME_ROK {
				t.Fatal(st)
			}
		}
		if got := textOf(t, p.deliver()); got != "first second" {
			t.Errorf("came %q", got)
		}
		p.quiet(10 * time.Minute) // and nothing is incomplete
		if n := r.metric("masar_mobile_incomplete_total"); n != 0 {
			t.Errorf("%v incomplete", n)
		}
		// The same reference with another text is another message.
		c.sends(partOf(7, 2, 1, "third "))
		c.sends(partOf(7, 2, 2, "fourth"))
		if got := textOf(t, p.deliver()); got != "third fourth" {
			t.Errorf("came %q", got)
		}
	})
}

func TestAnIncompleteMessageComesAsItIsInItsTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, bound := scripted(t, rigOptions{Setup: wholeMobile})
		c, p := bound(), r.receiver()
		began := time.Now()
		c.sends(partOf(7, 3, 3, "last"))
		c.sends(partOf(7, 3, 1, "first"))
		h, body := p.expectWithin(pdu.CmdDeliverSM, 6*time.Minute)
		p.answer(h, pdu.ESME_ROK)
		first, last := body.(*pdu.DeliverSM), p.deliver()
		if d := time.Since(began); d < 5*time.Minute || d > 5*time.Minute+3*time.Second {
			t.Errorf("after %v", d)
		}
		if textOf(t, first) != "first" || textOf(t, last) != "last" {
			t.Errorf("came %q, %q", textOf(t, first), textOf(t, last))
		}
		if k, is := concatOf(last); !is || k.Total != 3 || k.Seq != 3 {
			t.Errorf("the part says %+v", k)
		}
		if n := r.metric("masar_mobile_incomplete_total"); n != 1 {
			t.Errorf("%v incomplete", n)
		}
		r.restart()
		bound()
		r.receiver().quiet(10 * time.Minute) // its parts are gone from the store
	})
}

func TestAnIncompleteMessageSurvivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, bound := scripted(t, rigOptions{Setup: wholeMobile})
		c := bound()
		c.sends(partOf(7, 2, 1, "before "))
		r.restart()
		c = bound()
		p := r.receiver()
		c.sends(partOf(7, 2, 2, "and after"))
		if got := textOf(t, p.deliver()); got != "before and after" {
			t.Errorf("came %q", got)
		}
		p.quiet(10 * time.Minute)
	})
}

func TestAnUnroutedIncompleteMessageLeavesNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, bound := scripted(t, rigOptions{Setup: func(s *Setup) {
			s.Mobile = []MobileRule{{To: "9090", Keyword: "HELP", Account: "acme", Whole: true}}
		}})
		c := bound()
		c.sends(partOf(7, 2, 1, "hello "))
		if st := c.sends(partOf(7, 2, 2, "there")); st != pdu.ESME_ROK {
			t.Error(st)
		}
		sets, err := r.store.MOSets(context.Background(), time.Time{}, 10)
		if err != nil || len(sets) != 0 {
			t.Errorf("the store has %v, %v", sets, err)
		}
		plain := partOf(1, 1, 1, "")
		plain.ESMClass, plain.ShortMessage = 0, []byte("hello")
		for range 3 {
			c.sends(plain)
		}
		kept, err := r.store.UnmatchedReceipts(context.Background(), r.gw.world.Load().carriers["a"].number, "", 10)
		if err != nil || len(kept) != 5 || kept[0].Why != "mobile-originated: no rule" {
			t.Errorf("kept for an operator: %v, %v", kept, err)
		}
	})
}

func TestAMobileOriginatedMessageIsOnDiskBeforeItsAnswer(t *testing.T) {
	fs := newStuckFS()
	r, bound := scripted(t, rigOptions{FS: fs, Setup: wholeMobile})
	c := bound()
	fs.hold(true)
	c.send(pdu.CmdDeliverSM, partOf(7, 2, 1, "first "))
	c.send(pdu.CmdDeliverSM, partOf(7, 2, 1, "first ")) // again, while the first one is being written
	c.send(pdu.CmdDeliverSM, partOf(7, 2, 2, "second"))
	c.quiet(100 * time.Millisecond)
	fs.hold(false)
	for range 3 {
		if h, _ := c.expect(pdu.CmdDeliverSM.Resp()); h.Status != pdu.ESME_ROK {
			t.Error(h.Status)
		}
	}
	if got := textOf(t, r.receiver().deliver()); got != "first second" {
		t.Errorf("came %q", got)
	}
}

func TestMobileOriginatedMessagesAreRefusedWhileTheDiskIsFull(t *testing.T) { // row 60
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		full := true
		conns := make(chan *peer, 1)
		r := newRig(t, rigOptions{
			Setup: func(s *Setup) { wholeMobile(s); s.Carriers[0].Addrs = []string{"script:1"} },
			Options: func(o *Options) {
				o.Dial = scriptDial(t, conns)
				o.Full = func() (bool, bool) { mu.Lock(); defer mu.Unlock(); return full, full }
			},
		})
		pc := <-conns
		h, _ := pc.expect(pdu.CmdBindTransceiver)
		pc.write(pdu.Append(nil, h.Command.Resp(), pdu.ESME_ROK, h.Sequence, &pdu.BindResp{}))
		c := &rawSMSC{pc, r}
		plain := partOf(1, 1, 1, "x")
		plain.ESMClass, plain.ShortMessage = 0, []byte("hello")
		if st := c.sends(plain); st != pdu.ESME_RMSGQFUL {
			t.Errorf("full: %v", st)
		}
		mu.Lock()
		full = false
		mu.Unlock()
		if st := c.sends(plain); st != pdu.ESME_ROK {
			t.Errorf("not full: %v", st)
		}
		if got := textOf(t, r.receiver().deliver()); got != "hello" {
			t.Errorf("came %q", got)
		}
	})
}

func TestOneSourceCannotFillTheReassembly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, bound := scripted(t, rigOptions{Setup: wholeMobile})
		c, p := bound(), r.receiver()
		for i := range mobileSetsOfOne {
			if st := c.sends(partOf(uint8(i), 2, 1, "first only")); st != pdu.ESME_ROK {
				t.Fatal(st)
			}
			time.Sleep(time.Millisecond) // so that one of them is the oldest
		}
		other := partOf(7, 2, 1, "somebody ")
		other.Source.Addr = []byte("966507654321")
		c.sends(other)
		p.quiet(time.Second) // nobody is in anybody's way yet
		c.sends(partOf(200, 2, 1, "one too many"))
		if d := p.deliver(); textOf(t, d) != "first only" || d.ShortMessage[3] != 0 {
			t.Errorf("the oldest of that source goes: came %q", d.ShortMessage)
		}
		other2 := partOf(7, 2, 2, "else")
		other2.Source.Addr = other.Source.Addr
		c.sends(other2)
		if got := textOf(t, p.deliver()); got != "somebody else" {
			t.Errorf("came %q", got)
		}
		if n := r.metric("masar_mobile_incomplete_total"); n != 1 {
			t.Errorf("%v incomplete", n)
		}
	})
}

func TestAFullReassemblySendsItsOldestOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, bound := scripted(t, rigOptions{Setup: wholeMobile})
		c, p := bound(), r.receiver()
		c.sends(partOf(1, 2, 1, "oldest"))
		r.gw.mobile.octets += mobileOctets - 200 // nobody else touches it while the carrier is silent
		time.Sleep(time.Second)
		other := partOf(2, 2, 1, strings.Repeat("x", 150))
		other.Source.Addr = []byte("966507654321")
		if st := c.sends(other); st != pdu.ESME_ROK {
			t.Error(st)
		}
		if got := textOf(t, p.deliver()); got != "oldest" {
			t.Errorf("came %q", got)
		}
	})
}

func TestJoinedMessagesLeaveOutWhatSaidTheyWereParts(t *testing.T) {
	sar := func(seq uint8, s string) *pdu.DeliverSM {
		p := &pdu.DeliverSM{ShortMessage: []byte(s)}
		p.TLVs = p.TLVs.AppendUint16(pdu.TagSARMsgRefNum, 9).AppendUint8(pdu.TagSARTotalSegments, 2).AppendUint8(pdu.TagSARSegmentSeqnum, seq)
		p.TLVs = p.TLVs.AppendUint16(pdu.TagSourcePort, 99)
		return p
	}
	d := join([]*pdu.DeliverSM{sar(1, strings.Repeat("a", 200)), sar(2, strings.Repeat("b", 100))})
	if long, ok := d.TLVs.Get(pdu.TagMessagePayload); !ok || len(long) != 300 || len(d.ShortMessage) != 0 {
		t.Errorf("300 octets: %d in short_message, %d in message_payload", len(d.ShortMessage), len(long))
	}
	if _, ok := d.TLVs.Get(pdu.TagSARTotalSegments); ok {
		t.Error("sar_total_segments stays")
	}
	if v, _ := d.TLVs.Get(pdu.TagSourcePort); string(v) != "\x00\x63" {
		t.Errorf("source_port %x: other TLVs stay", v)
	}
	payload := partOf(1, 2, 1, "")
	payload.TLVs = payload.TLVs.Append(pdu.TagMessagePayload, payload.ShortMessage)
	payload.ShortMessage = nil
	if k, is := concatOf(payload); !is || k.Total != 2 {
		t.Errorf("a header in message_payload: %+v, %v", k, is)
	}
}
