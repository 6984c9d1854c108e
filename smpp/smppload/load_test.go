package smppload_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smppload"
	"masar/smpp/smpptest"
)

// carrier starts a simulator on loopback.
func carrier(t testing.TB, o smpptest.SMSCOptions) (*smpptest.SMSC, string) {
	t.Helper()
	c, err := smpptest.NewSMSC(o)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := c.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, addr
}

func load(t testing.TB, o smppload.Options) *smppload.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	res, err := smppload.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestEveryMessageIsAnsweredAndReceiptedOnce(t *testing.T) {
	for _, row := range []struct {
		name string
		sim  smpptest.SMSCOptions
		load smppload.Options
	}{
		{"one transceiver", smpptest.SMSCOptions{}, smppload.Options{Binds: 1, Window: 1, Count: 200}},
		{"four transceivers", smpptest.SMSCOptions{}, smppload.Options{Binds: 4, Window: 100, Count: 20_000}},
		{"transmitters and receivers", smpptest.SMSCOptions{}, smppload.Options{Binds: 2, Receivers: 2, Window: 50, Count: 5_000}},
		{"latency and delay", smpptest.SMSCOptions{Latency: 3 * time.Millisecond, Jitter: 2 * time.Millisecond, ReceiptDelay: 20 * time.Millisecond, ReceiptJitter: 15 * time.Millisecond},
			smppload.Options{Binds: 2, Window: 100, Count: 3_000}},
		{"receipt first", smpptest.SMSCOptions{ReceiptFirst: 1}, smppload.Options{Binds: 2, Window: 100, Count: 2_000}},
		{"receipts by data_sm, elsewhere", smpptest.SMSCOptions{ReceiptByData: true, ReceiptElsewhere: true}, smppload.Options{Binds: 3, Window: 20, Count: 3_000}},
		{"ids in the text alone", smpptest.SMSCOptions{ReceiptTLVs: smpptest.TextOnly}, smppload.Options{Binds: 2, Window: 20, Count: 1_000}},
		{"ids in the TLV alone", smpptest.SMSCOptions{ReceiptTLVs: smpptest.TLVsOnly}, smppload.Options{Binds: 2, Window: 20, Count: 1_000}},
	} {
		t.Run(row.name, func(t *testing.T) {
			sim, addr := carrier(t, row.sim)
			row.load.Addr, row.load.Receipts = addr, true
			res := load(t, row.load)
			n := row.load.Count
			if res.Sent != n || res.Accepted != n || res.Receipts != n || res.Statuses["ESME_ROK"] != n || res.ReceiptStates["DELIVRD"] != n {
				t.Fatalf("of %d messages: %+v", n, *res)
			}
			if res.Missing+res.Dup+res.Strange+res.Unsought+res.Uncertain+res.Refused != 0 {
				t.Fatalf("wrong books: %+v", *res)
			}
			if st := sim.Stats(); st.Submits != n || st.Acked != n || st.Violations != 0 || !sim.Idle() {
				t.Fatalf("the simulator counted %+v", st)
			}
		})
	}
}

func TestMissingReceiptsAreCountedAndNamed(t *testing.T) {
	sim, addr := carrier(t, smpptest.SMSCOptions{NoReceipt: 0.1, Seed: 7})
	res := load(t, smppload.Options{Addr: addr, Binds: 2, Window: 50, Count: 5_000, Receipts: true, Settle: 200 * time.Millisecond})
	made := sim.Stats().Receipts
	if made == 5_000 || made < 4_000 {
		t.Fatalf("the simulator made %d receipts of 5000, at one in ten left out", made)
	}
	if res.Receipts != made || res.Missing != 5_000-made || res.Dup != 0 {
		t.Fatalf("%d receipts, %d missing, %d twice; %d were made", res.Receipts, res.Missing, res.Dup, made)
	}
	named := uint64(0)
	for _, o := range res.Ledger.All {
		if o.Has(smppload.Accepted) && !o.Has(smppload.Receipted) {
			named++
		}
	}
	if named != res.Missing {
		t.Fatalf("the ledger names %d of %d missing", named, res.Missing)
	}
}

