package gateway

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

// desk answers what clients ask about messages already accepted: query_sm, cancel_sm,
// replace_sm, and submit_sm with replace_if_present. These read the store, so they leave
// the session's reader for a few goroutines: an account's go to the same one, in turn, and
// only so many of them, so that one client's questions do not crowd out the others'.
type desk struct {
	g    *Gateway
	jobs [desks]chan deskJob
}

type deskJob struct {
	a   *account
	run func(ctx context.Context)
}

const (
	desks       = 4
	deskMost    = 1024 // questions that may wait at one of them
	deskAccount = 128  // and of one account
	patternMost = 1000 // messages one cancel_sm by pattern ends
)

func newDesk(g *Gateway) *desk {
	d := &desk{g: g}
	for i := range d.jobs {
		d.jobs[i] = make(chan deskJob, deskMost)
	}
	return d
}

// run works until the gateway ends.
func (d *desk) run() {
	var wg sync.WaitGroup
	for _, jobs := range d.jobs {
		wg.Go(func() {
			for {
				select {
				case <-d.g.ctx.Done():
					return
				case job := <-jobs:
					job.run(d.g.ctx)
					job.a.asking.Add(-1)
				}
			}
		})
	}
	wg.Wait()
}

// put queues a job; false: the account, or the desk, has too many already.
func (d *desk) put(a *account, job func(ctx context.Context)) bool {
	if a.asking.Add(1) > deskAccount {
		a.asking.Add(-1)
		return false
	}
	select {
	case d.jobs[a.number%desks] <- deskJob{a, job}:
		return true
	default:
		a.asking.Add(-1)
		return false
	}
}

// ask takes a question from a session's reader. body is copied: it lives only until ask
// returns.
func (d *desk) ask(c *client, cmd pdu.Command, body pdu.Body, r smpp.Reply) {
	raw := body.Append(nil)
	question := pdu.NewBody(cmd)
	if err := question.Decode(raw); err != nil {
		r.Send(pdu.ESME_RSYSERR, nil) // it was decoded a moment ago
		return
	}
	taken := d.put(c.account, func(ctx context.Context) {
		switch q := question.(type) {
		case *pdu.QuerySM:
			d.query(ctx, c, q, r)
		case *pdu.CancelSM:
			d.cancel(ctx, c, q, r)
		case *pdu.ReplaceSM:
			d.replace(ctx, c, q, r)
		}
	})
	if !taken {
		r.Send(pdu.ESME_RTHROTTLED, nil)
	}
}

// wrote tells whether a client that names this source means a message from m's: its own,
// or none where the service's or the account's default sender stands in for it.
func (w *world) wrote(o *Account, source []byte, m *queue.Message) bool {
	return string(source) == m.Source.Addr || len(source) == 0 && m.Source.Addr == w.standIn(o, m.Account, m.ServiceType)
}

// standIn is the sender of a message that named none.
func (w *world) standIn(o *Account, account uint32, serviceType string) string {
	if w.governs(account) {
		if sender := w.catalogue().SenderOf(w.catalogue().Service(serviceType)); sender != "" {
			return sender
		}
	}
	return o.DefaultSender
}

// find is the id a client means by a message_id it was given.
func (d *desk) find(ctx context.Context, a *account, shown []byte) (queue.ID, bool) {
	o := a.opt.Load()
	if o.MessageID == ShortID {
		id, err := d.g.store.ByShown(ctx, a.number, string(shown))
		return id, err == nil
	}
	if id, ok := o.readID(shown); ok {
		return id, true
	}
	id, err := d.g.store.ByShown(ctx, a.number, string(shown))
	return id, err == nil
}

// query answers query_sm: the owner only, and the same for another's message as for none.
func (d *desk) query(ctx context.Context, c *client, q *pdu.QuerySM, r smpp.Reply) {
	if bad := q.Check(); bad != nil {
		r.Send(bad.Status, nil)
		return
	}
	id, ok := d.find(ctx, c.account, q.MessageID)
	if !ok {
		r.Send(pdu.ESME_RQUERYFAIL, nil)
		return
	}
	v, err := d.g.store.Find(ctx, c.account.number, id)
	if err != nil || len(q.Source.Addr) > 0 && string(q.Source.Addr) != v.M.Source.Addr {
		r.Send(pdu.ESME_RQUERYFAIL, nil)
		return
	}
	resp := pdu.QuerySMResp{MessageID: q.MessageID, MessageState: v.State}
	if v.State == pdu.StateScheduled && c.session.Version() < 0x50 {
		resp.MessageState = pdu.StateEnroute // v3.4 has no SCHEDULED
	}
	if v.Ended != 0 {
		resp.FinalDate = pdu.AppendTime(nil, v.Ended.Time().In(c.account.opt.Load().Zone))
	}
	if n, err := strconv.ParseUint(v.Err, 10, 8); err == nil {
		resp.ErrorCode = uint8(n)
	}
	r.Send(pdu.ESME_ROK, &resp)
}

