package gateway

import (
	"fmt"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/receipt"
	"masar/smpp/smpptest"
)

// shortWaits gives messages 15 minutes, and their receipts 5 more.
func shortWaits(s *Setup) {
	s.Accounts[0].ValidityDefault = 15 * time.Minute
	s.Routes[0].ReceiptWait = 5 * time.Minute
}

// Where and when a receipt comes, against the whole gateway.
func TestAReceiptFindsItsMessage(t *testing.T) {
	type world struct {
		r  *rig
		f  *fakeSMSC
		p  *peer
		id string
	}
	tests := map[string]struct {
		setup   func(s *Setup)
		verdict func(n int, s *fakeSubmit)
		play    func(t *testing.T, w *world)
	}{
		"after its response": {play: func(t *testing.T, w *world) {
			sub := w.f.await(1)[0]
			w.f.acked(sub.Session.receipt(&sub, "DELIVRD"))
			ended(t, w.p, w.id, "DELIVRD")
		}},
		"before its response": {
			verdict: func(_ int, s *fakeSubmit) { s.Receipt = "DELIVRD" },
			play:    func(t *testing.T, w *world) { ended(t, w.p, w.id, "DELIVRD") },
		},
		"a second before its response": {
			verdict: func(_ int, s *fakeSubmit) { s.Status = noAnswer },
			play: func(t *testing.T, w *world) {
				sub := w.f.await(1)[0]
				ack := sub.Session.receipt(&sub, "DELIVRD")
				time.Sleep(time.Second)
				if len(ack) != 0 {
					t.Error("acknowledged before it was matched")
				}
				sub.Session.answer(&sub, pdu.ESME_ROK)
				if st := w.f.acked(ack); st != pdu.ESME_ROK {
					t.Errorf("acknowledged with %v", st)
				}
				ended(t, w.p, w.id, "DELIVRD")
			},
		},
		"eight seconds before its response": {
			verdict: func(_ int, s *fakeSubmit) { s.Status = noAnswer },
			play: func(t *testing.T, w *world) {
				sub := w.f.await(1)[0]
				sub.Session.receipt(&sub, "ENROUTE")
				began := time.Now()
				w.f.acked(sub.Session.receipt(&sub, "DELIVRD"))
				if d := time.Since(began); d < earlyWait || d > earlyWait+time.Second {
					t.Errorf("acknowledged after %v", d)
				}
				if w.r.metric("masar_receipts_unmatched_total") != 2 {
					t.Error("not counted as unmatched")
				}
				time.Sleep(5 * time.Second)
				sub.Session.answer(&sub, pdu.ESME_ROK)
				ended(t, w.p, w.id, "DELIVRD")
			},
		},
		"on another bind": {
			setup: func(s *Setup) { s.Carriers[0].Transceivers, s.Carriers[0].Receivers = 1, 1 },
			play: func(t *testing.T, w *world) {
				sub := w.f.await(1)[0]
				w.r.wait("both binds", func() bool { w.f.mu.Lock(); defer w.f.mu.Unlock(); return len(w.f.sessions) == 2 })
				for _, s := range w.f.sessions {
					if s != sub.Session {
						w.f.acked(s.receipt(&sub, "DELIVRD"))
					}
				}
				ended(t, w.p, w.id, "DELIVRD")
			},
		},
		"after a restart": {play: func(t *testing.T, w *world) {
			sub := w.f.await(1)[0]
			settled(t, w.r)
			w.p.conn.Close()
			w.r.restart()
			w.r.carrierUp("a")
			p := w.r.transceiver()
			w.f.acked(w.f.session().receipt(&sub, "DELIVRD"))
			ended(t, p, w.id, "DELIVRD")
		}},
		"hours later": {play: func(t *testing.T, w *world) {
			sub := w.f.await(1)[0]
			time.Sleep(2 * time.Hour)
			w.f.acked(sub.Session.receipt(&sub, "DELIVRD"))
			ended(t, w.p, w.id, "DELIVRD")
		}},
		"never": {setup: shortWaits, play: func(t *testing.T, w *world) {
			w.f.await(1)
			began := time.Now()
			h, body := w.p.expectWithin(pdu.CmdDeliverSM, 3*time.Hour)
			w.p.answer(h, pdu.ESME_ROK)
			if got := fields(body.(*pdu.DeliverSM)); got["stat"] != "UNKNOWN" {
				t.Errorf("receipt %v", got)
			}
			if d := time.Since(began); d < 20*time.Minute-time.Second || d > 22*time.Minute {
				t.Errorf("given up after %v: validity is 15m, the wait after it 5m", d)
			}
		}},
		"twice": {play: func(t *testing.T, w *world) {
			sub := w.f.await(1)[0]
			w.f.acked(sub.Session.receipt(&sub, "DELIVRD"))
			if st := w.f.acked(sub.Session.receipt(&sub, "UNDELIV")); st != pdu.ESME_ROK {
				t.Errorf("the second: %v", st)
			}
			ended(t, w.p, w.id, "DELIVRD")
			w.p.quiet(time.Minute)
			if w.r.metric("masar_receipts_duplicate_total") != 1 || w.r.metric("masar_receipts_unmatched_total") != 0 {
				t.Error("the second is not counted as a duplicate")
			}
		}},
		"ACCEPTD, then final": {play: func(t *testing.T, w *world) {
			sub := w.f.await(1)[0]
			w.f.acked(sub.Session.receipt(&sub, "ENROUTE"))
			w.f.acked(sub.Session.receipt(&sub, "DELIVRD"))
			ended(t, w.p, w.id, "DELIVRD")
			w.p.quiet(time.Minute)
		}},
		"about another number": {play: func(t *testing.T, w *world) {
			sub := w.f.await(1)[0]
			wrong := sub
			wrong.Dest.Addr = []byte("966509999999")
			if st := w.f.acked(sub.Session.receipt(&wrong, "UNDELIV")); st != pdu.ESME_ROK {
				t.Errorf("acknowledged with %v", st)
			}
			w.p.quiet(time.Minute)
			if w.r.metric("masar_receipts_unmatched_total") != 1 {
				t.Error("not counted as unmatched")
			}
			w.f.acked(sub.Session.receipt(&sub, "DELIVRD"))
			ended(t, w.p, w.id, "DELIVRD")
		}},
		"in national form": {play: func(t *testing.T, w *world) {
			sub := w.f.await(1)[0]
			sub.Dest.Addr = []byte("0501234567")
			w.f.acked(sub.Session.receipt(&sub, "DELIVRD"))
			ended(t, w.p, w.id, "DELIVRD")
		}},
		"without id or state": {play: func(t *testing.T, w *world) {
			sub := w.f.await(1)[0]
			if st := w.f.acked(sub.Session.deliver(&pdu.DeliverSM{ESMClass: pdu.ESMClassReceipt, ShortMessage: []byte("what?")})); st != pdu.ESME_ROK {
				t.Errorf("acknowledged with %v", st)
			}
			w.p.quiet(time.Minute)
			if w.r.metric("masar_receipts_unmatched_total") != 1 {
				t.Error("not counted as unmatched")
			}
			w.f.acked(sub.Session.receipt(&sub, "DELIVRD"))
			ended(t, w.p, w.id, "DELIVRD")
		}},
		"hex in the response, decimal here": {
			verdict: func(n int, s *fakeSubmit) { s.ID = fmt.Sprintf("00%X", 0xabc0+n) },
			play: func(t *testing.T, w *world) {
				sub := w.f.await(1)[0]
				sub.ID = fmt.Sprint(0xabc0)
				w.f.acked(sub.Session.receipt(&sub, "DELIVRD"))
				ended(t, w.p, w.id, "DELIVRD")
			},
		},
		"decimal in the response, hex here": {
			verdict: func(n int, s *fakeSubmit) { s.ID = fmt.Sprint(0xabc0 + n) },
			play: func(t *testing.T, w *world) {
				sub := w.f.await(1)[0]
				sub.ID = "0000ABC0"
				w.f.acked(sub.Session.receipt(&sub, "DELIVRD"))
				ended(t, w.p, w.id, "DELIVRD")
			},
		},
		"forms given, after a restart": {
			setup: func(s *Setup) {
				s.Carriers[0].Receipts = CarrierReceipts{RespForm: receipt.Dec, RespKnown: true, TextForm: receipt.Hex, TextKnown: true}
			},
			verdict: func(n int, s *fakeSubmit) { s.ID = fmt.Sprint(0xabc0 + n) },
			play: func(t *testing.T, w *world) {
				sub := w.f.await(1)[0]
				settled(t, w.r)
				w.p.conn.Close()
				w.r.restart()
				w.r.carrierUp("a")
				p := w.r.transceiver()
				sub.ID = "ABC0"
				w.f.acked(w.f.session().receipt(&sub, "UNDELIV"))
				ended(t, p, w.id, "UNDELIV")
			},
		},
		"a response without an id": {
			setup:   shortWaits,
			verdict: func(_ int, s *fakeSubmit) { s.ID = "" },
			play: func(t *testing.T, w *world) {
				sub := w.f.await(1)[0]
				sub.ID = "77"
				w.f.acked(sub.Session.receipt(&sub, "DELIVRD"))
				h, body := w.p.expectWithin(pdu.CmdDeliverSM, 3*time.Hour)
				w.p.answer(h, pdu.ESME_ROK)
				if got := fields(body.(*pdu.DeliverSM)); got["stat"] != "UNKNOWN" {
					t.Errorf("receipt %v", got)
				}
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := &world{f: newFakeSMSC(t, tt.verdict)}
				w.r = fakeRig(t, w.f, tt.setup)
				w.p = w.r.transceiver()
				w.id = w.p.submit(wantReceipt)
				tt.play(t, w)
				settled(t, w.r)
			})
		})
	}
}

