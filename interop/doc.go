// Package interop holds the gateway against SMPP implementations that are not ours:
// the real daemon, processes on loopback, and between them tshark's opinion of every PDU.
//
//	install.sh         what the tests need: tshark, Net::SMPP, node and node-smpp
//	node/peer.js       node-smpp (npm smpp), ESME or SMSC
//	perl/peer.pl       Net::SMPP (Debian's libnet-smpp-perl), ESME or SMSC
//
//	peer_test.go       drives either of them: commands to it, events from it
//	gateway_test.go    builds and runs masar serve
//	relay_test.go      TCP proxies that keep what passed, and write it as a capture
//	stage_test.go      the gateway between two processes of one library
//	scenario_test.go   what they go through, step by step
//	node_test.go, perl_test.go, fiorix_test.go   a peer each
//	tshark_test.go     tshark and smpp/pdu read the same octets: they must agree
//	params_test.go     the parameters of a PDU as either of them has read it
//
// A test whose tool is missing is skipped and says so; where MASAR_CI is set it fails.
//
// The package has no code outside its tests and nothing may import it.
package interop
