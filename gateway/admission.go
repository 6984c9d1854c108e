package gateway

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"masar/number"
	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

// submission is one submit_sm on its way to disk: the message, the step that stores it and
// the reply that waits. It stays the message's Origin, so that its receipt does not
// overtake its submit_sm_resp on another bind.
type submission struct {
	m      queue.Message
	accept queue.Accept
	steps  [1]queue.Step
	reply  smpp.Reply
	client *client
	began  time.Time
	mark   atomic.Uint64 // where in the session's outgoing octets its submit_sm_resp ends
}

// now is already over: Commit with it never blocks a session's reader.
var now context.Context = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// submit takes one submit_sm: a refusal at once, or an answer when it is on disk.
func (c *client) submit(p *pdu.SubmitSM, r smpp.Reply) {
	t := time.Now()
	if no := c.mayAct(t, 1); no.why != Accepted {
		c.refused(no, p.Source.Addr, p.Dest.Addr)
		r.Send(no.wire(), nil)
		return
	}
	s := &submission{client: c, reply: r, began: t}
	if no := c.admit(s, p, t); no.why != Accepted {
		c.refused(no, p.Source.Addr, p.Dest.Addr)
		r.Send(no.wire(), nil)
		return
	}
	c.opened()
	if p.ReplaceIfPresent == 1 {
		c.g.desk.replaceIfPresent(s)
		return
	}
	c.commit(s)
}

// mayAct asks what stands before the message itself: window, shutdown and rate.
func (c *client) mayAct(t time.Time, n int) refused {
	switch {
	case int(c.unanswered.Load()) >= c.most:
		return refuse(OverWindow, "")
	case c.g.closing.Load():
		return refuse(ShuttingDown, "")
	case c.account.overRate(t, n):
		return refuse(OverRate, "")
	}
	return refused{}
}

// opened and closed count the submits that wait for their answer: against the bind's
// window, and for the shutdown that lets them finish.
func (c *client) opened() {
	c.unanswered.Add(1)
	c.g.met.openSubmits.Add(1)
}

func (c *client) closed() {
	c.unanswered.Add(-1)
	c.g.met.openSubmits.Add(-1)
}

// commit hands an admitted submission to the store.
func (c *client) commit(s *submission) {
	s.steps[0] = &s.accept
	if err := c.g.store.Commit(now, s, s.steps[:]...); err != nil {
		s.Done(err)
	}
}

// Done answers the client. It runs on the committer.
func (s *submission) Done(err error) {
	c := s.client
	c.closed()
	if err != nil {
		no := refuse(whyNotStored(err), err.Error())
		c.refused(no, []byte(s.m.Source.Addr), []byte(s.m.Dest.Addr))
		s.reply.Send(no.wire(), nil)
		return
	}
	c.account.met.submits[Accepted].Inc()
	c.account.met.commit.Observe(time.Since(s.began).Seconds())
	s.trace()
	s.answer(s.reply.SendID(pdu.ESME_ROK, c.account.opt.Load().shown(&s.m)))
}

// answer notes where the submit_sm_resp stands in the session's octets.
func (s *submission) answer(mark uint64) {
	s.mark.Store(mark)
	if mark == smpp.NeverWritten {
		s.client.account.met.unheard.Inc()
	}
}

func whyNotStored(err error) Refusal {
	switch {
	case errors.Is(err, queue.ErrFull):
		return QueueFull
	case errors.Is(err, queue.ErrDiskFull):
		return DiskFull
	case errors.Is(err, queue.ErrBusy):
		return StoreBusy
	case errors.Is(err, queue.ErrClosed):
		return ShuttingDown
	}
	return StoreFailed
}

// refused counts and logs a refusal: the first of its kind at once, then one line in ten
// seconds with the count of those between.
func (c *client) refused(no refused, source, dest []byte) { c.account.refused(no, source, dest) }

