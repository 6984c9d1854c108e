package interop

import (
	"os/exec"
	"testing"
)

func startPerl(t *testing.T, role string) *peer {
	t.Helper()
	const cure = "sh interop/install.sh"
	path, err := exec.LookPath("perl")
	if err != nil {
		missing(t, "perl", cure)
	}
	if err := exec.Command(path, "-MNet::SMPP", "-e", "1").Run(); err != nil {
		missing(t, "Net::SMPP", cure)
	}
	return startPeer(t, "Net::SMPP "+role, "perl", path, "peer.pl")
}

func TestNetSMPPAsClientAndAsCarrier(t *testing.T) {
	st := newStage(t, library{name: "Net::SMPP", version: 0x34, start: startPerl, message: octetMessage, vendor: "operator_id"}, settings{})
	st.run(t)
	st.wire.agrees(t, 0)
}