// cancel answers cancel_sm: one message by its id, or all of a service_type, source and
// destination, where an empty service_type stands for each. It is answered when it is on
// disk.
func (d *desk) cancel(ctx context.Context, c *client, q *pdu.CancelSM, r smpp.Reply) {
	o, w := c.account.opt.Load(), d.g.world.Load()
	written := q.Dest.Addr
	q.Dest.Addr = anyNumber // how it may be written is the account's NumberRule's to say
	bad := q.Check()
	q.Dest.Addr = written
	if bad != nil {
		r.Send(bad.Status, nil)
		return
	}
	var ids []queue.ID
	if len(q.MessageID) > 0 {
		if id, ok := d.find(ctx, c.account, q.MessageID); ok {
			ids = append(ids, id)
		}
	} else {
		source := string(q.Source.Addr)
		if source == "" {
			source = w.standIn(o, c.account.number, string(q.ServiceType))
		}
		var err error
		ids, err = d.g.store.Matching(ctx, queue.Pattern{
			Account: c.account.number, ServiceType: string(q.ServiceType), AnyService: len(q.ServiceType) == 0,
			Source: source, Dest: d.destination(c.account, q.Dest.Addr),
		}, patternMost)
		if err != nil {
			d.log("cancel_sm by pattern", c, err)
		}
	}
	var steps []queue.Step
	now := time.Now()
	for _, id := range ids {
		claim, err := d.g.store.ClaimID(ctx, c.account.number, id)
		if err != nil {
			continue
		}
		if mayBeSent(&claim) || len(q.MessageID) > 0 && len(q.Source.Addr) > 0 && !w.wrote(o, q.Source.Addr, claim.M) {
			d.g.store.Release(claim)
			continue
		}
		steps = append(steps, d.g.finalStep(claim, pdu.StateDeleted, "cancelled", now))
	}
	if len(steps) == 0 {
		r.Send(pdu.ESME_RCANCELFAIL, nil)
		return
	}
	d.commit(ctx, r, pdu.ESME_RCANCELFAIL, steps)
}

// destination is what a client's destination was stored as.
func (d *desk) destination(a *account, written []byte) string {
	n, err := a.opt.Load().Numbers.read(nil, written)
	if err != nil {
		return string(written)
	}
	return string(n)
}

// replace answers replace_sm: new text, and new times where they are given; the
// data_coding and the destination hold (flow.md 3). The message goes to its lane's tail. What
// a job's message says is the job's to change.
func (d *desk) replace(ctx context.Context, c *client, q *pdu.ReplaceSM, r smpp.Reply) {
	id, ok := d.find(ctx, c.account, q.MessageID)
	if !ok {
		r.Send(pdu.ESME_RREPLACEFAIL, nil)
		return
	}
	claim, err := d.g.store.ClaimID(ctx, c.account.number, id)
	if err != nil {
		r.Send(pdu.ESME_RREPLACEFAIL, nil)
		return
	}
	o, w := c.account.opt.Load(), d.g.world.Load()
	if mayBeSent(&claim) || ofJob(claim.M) || !w.wrote(o, q.Source.Addr, claim.M) {
		d.g.store.Release(claim)
		r.Send(pdu.ESME_RREPLACEFAIL, nil)
		return
	}
	m := *claim.M // the old one holds until the new one is on disk
	now := time.Now()
	leaves, no := d.rewrite(w, c.account, &m, q, claim.Lane, now)
	if no.why != Accepted {
		d.g.store.Release(claim)
		c.refused(no, q.Source.Addr, nil)
		r.Send(no.wire(), nil)
		return
	}
	claim.M = &m
	d.commit(ctx, r, pdu.ESME_RREPLACEFAIL, []queue.Step{again(claim, queue.At(leaves), now)})
}

