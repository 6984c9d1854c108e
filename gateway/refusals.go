package gateway

import "masar/smpp/pdu"

// A Refusal is why a submit was not accepted. The zero value is none.
type Refusal uint8

// The refusals, in the order in which admission asks.
const (
	Accepted Refusal = iota
	OverWindow
	OverRate
	ShuttingDown
	InvalidField
	BothBodies
	BrokenUDH
	UnknownDefaultMessage
	SenderNotAllowed
	BadDestination
	BadSchedule
	BadValidity
	ServiceNotAllowed
	EmptyMessage
	BadText
	TooLong
	NoRoute
	QueueFull
	DiskFull
	StoreBusy
	StoreFailed
	refusalCount
)

// refusals is the one table of them: docs/statuses.md carries the same rows. A status of
// InvalidField is the field's own.
var refusals = [refusalCount]struct {
	status pdu.Status
	label  string // of masar_submits_total and the log
	rule   string // what the operator reads
}{
	Accepted:              {pdu.ESME_ROK, "ok", "accepted: on disk"},
	OverWindow:            {pdu.ESME_RTHROTTLED, "over_window", "more submits unanswered on this bind than window and park allow"},
	OverRate:              {pdu.ESME_RTHROTTLED, "over_rate", "faster than the account's throughput"},
	ShuttingDown:          {pdu.ESME_RMSGQFUL, "shutting_down", "the gateway is shutting down"},
	InvalidField:          {pdu.ESME_RSUBMITFAIL, "invalid_field", "a field is malformed or out of its range; its own status is answered"},
	BothBodies:            {pdu.ESME_RINVMSGLEN, "both_bodies", "short_message and message_payload are both present"},
	BrokenUDH:             {pdu.ESME_RINVESMCLASS, "broken_udh", "esm_class announces a user data header that the message does not hold"},
	UnknownDefaultMessage: {pdu.ESME_RINVDFTMSGID, "unknown_default_message", "sm_default_msg_id names no configured message"},
	SenderNotAllowed:      {pdu.ESME_RINVSRCADR, "sender_not_allowed", "source_addr is not among the account's senders"},
	BadDestination:        {pdu.ESME_RINVDSTADR, "bad_destination", "destination_addr is not a number that can be sent to"},
	BadSchedule:           {pdu.ESME_RINVSCHED, "bad_schedule", "schedule_delivery_time is malformed, past or too far"},
	BadValidity:           {pdu.ESME_RINVEXPIRY, "bad_validity", "validity_period is malformed, past or before the schedule"},
	ServiceNotAllowed:     {pdu.ESME_RINVSERTYP, "service_not_allowed", "service_type is not among the account's services"},
	EmptyMessage:          {pdu.ESME_RINVMSGLEN, "empty_message", "the message is empty and the account refuses that"},
	BadText:               {pdu.ESME_RSUBMITFAIL, "bad_text", "the octets are no text in the announced data_coding"},
	TooLong:               {pdu.ESME_RINVMSGLEN, "too_long", "the text needs more parts than the account or the carriers allow"},
	NoRoute:               {pdu.ESME_RINVDSTADR, "no_route", "no route leads to this destination"},
	QueueFull:             {pdu.ESME_RMSGQFUL, "queue_full", "the account's room, or its class's share of all room, is used up"},
	DiskFull:              {pdu.ESME_RMSGQFUL, "disk_full", "free disk space is below min_free"},
	StoreBusy:             {pdu.ESME_RTHROTTLED, "store_busy", "the store's inbox is full"},
	StoreFailed:           {pdu.ESME_RSYSERR, "store_failed", "the store did not take the message"},
}

func (r Refusal) String() string { return refusals[r].label }

// refused is a Refusal with what the log needs. The zero value is an acceptance.
type refused struct {
	why    Refusal
	status pdu.Status // ESME_ROK: the table's
	detail string
}

func refuse(why Refusal, detail string) refused { return refused{why: why, detail: detail} }

func (r refused) wire() pdu.Status {
	if r.status != pdu.ESME_ROK {
		return r.status
	}
	return refusals[r.why].status
}

// Refusals tells each row of the table, for documents and their test.
func Refusals(each func(r Refusal, st pdu.Status, label, rule string)) {
	for i, row := range refusals {
		each(Refusal(i), row.status, row.label, row.rule)
	}
}