func TestDuplicateReceiptsAreCounted(t *testing.T) {
	sim, addr := carrier(t, smpptest.SMSCOptions{ReceiptTwice: 0.2, Seed: 9})
	res := load(t, smppload.Options{Addr: addr, Binds: 2, Window: 50, Count: 5_000, Receipts: true, Linger: 300 * time.Millisecond})
	twice := sim.Stats().Receipts - 5_000
	if twice < 500 || res.Dup != twice || res.Receipts != 5_000 || res.Missing != 0 {
		t.Fatalf("%d receipts were sent twice; counted %+v", twice, *res)
	}
}

func TestAReceiptWithAnotherIDIsStrangeNotReceived(t *testing.T) {
	// The same number in hexadecimal and decimal: to a client, two different ids.
	_, addr := carrier(t, smpptest.SMSCOptions{IDReceipt: smpptest.IDForm{Base: smpptest.HexLower}})
	res := load(t, smppload.Options{Addr: addr, Binds: 1, Window: 10, Count: 100, Receipts: true, Settle: 200 * time.Millisecond})
	if res.Receipts != 0 || res.Strange != 100 || res.Missing != 100 {
		t.Fatalf("%+v", *res)
	}
}

func TestRefusalsAreCountedByStatus(t *testing.T) {
	_, addr := carrier(t, smpptest.SMSCOptions{ErrorRate: 0.25, ErrorStatus: pdu.ESME_RINVDSTADR, Seed: 3})
	res := load(t, smppload.Options{Addr: addr, Binds: 2, Window: 10, Count: 2_000, Receipts: true})
	refused := res.Statuses["ESME_RINVDSTADR"]
	if refused < 300 || refused > 700 || res.Refused != refused || res.Accepted+refused != 2_000 || res.Receipts != res.Accepted || res.Missing != 0 {
		t.Fatalf("%+v", *res)
	}
}

func TestWhatIsThrottledIsSubmittedAgain(t *testing.T) {
	sim, addr := carrier(t, smpptest.SMSCOptions{ErrorRate: 0.25, ErrorStatus: pdu.ESME_RTHROTTLED, Seed: 3})
	res := load(t, smppload.Options{Addr: addr, Binds: 2, Window: 50, Count: 2_000, Receipts: true, Again: true})
	throttled := res.Statuses["ESME_RTHROTTLED"]
	if res.Accepted != 2_000 || res.Refused != 0 || res.Receipts != 2_000 || res.Missing+res.Dup+res.Strange != 0 || throttled < 300 || res.Sent != 2_000+throttled {
		t.Fatalf("%+v; %+v", *res, sim.Stats())
	}
}

func TestALostConnectionLeavesUncertainMessagesAndIsMadeAgain(t *testing.T) {
	sim, addr := carrier(t, smpptest.SMSCOptions{DropAfter: 500, Latency: time.Millisecond})
	res := load(t, smppload.Options{Addr: addr, Binds: 2, Window: 20, Count: 5_000, Receipts: true, Reconnect: true, KeepIDs: true, Settle: time.Second})
	if res.Reconnects == 0 || res.Uncertain == 0 || res.Sent != 5_000 || res.Accepted+res.Uncertain != 5_000 {
		t.Fatalf("%+v", *res)
	}
	if res.Missing != 0 {
		t.Fatalf("every answered message has its receipt, over whichever bind: %+v", *res)
	}
	if resent := sim.Stats().Resent; res.Dup > resent {
		t.Fatalf("%d receipts came twice, but only %d were sent again", res.Dup, resent)
	}
	if max := sim.Stats().Dropped * 20; res.Uncertain > max {
		t.Fatalf("%d uncertain, but %d connections lost had at most %d unanswered", res.Uncertain, sim.Stats().Dropped, max)
	}
	for n, o := range res.Ledger.All {
		if id := res.Ledger.ID(n); (id != "") != o.Has(smppload.Accepted) {
			t.Fatalf("message %d is %s and has message_id %q", n, o, id)
		}
	}
}

