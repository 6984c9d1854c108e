package queue

import "strconv"

// JobKind says which room made a message.
type JobKind uint8

// The kinds of a Job. Their numbers stand in records: they are never given to another kind.
const (
	NoJob JobKind = iota
	ReminderJob
	CampaignJob
)

var jobKinds = [...]string{"none", "reminder", "campaign"}

func (k JobKind) String() string {
	if int(k) < len(jobKinds) {
		return jobKinds[k]
	}
	return "job kind " + strconv.Itoa(int(k))
}

// A Job says on whose behalf the gateway made a message. The zero Job: a client submitted it.
type Job struct {
	Kind   JobKind
	Number uint64 // of a reminder its series, of a campaign its id
	Item   uint64 // of a reminder its step, of a campaign its row
}

// JobsAccount is the account name (see Store.Number) whose outbox holds the ends of jobs:
// Deliveries of kind JobEnd. They are taken inside the process, so none of them is given
// up: neither for its Expires nor because many wait. No client can have the name.
const JobsAccount = "\x00jobs"