func (a *account) refused(no refused, source, dest []byte) {
	a.met.submits[no.why].Inc()
	t := time.Now()
	a.mu.Lock()
	l := &a.refusals[no.why]
	if t.Sub(l.last) < refusalLogEvery {
		l.silent++
		a.mu.Unlock()
		return
	}
	silent := l.silent
	l.last, l.silent = t, 0
	a.mu.Unlock()
	a.g.log.Warn("submit refused", slog.String("account", a.name), slog.String("reason", no.why.String()),
		slog.String("status", no.wire().String()), slog.String("rule", refusals[no.why].rule), slog.String("detail", no.detail),
		slog.Any("from", a.g.sender(printable(source))), slog.Any("to", a.g.number(printable(dest))), slog.Int("not_logged", silent))
}

// admit fills s from p or says why not: what only a PDU can be asked, then admitMessage.
func (c *client) admit(s *submission, p *pdu.SubmitSM, t time.Time) refused {
	o := c.account.opt.Load()
	body, no := payload(p)
	if no.why != Accepted {
		return no
	}
	if p.ESMClass&pdu.ESMClassUDHI != 0 {
		if _, _, _, err := text.ParseUDH(body); err != nil {
			return refuse(BrokenUDH, err.Error())
		}
	}
	if bad := check(p); bad != nil {
		return refused{InvalidField, bad.Status, bad.Error()}
	}
	if p.DefaultMsgID != 0 {
		return refuse(UnknownDefaultMessage, strconv.Itoa(int(p.DefaultMsgID)))
	}
	m := &s.m
	m.ESMClass, m.ProtocolID, m.Priority = p.ESMClass, p.ProtocolID, p.PriorityFlag
	m.RegisteredDelivery, m.DataCoding = p.RegisteredDelivery, canonical(o.Codings, p.DataCoding)
	q := candidate{
		account: c.account, o: o, w: c.g.world.Load(), now: t, intern: &c.intern,
		m: m, source: p.Source, dest: p.Dest, service: p.ServiceType,
		schedule: p.ScheduleDeliveryTime, validity: p.ValidityPeriod, body: body, tlvs: p.TLVs,
	}
	if c.session != nil {
		q.version = c.session.Version()
	}
	if no := c.g.admitMessage(&q); no.why != Accepted {
		return no
	}
	m.Origin = s
	q.accept(&s.accept)
	return refused{}
}

// check judges the fields by the specification, but for how a destination is written:
// that is the account's NumberRule's to say.
func check(p *pdu.SubmitSM) *pdu.FieldError {
	written := p.Dest.Addr
	p.Dest.Addr = anyNumber
	bad := p.Check()
	p.Dest.Addr = written
	return bad
}

var anyNumber = []byte("0")

// payload is the message's octets, wherever they stand.
func payload(p *pdu.SubmitSM) ([]byte, refused) {
	if len(p.TLVs) == 0 {
		return p.ShortMessage, refused{}
	}
	long, ok := p.TLVs.Get(pdu.TagMessagePayload)
	if !ok {
		return p.ShortMessage, refused{}
	}
	if len(p.ShortMessage) > 0 {
		return nil, refuse(BothBodies, "")
	}
	return long, refused{}
}

// own copies what the message keeps out of the session's read buffer, in one allocation.
func own(m *queue.Message, body []byte, tlvs pdu.TLVs) {
	keep := 0
	for tag, v := range tlvs.All() {
		if tag != pdu.TagMessagePayload {
			keep += 4 + len(v)
		}
	}
	if keep+len(body) == 0 {
		return
	}
	b := make([]byte, 0, len(body)+keep)
	b = append(b, body...)
	m.Body = b[:len(body):len(body)]
	if keep > 0 {
		rest := pdu.TLVs(b[len(body):len(body)])
		for tag, v := range tlvs.All() {
			if tag != pdu.TagMessagePayload {
				rest = rest.Append(tag, v)
			}
		}
		m.TLVs = rest
	}
}

// alphanumericOrE164 types a sender from the configuration by what it is.
func alphanumericOrE164(s string) queue.Address {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return queue.Address{TON: pdu.TONAlphanumeric, NPI: pdu.NPIUnknown, Addr: s}
		}
	}
	if len(s) <= 6 {
		return queue.Address{TON: pdu.TONNetworkSpecific, NPI: pdu.NPIUnknown, Addr: s}
	}
	return queue.Address{TON: pdu.TONInternational, NPI: pdu.NPIISDN, Addr: s}
}