// rewrite puts into m what a replace_sm says and tells when it may leave then, or why not.
// Times that it leaves empty hold; hours are asked anew.
func (d *desk) rewrite(w *world, a *account, m *queue.Message, p *pdu.ReplaceSM, l queue.Lane, t time.Time) (leaves time.Time, no refused) {
	if bad := p.Check(); bad != nil {
		return leaves, refused{InvalidField, bad.Status, bad.Error()}
	}
	if p.DefaultMsgID != 0 {
		return leaves, refuse(UnknownDefaultMessage, strconv.Itoa(int(p.DefaultMsgID)))
	}
	o := a.opt.Load()
	body := p.ShortMessage
	if long, ok := p.TLVs.Get(pdu.TagMessagePayload); ok && len(body) == 0 {
		body = long
	}
	q := candidate{
		account: a, o: o, w: w, now: t, m: m, body: body, tlvs: m.TLVs,
		schedule: p.ScheduleDeliveryTime, validity: p.ValidityPeriod,
	}
	var why Refusal
	if q.rules, why = w.rulesOf(m); why != Accepted {
		return leaves, refuse(why, m.ServiceType)
	}
	before := *m
	if len(p.ScheduleDeliveryTime) == 0 && m.Due > queue.At(t) {
		q.due = m.Due.Time()
	}
	if no := q.times(); no.why != Accepted {
		return leaves, no
	}
	if len(p.ScheduleDeliveryTime) == 0 {
		m.Due = before.Due
		if len(p.ValidityPeriod) == 0 {
			m.Expires, m.Stretch = before.Expires, before.Stretch
		}
	}
	if max(m.Due, queue.At(q.leaves)) >= m.Expires {
		return leaves, refuse(BadValidity, "ends before the message may leave")
	}
	if no := q.text(); no.why != Accepted {
		return leaves, no
	}
	grp := w.groups[l.Group()]
	if grp != nil && !grp.takes(o, m, q.body, m.Barred) || grp == nil && !shortEnough(o, m, q.body, o.MaxParts, text.UDH16) {
		return leaves, refuse(TooLong, strconv.Itoa(len(q.body))+" octets")
	}
	m.Body = append([]byte(nil), q.body...)
	m.RegisteredDelivery = p.RegisteredDelivery
	m.Text, m.Template = nil, ""
	return q.leaves, refused{}
}

// again is the step that puts a changed message back: aside until it may leave, or to the
// tail of its lane.
func again(claim queue.Claim, leaves queue.Time, now time.Time) queue.Step {
	if leaves > queue.At(now) {
		return &queue.Wait{Claim: claim, Until: leaves, Why: queue.WaitSchedule, Lane: claim.Lane}
	}
	return &queue.Enter{Claim: claim, Lane: claim.Lane}
}

// replaceIfPresent takes the place of the oldest waiting message of the same service_type,
// source and destination; where none waits the submission is a new message. The desk goes
// on when it is on disk: a second one right behind must find what this one left.
func (d *desk) replaceIfPresent(s *submission) {
	job := func(ctx context.Context) {
		done := make(chan struct{})
		steps := []queue.Step{&s.accept}
		m := &s.m
		claim, found := d.present(ctx, s)
		if found {
			m = replacing(&s.m, claim.M)
			claim.M, claim.Lane = m, s.accept.Lane
			claim.Lane.Class = m.Class
			steps[0] = again(claim, s.accept.Due, time.Now())
		}
		finish := queue.DoneFunc(func(err error) {
			defer close(done)
			s.m.ID, s.m.Shown = m.ID, m.Shown
			s.Done(err)
		})
		if err := d.g.store.Commit(ctx, finish, steps...); err != nil {
			if found {
				d.g.store.Release(claim)
			}
			finish(err)
		}
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	if !d.put(s.client.account, job) {
		s.Done(queue.ErrBusy)
	}
}

// present claims the message that a submission replaces.
func (d *desk) present(ctx context.Context, s *submission) (queue.Claim, bool) {
	p := queue.Pattern{Account: s.m.Account, ServiceType: s.m.ServiceType, Source: s.m.Source.Addr, Dest: s.m.Dest.Addr}
	ids, err := d.g.store.Matching(ctx, p, patternMost)
	if err != nil {
		d.log("replace_if_present", s.client, err)
	}
	for _, id := range ids {
		claim, err := d.g.store.ClaimID(ctx, s.m.Account, id)
		if err != nil {
			continue
		}
		if !mayBeSent(&claim) && !ofJob(claim.M) {
			return claim, true
		}
		d.g.store.Release(claim)
	}
	return queue.Claim{}, false
}

// commit stores steps and answers when they are on disk; fail is the answer otherwise.
func (d *desk) commit(ctx context.Context, r smpp.Reply, fail pdu.Status, steps []queue.Step) {
	done := queue.DoneFunc(func(err error) {
		if err != nil {
			r.Send(fail, nil)
			return
		}
		r.Send(pdu.ESME_ROK, nil)
	})
	if err := d.g.store.Commit(ctx, done, steps...); err != nil {
		for _, s := range steps {
			d.g.store.Release(claimOf(s))
		}
		done(err)
	}
}

func (d *desk) log(what string, c *client, err error) {
	if !errors.Is(err, context.Canceled) {
		d.g.log.Error(what+" failed", slog.String("account", c.account.name), slog.Any("err", err))
	}
}

// replacing is the message that takes another's place: new in all but its id, what the
// client calls it, how often it was tried, and its class, whose room it has.
func replacing(m, old *queue.Message) *queue.Message {
	n := *m
	n.ID, n.Shown, n.Class = old.ID, old.Shown, old.Class
	n.Tries, n.Attempt, n.LastErr = old.Tries, old.Attempt, old.LastErr // not Barred: it is routed anew
	n.Extra = old.Extra
	return &n
}