// What the parts' receipts say together.
func TestOneReceiptForAMessageHoweverManyParts(t *testing.T) {
	tests := map[string]struct {
		setup  func(s *Setup)
		states string // of parts 1, 2, 3 in the order they come: "2=DELIVRD"
		want   []string
	}{
		"all delivered":                   {nil, "1=DELIVRD 2=DELIVRD 3=DELIVRD", []string{"DELIVRD"}},
		"in another order":                {nil, "3=DELIVRD 1=DELIVRD 2=DELIVRD", []string{"DELIVRD"}},
		"one failed":                      {nil, "1=DELIVRD 2=UNDELIV 3=DELIVRD", []string{"UNDELIV"}},
		"one twice":                       {nil, "1=DELIVRD 1=DELIVRD 2=DELIVRD 3=DELIVRD", []string{"DELIVRD"}},
		"one expired":                     {nil, "3=EXPIRED 1=DELIVRD 2=UNDELIV", []string{"EXPIRED"}},
		"the carrier reports on the last": {func(s *Setup) { s.Carriers[0].Receipts.LastPart = true }, "3=DELIVRD", []string{"DELIVRD"}},
		"one receipt a part":              {func(s *Setup) { s.Accounts[0].Receipts.PerPart = true }, "1=DELIVRD 3=UNDELIV 2=DELIVRD", []string{"DELIVRD", "UNDELIV", "DELIVRD"}},
	}
	for name, tt := range tests {
		for _, when := range []string{"after all are sent", "while they are sent", "over a restart"} {
			t.Run(name+", "+when, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFakeSMSC(t, func(n int, s *fakeSubmit) {
						if when == "while they are sent" && n == 2 {
							s.Status = noAnswer
						}
					})
					r := fakeRig(t, f, tt.setup)
					p := r.transceiver()
					id := p.submit(inParts(3))
					subs := f.await(3)
					var acks []chan pdu.Status
					states := splitWords(tt.states)
					for i, s := range states {
						if when == "over a restart" && i == 1 {
							for _, a := range acks {
								f.acked(a)
							}
							acks = nil
							if tt.want[0] != "DELIVRD" || len(tt.want) > 1 || len(states) == 1 {
								t.Skip("its receipt is on its way already")
							}
							p.conn.Close()
							r.restart()
							r.carrierUp("a")
							p = r.transceiver()
						}
						acks = append(acks, f.session().receipt(&subs[s[0]-'1'], s[2:]))
					}
					if when == "while they are sent" {
						time.Sleep(time.Second)
						subs[2].Session.answer(&subs[2], pdu.ESME_ROK)
					}
					for i, a := range acks {
						if st := f.acked(a); st != pdu.ESME_ROK {
							t.Errorf("receipt %d: %v", i, st)
						}
					}
					for _, stat := range tt.want {
						got := p.receipt()
						if got["id"] != id || when != "while they are sent" && got["stat"] != stat || got["sub"] != "001" {
							t.Errorf("receipt %v, want %s", got, stat)
						}
					}
					p.quiet(time.Minute)
					if n := r.metric("masar_receipts_unmatched_total"); n != 0 {
						t.Errorf("%v unmatched", n)
					}
					settled(t, r)
				})
			})
		}
	}
}

