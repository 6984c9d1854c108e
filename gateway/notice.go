package gateway

import (
	"context"
	"errors"
	"time"

	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

// A Notice is a message that the gateway makes itself: asked for over HTTP, a verification
// code, the answer to a keyword.
type Notice struct {
	Account  string         // system_id it is sent under: grants, room, weight, receipts are its
	Service  string         // code; empty only for plain accounts
	Number   number.E164    // or
	Person   service.Person // who then gets it at his number of now
	Source   string         // empty: the service's sender
	Text     string
	Template string        // service.Rendered.Template; kept with the message
	Once     []byte        // at most 64 octets: the same again from this account stores nothing; empty: each is new
	Receipt  bool          // the account's outbox gets a receipt
	Schedule time.Time     // zero: at once
	Validity time.Duration // 0: the service's, else the account's
	// System says that it is the gateway's own: consent, trial list and throughput are not
	// asked. A block of scope all still is.
	System bool
	// Job says for which job it is made. Its end is told to Options.Jobs, Receipt or not,
	// carriers are always asked for theirs, and the account's throughput, which is for what
	// clients do, is not asked: a job has a pace of its own.
	Job queue.Job
}

// A Trial is what would become of a Notice.
type Trial struct {
	Encoding  string      // "gsm7", "ucs2"
	Parts     []string    // the text of each, as the route's first carrier would be sent it
	Units     []int       // of each part: septets in gsm7, 16-bit units in ucs2
	Route     string      // name, else its carriers
	HoldUntil time.Time   // zero: it would leave at once
	Number    number.E164 // where it would go
	Dropped   bool        // taken, and ended REJECTD: nobody there is enrolled, and its service drops such
}

// A SubmitError is a Notice that was not taken. Refusal tells why, as for a submit_sm;
// Status is what a client would have been answered; Detail names the value.
type SubmitError struct {
	Refusal Refusal
	Status  pdu.Status
	Detail  string
}

func (e *SubmitError) Error() string {
	if e.Detail == "" {
		return refusals[e.Refusal].rule
	}
	return refusals[e.Refusal].rule + ": " + e.Detail
}

// What else keeps a Notice from being taken.
var (
	ErrNoAccount = errors.New("no such account") // the configuration does not have its system_id
	ErrNoJobs    = errors.New("nobody hears of jobs here")
)

// Submit takes a Notice as if the account had submitted it, bound or not, and returns when
// it is on disk. With a Once that is known it returns the earlier message's ID. What it
// refuses is a *SubmitError; ErrNoAccount and ctx's error come as they are. When ctx ends
// while the disk is written nobody can tell whether it was taken: ask again with the same Once.
func (g *Gateway) Submit(ctx context.Context, n Notice) (queue.ID, error) {
	p, err := g.prepare(ctx, &n, false)
	if err != nil {
		return 0, err
	}
	stored := make(chan error, 1)
	if err := p.commit(ctx, func(err error) { stored <- err }); err != nil {
		return 0, err
	}
	select {
	case err := <-stored:
		return p.m.ID, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Try tells what Submit would do and stores nothing, counts nothing and takes nothing from
// the account's throughput.
func (g *Gateway) Try(ctx context.Context, n Notice) (Trial, error) {
	p, err := g.prepare(ctx, &n, true)
	if err != nil {
		return Trial{}, err
	}
	t := Trial{HoldUntil: p.q.leaves, Route: p.q.grp.name, Dropped: p.q.dropped}
	t.Number, _ = number.Of(p.m.Dest.Addr)
	if err := p.parts(&t); err != nil {
		return Trial{}, &SubmitError{Refusal: TooLong, Status: TooLong.status(), Detail: err.Error()}
	}
	return t, nil
}

// Message tells of a message of an account; queue.ErrUnknown when it has none such.
func (g *Gateway) Message(ctx context.Context, account string, id queue.ID) (queue.View, error) {
	a := g.world.Load().account(account)
	if a == nil {
		return queue.View{}, ErrNoAccount
	}
	return g.store.Find(ctx, a.number, id)
}

// prepared is a Notice that was admitted.
type prepared struct {
	g      *Gateway
	q      candidate
	m      *queue.Message // by itself: the store keeps it for longer than the rest
	accept queue.Accept
	began  time.Time
}

// prepare makes a message of a Notice and asks of it what a submit_sm is asked. dry: nothing
// is counted, or taken from the account's throughput.
func (g *Gateway) prepare(ctx context.Context, n *Notice, dry bool) (*prepared, error) {
	w := g.world.Load()
	a := w.account(n.Account)
	if a == nil {
		return nil, ErrNoAccount
	}
	if n.Job != (queue.Job{}) && g.opt.Jobs == nil {
		return nil, ErrNoJobs
	}
	p := &prepared{g: g, m: new(queue.Message), began: time.Now()}
	p.q = candidate{account: a, o: a.opt.Load(), w: w, now: p.began, m: p.m, due: n.Schedule, lasts: n.Validity, service: []byte(n.Service)}
	no := refused{}
	switch {
	case g.closing.Load():
		no = refuse(ShuttingDown, "")
	case !dry && !n.System && n.Job == (queue.Job{}) && a.overRate(p.began, 1):
		no = refuse(OverRate, "")
	default:
		no = p.fill(ctx, n)
	}
	if no.why == Accepted {
		no = g.admitMessage(&p.q)
	}
	if no.why != Accepted {
		if !dry {
			p.refused(no)
		}
		return nil, &SubmitError{Refusal: no.why, Status: no.wire(), Detail: no.detail}
	}
	// What stands there is how prepare wrote it, not how anybody did: receipts name the number.
	p.m.DestWritten = queue.Address{}
	p.q.accept(&p.accept)
	if len(n.Once) > 0 {
		p.accept.Once = n.Once
	}
	return p, nil
}

// fill writes into the message what the Notice chose.
func (p *prepared) fill(ctx context.Context, n *Notice) refused {
	m, to := p.m, n.Number
	if n.Person != (service.Person{}) {
		m.Person, m.Personal = n.Person, true
		reg := p.g.opt.Registry
		if reg == nil {
			return refuse(UnknownPerson, "no subscribers are kept")
		}
		sub, err := reg.Find(ctx, n.Person)
		switch {
		case errors.Is(err, service.ErrNobody) || err == nil && sub.Number == 0:
			return refuse(UnknownPerson, "")
		case err != nil:
			return refuse(RegistryFailed, err.Error())
		}
		to = sub.Number
	}
	// With a plus it is read as what it is under every account's rule.
	p.q.dest = pdu.Address{TON: pdu.TONInternational, NPI: pdu.NPIISDN, Addr: []byte("+" + to.String())}
	if n.Source != "" {
		from := alphanumericOrE164(n.Source)
		p.q.source = pdu.Address{TON: from.TON, NPI: from.NPI, Addr: []byte(from.Addr)}
	}
	m.System, m.Template, m.Job = n.System, n.Template, n.Job
	if n.Receipt && !ofJob(m) {
		m.RegisteredDelivery = pdu.RegisteredFinal
	}
	if n.Text == "" {
		return refuse(EmptyMessage, "")
	}
	e := text.Choose(n.Text)
	body, err := text.Encode(nil, n.Text, e)
	if err != nil {
		return refuse(BadText, err.Error())
	}
	m.DataCoding, p.q.body = storedCodings.Coding(e), body
	return refused{}
}

// commit hands the message, and what is to be stored with it, to the store. done hears of it
// on the committer, a refusal as a *SubmitError; an error of commit itself means that done
// is not called and nothing was stored. It blocks while the store's inbox is full.
func (p *prepared) commit(ctx context.Context, done func(error), beside ...queue.Step) error {
	met := p.g.met
	met.openSubmits.Add(1)
	steps := append([]queue.Step{&p.accept}, beside...)
	err := p.g.store.Commit(ctx, queue.DoneFunc(func(err error) {
		met.openSubmits.Add(-1)
		if err != nil {
			done(p.notStored(err))
			return
		}
		own := &p.q.account.met
		own.submits[Accepted].Inc()
		own.commit.Observe(time.Since(p.began).Seconds())
		p.g.traceSubmit(p.q.account, p.m)
		done(nil)
	}), steps...)
	if err == nil {
		return nil
	}
	met.openSubmits.Add(-1)
	if ctx.Err() != nil && errors.Is(err, queue.ErrBusy) {
		return ctx.Err()
	}
	return p.notStored(err)
}

func (p *prepared) notStored(err error) error {
	no := refuse(whyNotStored(err), err.Error())
	p.refused(no)
	return &SubmitError{Refusal: no.why, Status: no.wire(), Detail: no.detail}
}

func (p *prepared) refused(no refused) {
	p.q.account.refused(no, []byte(p.m.Source.Addr), []byte(p.m.Dest.Addr))
}

// parts tells how the first carrier of the route would be sent the text. One that cuts texts
// itself is sent one part; what is told then is what handsets get from it: parts with an
// 8-bit reference.
func (p *prepared) parts(t *Trial) error {
	o := p.q.grp.first(p.m.Barred).opt
	e, _ := storedCodings.Encoding(p.m.DataCoding)
	var s split
	octets, e, err := o.recode(&s, p.m.Body, e)
	if err != nil {
		return err
	}
	txt, err := text.Decode(octets, e)
	if err != nil {
		return err
	}
	style := o.Style
	if style == text.Payload {
		style = text.UDH8
	}
	t.Encoding = e.String()
	if t.Parts, err = text.Split(txt, e, style); err != nil {
		return err
	}
	for _, part := range t.Parts {
		t.Units = append(t.Units, text.Units(part, e))
	}
	return nil
}

// first is the first carrier in the configuration's order that may carry what is barred
// from some.
func (grp *group) first(barred uint16) *carrier {
	var best *member
	for i := range grp.members {
		m := &grp.members[i]
		if barred>>i&1 == 0 && (best == nil || m.place < best.place) {
			best = m
		}
	}
	if best == nil {
		best = &grp.members[0]
	}
	return best.carrier
}
