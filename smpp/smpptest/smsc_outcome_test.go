package smpptest_test

import (
	"strings"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// TestOutcomeIsDecidedByDestination sends one message to each kind of number; what the
// shares of the options would do holds only for those that Outcome leaves to them.
func TestOutcomeIsDecidedByDestination(t *testing.T) {
	outcomes := map[string]smpptest.Outcome{
		"966500000000": {},
		"966500000005": {State: pdu.StateUndeliverable, Err: "001"},
		"966500000007": {Status: pdu.ESME_RINVDSTADR},
		"966500000009": {NoReceipt: true},
		"966500000006": {State: pdu.StateExpired, Delay: 30 * time.Millisecond},
	}
	sim, addr := startSMSC(t, smpptest.SMSCOptions{
		ReceiptStates: mix(t, "REJECTD"), ReceiptDelay: time.Hour,
		Outcome: func(dest []byte) (smpptest.Outcome, bool) { o, has := outcomes[string(dest)]; return o, has },
	})
	e := boundTo(t, addr, pdu.CmdBindTransceiver)
	for _, row := range []struct {
		dest    string
		status  pdu.Status
		receipt string // what its text has; "": none comes
	}{
		{"966500000000", pdu.ESME_ROK, "stat:DELIVRD err:000"},
		{"966500000005", pdu.ESME_ROK, "stat:UNDELIV err:001"},
		{"966500000007", pdu.ESME_RINVDSTADR, ""},
		{"966500000009", pdu.ESME_ROK, ""},
		{"966500000001", pdu.ESME_ROK, ""}, // the options' hour of delay
		{"966500000006", pdu.ESME_ROK, "stat:EXPIRED err:003"},
	} {
		sm := message(1)
		sm.Dest.Addr = []byte(row.dest)
		began := time.Now()
		if st, _ := e.submit(sm); st != row.status {
			t.Fatalf("%s: answered %v, want %v", row.dest, st, row.status)
		}
		if row.receipt == "" {
			e.wantNothing()
			continue
		}
		if r := e.receipt(pdu.ESME_ROK); !strings.Contains(string(r.ShortMessage), row.receipt) {
			t.Errorf("%s: receipt %q, want %s", row.dest, r.ShortMessage, row.receipt)
		}
		if took := time.Since(began); took < outcomes[row.dest].Delay {
			t.Errorf("%s: its receipt came after %s, want %s at least", row.dest, took, outcomes[row.dest].Delay)
		}
	}
	if st := sim.Stats(); st.Accepted != 5 || st.Refused != 1 || st.Receipts != 4 {
		t.Errorf("%+v", st)
	}
}
