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
	ServiceNotAllowed
	UnknownService
	ForeignService
	SenderUnknown
	TrialNumber
	RegistryFailed
	UnknownPerson
	Blocked
	Suspended
	NotEnrolled
	Unverified
	BadSchedule
	BadValidity
	EmptyMessage
	BadText
	ForeignLink
	NoRoute
	SenderInactive
	TooLong
	QueueFull
	DiskFull
	StoreBusy
	StoreFailed
	refusalCount

	// numberChanged stops a message that was half sent; no submit is refused for it.
	numberChanged = refusalCount
)

// What a client is told of a number that may not be sent to: command_status of our own, from
// the range that SMPP leaves to vendors (0x400 to 0x4FF).
const (
	StatusNotEnrolled   pdu.Status = 0x0410
	StatusUnverified    pdu.Status = 0x0411
	StatusSuspended     pdu.Status = 0x0412
	StatusBlocked       pdu.Status = 0x0413
	StatusTrialNumber   pdu.Status = 0x0414
	StatusForeignLink   pdu.Status = 0x0415
	StatusUnknownPerson pdu.Status = 0x0416
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
	ServiceNotAllowed:     {pdu.ESME_RINVSERTYP, "service_not_allowed", "service_type is not among the account's services"},
	UnknownService:        {pdu.ESME_RINVSERTYP, "unknown_service", "service_type is empty or not in the catalogue"},
	ForeignService:        {pdu.ESME_RINVSERTYP, "foreign_service", "the account is not granted this service; ESME_RSERTYPUNAUTH on a v5.0 bind"},
	SenderUnknown:         {pdu.ESME_RINVSRCADR, "sender_unknown", "source_addr is no registered sender of the service's agency and category"},
	TrialNumber:           {StatusTrialNumber, "trial_number", "the account is on trial and this is not one of its numbers"},
	RegistryFailed:        {pdu.ESME_RSYSERR, "registry_failed", "the registry of subscribers could not be read"},
	UnknownPerson:         {StatusUnknownPerson, "unknown_person", "addressed to a person whom the registry does not know; over HTTP only"},
	Blocked:               {StatusBlocked, "blocked", "the number is on the blocklist"},
	Suspended:             {StatusSuspended, "suspended", "the number is recycled or unreachable, until it is verified again"},
	NotEnrolled:           {StatusNotEnrolled, "not_enrolled", "nobody at the number is enrolled in the service"},
	Unverified:            {StatusUnverified, "unverified", "enrolled, and the code sent to the number was not entered yet"},
	BadSchedule:           {pdu.ESME_RINVSCHED, "bad_schedule", "schedule_delivery_time is malformed, past or too far"},
	BadValidity:           {pdu.ESME_RINVEXPIRY, "bad_validity", "validity_period is malformed, past, before the schedule or before permitted hours"},
	EmptyMessage:          {pdu.ESME_RINVMSGLEN, "empty_message", "the message is empty and the account refuses that"},
	BadText:               {pdu.ESME_RSUBMITFAIL, "bad_text", "the octets are no text in the announced data_coding"},
	ForeignLink:           {StatusForeignLink, "foreign_link", "a link leads elsewhere than to the service's registered domains"},
	NoRoute:               {pdu.ESME_RINVDSTADR, "no_route", "no route leads to this destination, or none that can make the service free to its receiver"},
	SenderInactive:        {pdu.ESME_RINVSRCADR, "sender_inactive", "the sender is registered, and active at no carrier of the route"},
	TooLong:               {pdu.ESME_RINVMSGLEN, "too_long", "the text needs more parts than the account or the carriers allow"},
	QueueFull:             {pdu.ESME_RMSGQFUL, "queue_full", "the account's room, or its class's share of all room, is used up"},
	DiskFull:              {pdu.ESME_RMSGQFUL, "disk_full", "free disk space is below min_free"},
	StoreBusy:             {pdu.ESME_RTHROTTLED, "store_busy", "the store's inbox is full"},
	StoreFailed:           {pdu.ESME_RSYSERR, "store_failed", "the store did not take the message"},
}

func (r Refusal) String() string {
	if r == numberChanged {
		return "number_changed"
	}
	return refusals[r].label
}

// status is the table's; ESME_ROK for what is not in it.
func (r Refusal) status() pdu.Status {
	if r >= refusalCount {
		return pdu.ESME_ROK
	}
	return refusals[r].status
}

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
	return r.why.status()
}

// Refusals tells each row of the table, for documents and their test.
func Refusals(each func(r Refusal, st pdu.Status, label, rule string)) {
	for i, row := range refusals {
		each(Refusal(i), row.status, row.label, row.rule)
	}
}
