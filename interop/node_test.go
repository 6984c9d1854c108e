package interop

import (
	"os"
	"os/exec"
	"testing"

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
	return startPeer(t, "node-smpp "+role, "node", path, "peer.js")
}

// nodeMessage leaves the alphabet to node-smpp: GSM octets under data_coding 1, Latin-1
// under 3, UCS-2 under 8, whichever comes first.
func nodeMessage(s string, _ text.Encoding) fields {
	return fields{"short_message": map[string]any{"text": s}}
}

func TestNodeSMPPAsClientAndAsCarrier(t *testing.T) {
	st := newStage(t, library{name: "node-smpp", version: 0x50, start: startNode, message: nodeMessage})
	st.run(t)
	st.wire.agrees(t, 0)
}
