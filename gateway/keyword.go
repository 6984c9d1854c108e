package gateway

import "masar/service"

// Keywords is what becomes of mobile-originated messages to short codes: people enrol and
// withdraw by them. Such a message is handled before the MobileRules.
type Keywords struct {
	Account string // system_id that answers are sent under, as System notices
	Codes   []ShortCode
}

// A ShortCode is one or more numbers that people write to.
type ShortCode struct {
	Numbers   []string                // the first is the source of answers where one was not written to
	Enrolled  string                  // code of the service whose template confirms; empty: Replies["enrolled"]
	Withdrawn string                  // likewise; Replies["withdrawn"]
	Replies   map[Reply]service.Texts // placeholders: {service} its name, {code}, {date}, {number} the short code
}

// Reply names an answer to a keyword, as the configuration spells it.
type Reply string

// The answers. One that has no text is not sent.
const (
	ReplyEnrolled       Reply = "enrolled"
	ReplyWithdrawn      Reply = "withdrawn"
	ReplyWithdrawnAll   Reply = "withdrawn_all"
	ReplyHelp           Reply = "help"
	ReplyUnknownService Reply = "unknown_service"
	ReplyNotEnrolled    Reply = "not_enrolled"
	ReplyAlready        Reply = "already"
)