// read normalises a destination by the account's rule.
func (r *NumberRule) read(dst, written []byte) ([]byte, error) {
	if r.Mode == NumbersKeep {
		if len(written) > 0 && written[0] == '+' {
			written = written[1:]
		}
		return digitsOnly(append(dst, written...))
	}
	n, err := number.Append(dst, written, r.Country)
	if err == nil || r.Mode == NumbersStrict {
		return n, err
	}
	switch err {
	case number.ErrShortCode, number.ErrNotMobile, number.ErrShort, number.ErrLong:
		return digitsOnly(n)
	}
	return n, err
}

// maxAddress is the most octets of an address in submit_sm, NUL excluded (SMPP v3.4, 5.2.9).
const maxAddress = 20

func digitsOnly(b []byte) ([]byte, error) {
	switch {
	case len(b) == 0:
		return b, number.ErrEmpty
	case len(b) > maxAddress:
		return b, number.ErrLong
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return b, number.ErrCharacter
		}
	}
	return b, nil
}

// checkText refuses what no handset could show: a broken header, octets that are no text
// in their canonical data_coding.
func checkText(o *Account, esmClass, dataCoding uint8, body []byte, tlvs pdu.TLVs) refused {
	if esmClass&pdu.ESMClassUDHI != 0 {
		_, _, n, err := text.ParseUDH(body)
		if err != nil {
			return refuse(BrokenUDH, err.Error())
		}
		body = body[n:]
	}
	if len(body) == 0 {
		if o.EmptyRefused {
			return refuse(EmptyMessage, "")
		}
		return refused{}
	}
	e, known := storedCodings.Encoding(dataCoding)
	if !known || e == text.Binary || e == text.UCS2 && concatenated(esmClass, tlvs) {
		return refused{} // a client's own part may end inside a surrogate pair
	}
	if at, rule := badOctet(body, e); at >= 0 {
		return refuse(BadText, "octet "+strconv.Itoa(at)+": "+rule)
	}
	if e == text.UCS2 {
		if err := text.ValidUCS2(body); err != nil {
			return refuse(BadText, err.Error())
		}
	}
	return refused{}
}

// storedCodings is what data_coding 0 and 1 mean in the store.
var storedCodings = text.Codings{Default: text.GSM7, One: text.ASCII}

// canonical is the data_coding that says in the store what the client's says under its
// account's options: those may change, or go, while the message waits.
func canonical(codings text.Codings, dataCoding uint8) uint8 {
	switch dataCoding {
	case text.CodingDefault:
		return storedCodings.Coding(codings.Default)
	case text.CodingASCII:
		return storedCodings.Coding(codings.One)
	}
	return dataCoding
}

// badOctet finds what no text of a one-octet alphabet has: NUL but in GSM, where it is
// the commercial at, and an eighth bit in a 7-bit alphabet. -1: nothing.
func badOctet(body []byte, e text.Encoding) (at int, rule string) {
	switch e {
	case text.Latin1, text.ASCII:
		if at := bytes.IndexByte(body, 0); at >= 0 {
			return at, "NUL"
		}
	}
	switch e {
	case text.GSM7, text.ASCII:
		for i, c := range body {
			if c >= 0x80 {
				return i, "above 7F in a 7-bit alphabet"
			}
		}
	}
	return -1, ""
}

// concatenated tells whether the client made the parts itself.
func concatenated(esmClass uint8, tlvs []byte) bool {
	if esmClass&pdu.ESMClassUDHI != 0 {
		return true
	}
	if len(tlvs) == 0 {
		return false
	}
	_, sar := pdu.TLVs(tlvs).Get(pdu.TagSARTotalSegments)
	return sar
}

// shortEnough tells whether the message needs at most most parts.
func shortEnough(o *Account, m *queue.Message, body []byte, most int, style text.Style) bool {
	e, known := storedCodings.Encoding(m.DataCoding)
	if !known {
		e = text.Binary
	}
	if concatenated(m.ESMClass, m.TLVs) || text.FitsOne(body, e) {
		return true
	}
	parts, err := text.SplitOctets(nil, body, e, style)
	return err == nil && len(parts) <= most
}
