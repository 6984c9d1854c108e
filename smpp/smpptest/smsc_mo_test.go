package smpptest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smpptest"
	"masar/smpp/text"
)

func TestAMobileOriginatedMessageIsDeliveredInParts(t *testing.T) {
	long := strings.Repeat("نص طويل ", 20) // 160 units: 3 parts
	for _, row := range []struct {
		name  string
		mo    smpptest.MO
		parts int
	}{
		{"short", smpptest.MO{Text: "STOP"}, 1},
		{"udh8", smpptest.MO{Text: long}, 3},
		{"udh16, backwards", smpptest.MO{Text: long, Style: text.UDH16, Order: []int{2, 1, 0}}, 3},
		{"sar", smpptest.MO{Text: long, Style: text.SAR}, 3},
		{"payload", smpptest.MO{Text: long, Style: text.Payload}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			sim, addr := startSMSC(t, smpptest.SMSCOptions{})
			e := boundTo(t, addr, pdu.CmdBindReceiver)
			row.mo.SystemID, row.mo.From, row.mo.To = "masar", "966551234567", "7001"
			done := make(chan error, 1)
			go func() { done <- sim.Deliver(t.Context(), row.mo) }()
			whole := text.NewReassembler(10, 1<<20, time.Minute)
			for i := range row.parts {
				sm := e.receipt(pdu.ESME_ROK)
				if string(sm.Source.Addr) != "966551234567" || string(sm.Dest.Addr) != "7001" || sm.ESMClass&pdu.ESMClassTypeMask != 0 {
					t.Errorf("%+v", sm)
				}
				content := sm.Content()
				var c text.Concat
				if sm.ESMClass&pdu.ESMClassUDHI != 0 {
					got, _, n, err := text.ParseUDH(content)
					if err != nil {
						t.Fatal(err)
					}
					c, content = got, content[n:]
				} else if ref, ok := sm.TLVs.Get(pdu.TagSARMsgRefNum); ok {
					total, _ := sm.TLVs.Get(pdu.TagSARTotalSegments)
					seq, _ := sm.TLVs.Get(pdu.TagSARSegmentSeqnum)
					c, _ = text.SARConcat(binary.BigEndian.Uint16(ref), total[0], seq[0])
				}
				parts, complete, err := whole.Add(time.Now(), "k", c, content)
				if err != nil || complete != (i == row.parts-1) {
					t.Fatalf("part %d: %+v, %v", i, c, err)
				}
				if complete {
					codings := text.Codings{Default: text.GSM7}
					enc, _ := codings.Encoding(sm.DataCoding)
					if got, err := text.Decode(bytes.Join(parts, nil), enc); err != nil || got != row.mo.Text {
						t.Errorf("%q, %v", got, err)
					}
				}
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if st := sim.Stats(); st.Mobile != uint64(row.parts) || st.Acked != st.Mobile || !sim.Idle() {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestARefusedMobileOriginatedMessageIsAnError(t *testing.T) {
	sim, addr := startSMSC(t, smpptest.SMSCOptions{ReceiptRetry: time.Millisecond})
	e := boundTo(t, addr, pdu.CmdBindReceiver)
	done := make(chan error, 1)
	go func() {
		done <- sim.Deliver(t.Context(), smpptest.MO{SystemID: "masar", From: "1", To: "2", Text: "x"})
	}()
	e.receipt(pdu.ESME_RX_T_APPN) // comes again
	e.receipt(pdu.ESME_RX_P_APPN)
	if err := <-done; !errors.Is(err, smpptest.ErrNotAcknowledged) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sim.Deliver(ctx, smpptest.MO{SystemID: "nobody", Text: "x"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