// The server answers what crossed its unbind on the wire; a client that left at once would
// never know.
func TestAnUnbindOfTheServerWaitsForTheAnswersThatCrossedIt(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	const window = 5
	last := make(chan pdu.Command, 1) // what the client said last
	go func() {
		defer close(last)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var submits []uint32
		frame := make([]byte, 1024)
		for {
			if _, err := io.ReadFull(conn, frame[:pdu.HeaderLen]); err != nil {
				return
			}
			h := pdu.ParseHeader(frame)
			io.ReadFull(conn, frame[pdu.HeaderLen:h.Length])
			switch h.Command {
			case pdu.CmdBindTransceiver:
				conn.Write(pdu.Append(nil, h.Command.Resp(), pdu.ESME_ROK, h.Sequence, &pdu.BindResp{SystemID: []byte("late")}))
			case pdu.CmdSubmitSM:
				if submits = append(submits, h.Sequence); len(submits) == window {
					conn.Write(pdu.Append(nil, pdu.CmdUnbind, pdu.ESME_ROK, 1, nil))
					for _, seq := range submits {
						conn.Write(pdu.Append(nil, pdu.CmdSubmitSMResp, pdu.ESME_RMSGQFUL, seq, nil))
					}
				}
			default:
				last <- h.Command
				return
			}
		}
	}()
	res, err := smppload.Run(t.Context(), smppload.Options{Addr: ln.Addr().String(), Binds: 1, Window: window, Count: 100})
	if err == nil || res == nil || res.Refused != window || res.Uncertain != 0 {
		t.Fatalf("err %v, result %+v", err, res)
	}
	if cmd := <-last; cmd != pdu.CmdUnbindResp {
		t.Fatalf("the client ended with %s", cmd)
	}
}

func TestWithoutReconnectTheRunEndsWithItsConnections(t *testing.T) {
	_, addr := carrier(t, smpptest.SMSCOptions{DropAfter: 100})
	res, err := smppload.Run(t.Context(), smppload.Options{Addr: addr, Binds: 1, Window: 10, Count: 1_000})
	if err == nil || res == nil || res.Accepted != 99 || res.Uncertain == 0 {
		t.Fatalf("err %v, result %+v", err, res)
	}
}

func TestARateIsKept(t *testing.T) {
	_, addr := carrier(t, smpptest.SMSCOptions{})
	res := load(t, smppload.Options{Addr: addr, Binds: 4, Window: 10, Rate: 1_000, Duration: 700 * time.Millisecond})
	// 700 of them; the machine may be busy, so only faster is certainly wrong.
	if res.Sent > 705 || res.Sent < 350 || res.Accepted != res.Sent {
		t.Fatalf("%+v", *res)
	}
}

func TestEnoughEndsSubmittingAndWaitsForReceipts(t *testing.T) {
	_, addr := carrier(t, smpptest.SMSCOptions{ReceiptDelay: 200 * time.Millisecond})
	enough := make(chan struct{})
	var once sync.Once
	res := load(t, smppload.Options{
		Addr: addr, Binds: 2, Window: 10, Rate: 2_000, Enough: enough, Receipts: true, Every: time.Millisecond,
		Progress: func(p smppload.Progress) {
			if p.Accepted >= 100 {
				once.Do(func() { close(enough) })
			}
		},
	})
	if res.Accepted < 100 || res.Accepted != res.Sent || res.Receipts != res.Accepted {
		t.Fatalf("%+v", *res)
	}
}

func TestARefusedBindIsTheRunsError(t *testing.T) {
	_, addr := carrier(t, smpptest.SMSCOptions{Credentials: map[string]string{"a": "right"}})
	_, err := smppload.Run(t.Context(), smppload.Options{Addr: addr, SystemID: "a", Password: "wrong", Count: 1, Reconnect: true})
	var refused *smppload.BindError
	if !errors.As(err, &refused) || refused.Status != pdu.ESME_RINVPASWD {
		t.Fatalf("%v", err)
	}
}
