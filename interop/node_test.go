package interop

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"masar/smpp/pdu"
	"masar/smpp/text"
)

func startNode(t *testing.T, role string) *peer {
	t.Helper()
	const cure = "sh interop/install.sh"
	path, err := exec.LookPath("node")
	if err != nil {
		missing(t, "node", cure)
	}
	if _, err := os.Stat("node/node_modules/smpp"); err != nil {
		missing(t, "node-smpp (npm smpp)", cure)
	}
	p := startPeer(t, "node-smpp "+role, "node", path, "peer.js")
	p.do(t, map[string]any{"do": "tlv", "name": "vendor_1401", "id": 0x1401})
	return p
}

// nodeMessage leaves the alphabet to node-smpp: GSM octets under data_coding 1, Latin-1
// under 3, UCS-2 under 8, whichever comes first.
func nodeMessage(s string, _ text.Encoding) fields {
	return fields{"short_message": map[string]any{"text": s}}
}

var nodeSMPP = library{name: "node-smpp", version: 0x50, start: startNode, message: nodeMessage, multi: true, vendor: "vendor_1401"}

func TestNodeSMPPAsClientAndAsCarrier(t *testing.T) {
	st := newStage(t, nodeSMPP, settings{})
	st.run(t)
	st.wire.agrees(t, 0)
}

// TestNodeSMPPReadsEveryWayOfCutting: what the carrier's profile can make of a long text,
// but for the 8-bit reference that all other tests have.
func TestNodeSMPPReadsEveryWayOfCutting(t *testing.T) {
	whole := strings.TrimSpace(strings.Repeat(arabic+" ", 5))
	octets, err := text.Encode(nil, whole, text.UCS2)
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{"udh16", "sar", "payload"} {
		t.Run(way, func(t *testing.T) {
			st := newStage(t, nodeSMPP, settings{Segmentation: way})
			st.binds(t, "trx", "bind_transceiver")
			id := st.submits(t, "trx", fields{"message_payload": hexField(octets), "data_coding": 8})
			got, total := "", 1
			var numbers []uint64
			for i := 1; i <= total; i++ {
				sm, n := st.arrives(t)
				numbers = append(numbers, n)
				seq := 1
				switch _, _, _, udh := body(sm); way {
				case "udh16":
					if len(udh) != 6 || udh[0] != 8 || udh[1] != 4 {
						t.Fatalf("header %x", udh)
					}
					total, seq = int(udh[4]), int(udh[5])
				case "sar":
					if len(sm.octets("sar_msg_ref_num")) != 2 || len(sm.octets("sar_total_segments")) != 1 || len(sm.octets("sar_segment_seqnum")) != 1 || len(udh) > 0 {
						t.Fatalf("part %d is %v", i, sm.Fields)
					}
					total, seq = int(sm.octets("sar_total_segments")[0]), int(sm.octets("sar_segment_seqnum")[0])
				}
				if seq != i {
					t.Errorf("part %d comes as the %dth", seq, i)
				}
				got += words(t, sm)
			}
			if got != whole || (total > 1) == (way == "payload") {
				t.Errorf("%d parts with %q, want %q", total, got, whole)
			}
			for _, n := range numbers {
				st.reports(t, n, "DELIVRD")
			}
			st.hears(t, id, "DELIVRD", pdu.StateDelivered)
			st.ends(t)
			st.wire.agrees(t, 0)
		})
	}
}
