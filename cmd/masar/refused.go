package main

import (
	"fmt"

	"masar/gateway"
	"masar/smpp/pdu"
)

// refusedBecause are the statuses of this gateway's own that a client of an agency meets,
// with what to do; %[1]s is the number, %[2]s the service.
var refusedBecause = map[pdu.Status]struct {
	refusal gateway.Refusal
	cure    string
}{
	gateway.StatusNotEnrolled: {gateway.NotEnrolled, "nobody at %[1]s is enrolled in %[2]s; masar subs add %[1]s --service %[2]s --verified enrols him"},
	gateway.StatusUnverified:  {gateway.Unverified, "%[1]s waits for its code; masar subs verify %[1]s CODE enters it"},
	gateway.StatusSuspended:   {gateway.Suspended, "%[1]s is suspended, recycled or unreachable; masar subs show %[1]s tells which"},
	gateway.StatusBlocked:     {gateway.Blocked, "%[1]s is on the blocklist; masar subs unblock %[1]s takes it off"},
	gateway.StatusTrialNumber: {gateway.TrialNumber, "a trial account reaches only its trial_numbers and test_numbers, and %[1]s is none"},
	gateway.StatusForeignLink: {gateway.ForeignLink, "a link in the text leads to a domain that %[2]s has not registered"},
	pdu.ESME_RINVSERTYP:       {gateway.UnknownService, "the account is not granted the service %[2]q; give it with --service"},
	pdu.ESME_RINVSRCADR:       {gateway.SenderUnknown, "the sender is none of the service's agency; leave --from away"},
}

// explained adds to a refusal what it means, where that is known here.
func explained(err error, st pdu.Status, number, service string) error {
	why, known := refusedBecause[st]
	if !known {
		return err
	}
	return fmt.Errorf("%s (0x%08x), %s", why.refusal, uint32(st), fmt.Sprintf(why.cure, number, service))
}
