// Package pdu reads and writes the protocol data units of SMPP v3.4, with the
// statuses and TLVs of v5.0.
//
//	header.go   the 16 octets in front; Append of a whole PDU; NewBody
//	command.go  command_id and its names
//	status.go   command_status: names and one sentence each
//	fields.go   the reader and writer of single parameters, FieldError
//	bind.go     bind_*, their responses, outbind
//	message.go  submit_sm, deliver_sm, and the responses that carry a message_id
//	data.go     data_sm, alert_notification
//	multi.go    submit_multi and its response
//	manage.go   query_sm, cancel_sm, replace_sm
//	tlv.go      a PDU's TLVs as they are on the wire; tag.go has their table
//	flags.go    esm_class, registered_delivery, data_coding, TON, NPI
//	state.go    message_state
//	time.go     schedule_delivery_time, validity_period, final_date
//	check.go    are the values of a syntactically whole request allowed
//	print.go    a PDU for an operator at night; log.go has it masked for the log
//
// Decoding and encoding do not allocate: the []byte fields of a decoded body
// alias the frame it was read from. Who keeps one beyond the frame copies it.
//
// Decode checks syntax: lengths, NULs, the TLV stream and the lengths of known
// TLVs. Check, where a request has it, looks at values, so that a server can
// refuse what a client that talks to a lax carrier lets pass.
//
// The package has no goroutine, opens no connection and reads no clock. It does
// not decode text (masar/smpp/text) or receipts (masar/smpp/receipt), and the
// broadcast_* commands of v5.0 have names but no bodies.
package pdu
