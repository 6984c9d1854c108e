package smpptest

import (
	"io"
	"net"
	"testing"

	"masar/smpp/pdu"
)

// FuzzSMSCReadsAnything gives a session whatever octets a peer may write. It must
// neither panic nor use more octets than there are, and end a session only where framing
// is lost or an unbind was read.
func FuzzSMSCReadsAnything(f *testing.F) {
	sm := &pdu.SubmitSM{Source: pdu.Address{Addr: []byte("AHWAL")}, Dest: pdu.Address{Addr: []byte("966501234567")}, RegisteredDelivery: 1, ShortMessage: []byte("hello")}
	f.Add(pdu.Append(nil, pdu.CmdSubmitSM, 0, 1, sm))
	sm.ESMClass, sm.ShortMessage = pdu.ESMClassUDHI, []byte{5, 0, 3, 1, 2, 1, 'x'}
	f.Add(pdu.Append(pdu.Append(nil, pdu.CmdSubmitSM, 0, 1, sm), pdu.CmdEnquireLink, 0, 2, nil))
	f.Add(pdu.Append(nil, pdu.CmdDataSM, 0, 3, &pdu.DataSM{RegisteredDelivery: 1, TLVs: pdu.TLVs(nil).Append(pdu.TagMessagePayload, []byte("hi"))}))
	f.Add(pdu.Append(nil, pdu.CmdBindTransceiver, 0, 4, &pdu.Bind{SystemID: []byte("again")}))
	f.Add(pdu.Append(nil, pdu.CmdDeliverSMResp, 0, 1, &pdu.MessageResp{}))
	f.Add(pdu.Append(nil, pdu.CmdUnbind, 0, 5, nil))
	f.Add([]byte{0, 0, 0, 15, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1})
	c, err := NewSMSC(SMSCOptions{Seed: 1, OnMessage: func(*Message) {}, OnSubmit: func(*Submit) {}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	f.Fuzz(func(t *testing.T, octets []byte) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go io.Copy(io.Discard, theirs)
		s := newSMSCSession(c, ours)
		bind := pdu.Append(nil, pdu.CmdBindTransceiver, 0, 1, &pdu.Bind{SystemID: []byte("fuzz")})
		if _, err := s.frames(bind); err != nil {
			t.Fatal(err)
		}
		used, err := s.frames(octets)
		s.endOfRead()
		ours.Close()
		c.ended(s)
		if used > len(octets) {
			t.Errorf("used %d of %d octets", used, len(octets))
		}
		if err != nil && err != errFraming && err != errUnbound {
			t.Error(err)
		}
	})
}
