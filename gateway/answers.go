package gateway

import (
	"maps"
	"slices"
	"time"

	"masar/smpp/pdu"
)

// builtinAnswers is what a carrier's status means where its profile says nothing. What is
// not here is AnswerPermanent: the message itself was refused.
var builtinAnswers = map[pdu.Status]AnswerClass{
	pdu.ESME_ROK:            AnswerOK,
	pdu.ESME_RTHROTTLED:     AnswerThrottle,
	pdu.ESME_RMSGQFUL:       AnswerThrottle,
	pdu.ESME_RSYSERR:        AnswerTemporary,
	pdu.ESME_RSUBMITFAIL:    AnswerTemporary,
	pdu.ESME_RX_T_APPN:      AnswerTemporary,
	pdu.ESME_RUNKNOWNERR:    AnswerTemporary,
	pdu.ESME_RINVBNDSTS:     AnswerTemporary, // the bind is not what it was: another one may take it
	pdu.ESME_RINVCMDID:      AnswerTemporary,
	pdu.ESME_RINVCMDLEN:     AnswerElsewhere,
	pdu.ESME_RINVSRCADR:     AnswerElsewhere, // not registered with this carrier
	pdu.ESME_RINVSRCTON:     AnswerElsewhere,
	pdu.ESME_RINVSRCNPI:     AnswerElsewhere,
	pdu.ESME_RINVSERTYP:     AnswerElsewhere,
	pdu.ESME_RX_R_APPN:      AnswerElsewhere,
	pdu.ESME_RPROHIBITED:    AnswerElsewhere,
	pdu.ESME_RSERTYPUNAUTH:  AnswerElsewhere,
	pdu.ESME_RSERTYPUNAVAIL: AnswerTemporary,
	pdu.ESME_RSERTYPDENIED:  AnswerElsewhere,
}

// classify says what a status of this carrier means.
func (o *Carrier) classify(st pdu.Status) AnswerClass {
	if st == pdu.ESME_ROK {
		return AnswerOK
	}
	if c, ok := o.Statuses[st]; ok {
		return c
	}
	if c, ok := builtinAnswers[st]; ok {
		return c
	}
	return AnswerPermanent
}

// defaultRetry is the schedule of temporary failures where the profile says nothing.
var defaultRetry = RetrySchedule{
	Delays: []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute},
	Jitter: 0.1,
}

// retryAfter is how long to wait before try number tries+1; false: there is no further
// try. Jitter keeps what failed together from coming back together: random is from 0 to 1.
func (o *Carrier) retryAfter(st pdu.Status, tries uint8, random float64) (time.Duration, bool) {
	s, ok := o.StatusRetry[st]
	if !ok || len(s.Delays) == 0 {
		s = o.Retry
	}
	if len(s.Delays) == 0 {
		s = defaultRetry
	}
	if s.Tries > 0 && int(tries)+1 >= s.Tries {
		return 0, false
	}
	d := s.Delays[min(int(tries), len(s.Delays)-1)]
	return d + time.Duration((2*random-1)*s.Jitter*float64(d)), true
}

// BuiltinAnswers tells each status that has a meaning of its own where a carrier's profile
// says nothing, in rising order, for documents and their test. What it does not tell is
// AnswerPermanent.
func BuiltinAnswers(each func(st pdu.Status, class AnswerClass)) {
	for _, st := range slices.Sorted(maps.Keys(builtinAnswers)) {
		each(st, builtinAnswers[st])
	}
}