func splitWords(s string) []string {
	var out []string
	for len(s) > 0 {
		var w string
		fmt.Sscan(s, &w)
		out = append(out, w)
		s = s[min(len(s), len(w)+1):]
	}
	return out
}

func TestIntermediateNotificationsComeOnceForEachState(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFakeSMSC(t, nil)
				r := fakeRig(t, f, nil)
				p := r.transceiver()
				p.submit(func(p *pdu.SubmitSM) {
					if n > 1 {
						inParts(n)(p)
					}
					p.RegisteredDelivery = pdu.RegisteredFinal | pdu.RegisteredIntermediate
				})
				subs := f.await(n)
				for i := range subs {
					f.acked(f.session().receipt(&subs[i], "ENROUTE"))
					f.acked(f.session().receipt(&subs[i], "ENROUTE"))
				}
				if d := p.deliver(); d.ESMClass != pdu.ESMClassIntermediate || fields(d)["stat"] != "ENROUTE" {
					t.Errorf("first came esm_class %x, %v", d.ESMClass, fields(d))
				}
				p.quiet(time.Minute)
				for i := range subs {
					f.acked(f.session().receipt(&subs[i], "DELIVRD"))
				}
				if got := p.receipt(); got["stat"] != "DELIVRD" {
					t.Errorf("then %v", got)
				}
			})
		})
	}
}

