// Package smpptest has what SMPP code is tested against.
//
//	pipe.go      Pipe: an in-memory duplex connection with buffers, addresses, deadlines
//	dialogue.go  a scripted peer: text files that say who sends what and what must come
//	smsc*.go     SMSC: a simulated carrier, as library and behind `masar sim`
//
// It is linked into the masar binary and so does not import testing.
package smpptest
