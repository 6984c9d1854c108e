// Package smpp holds SMPP v3.4 and v5.0 sessions in both roles: a [Server] that
// ESMEs bind to, and a [Client] that binds to an SMSC and stays bound.
//
//	handler.go   what an owner implements and hears: Handler, Answer, Observer
//	state.go     roles, states and the table of what may be sent when   (brain)
//	timers.go    session_init, enquire_link, inactivity, unbind          (brain)
//	pending.go   our own unanswered requests, by sequence_number         (brain)
//	backoff.go   how long a client waits before it dials again           (brain)
//	limits.go    bounds of one session and their defaults
//	session.go   a session's life: start, end, what it tells about itself
//	reader.go    octets -> frames, the clock, back-pressure  (reader goroutine)
//	dispatch.go  a frame -> its answer or the Handler        (reader goroutine)
//	reply.go     open requests of the peer and their answers (any goroutine)
//	send.go      our own requests, unbind                    (any goroutine)
//	writer.go    the outgoing octets -> the socket           (writer goroutine)
//	server.go    listeners, binds, orderly shutdown
//	client.go    dial, bind, hold, bind again
//
// A session owns two goroutines and no more. The reader alone reads and calls the
// [Handler]; the writer alone writes. Replies and requests are encoded at once, under a
// short lock, into one outgoing buffer, and the writer hands the whole buffer to the
// socket: many PDUs, one write. Nothing is allocated for a PDU once the buffers have
// grown, and no timer is started for one: the reader's own read deadline is the clock.
//
// enquire_link, unbind, bind and generic_nack are answered here; what a message means,
// who may bind and what is stored is decided by the owner.
package smpp