// A thousand messages with receipts from a carrier that does all that carriers do, and a
// memory that forgets nearly at once: each ends once.
func TestReceiptsAreFoundInTheStoreWhenMemoryHasForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Options: func(o *Options) { o.sentMost = 5 }, SMSC: map[string]smpptest.SMSCOptions{"a:1": {
			ReceiptDelay: 2 * time.Second, ReceiptJitter: time.Second, ReceiptTwice: 0.1, ReceiptFirst: 0.1, Seed: 7,
			IDResp: smpptest.IDForm{Base: smpptest.HexUpper, Width: 20},
		}}})
		r.carrierUp("a")
		p := r.transceiver()
		const n = 300
		waiting := map[string]bool{}
		for i := range n {
			id := p.submit(func(p *pdu.SubmitSM) {
				if i%3 == 0 {
					inParts(2)(p)
				}
				wantReceipt(p)
			})
			waiting[id] = true
		}
		for range n {
			h, body := p.expectWithin(pdu.CmdDeliverSM, time.Minute)
			p.answer(h, pdu.ESME_ROK)
			got := fields(body.(*pdu.DeliverSM))
			if !waiting[got["id"]] {
				t.Fatalf("receipt of nothing that waits: %v", got)
			}
			delete(waiting, got["id"])
		}
		if len(waiting) != 0 {
			t.Errorf("%d never ended", len(waiting))
		}
		p.quiet(time.Minute)
	})
}
