package gateway

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

// desk answers what clients ask about messages already accepted: query_sm, cancel_sm,
// replace_sm, and submit_sm with replace_if_present. These read the store, so they leave
// the session's reader for one goroutine with a bounded queue.
type desk struct {
	g    *Gateway
	jobs chan func(ctx context.Context)
}

const (
	deskMost    = 1024 // questions that may wait
	patternMost = 1000 // messages one cancel_sm by pattern ends
)

func newDesk(g *Gateway) *desk {
	return &desk{g: g, jobs: make(chan func(context.Context), deskMost)}
}

func (d *desk) run() {
	for {
		select {
		case <-d.g.ctx.Done():
			return
		case job := <-d.jobs:
			job(d.g.ctx)
		}
	}
}

// put queues a job; when the desk is full the client is throttled.
func (d *desk) put(r smpp.Reply, job func(ctx context.Context)) {
	select {
	case d.jobs <- job:
	default:
		r.Send(pdu.ESME_RTHROTTLED, nil)
	}
}

// ask takes a question from a session's reader. body is copied: it lives only until ask
// returns.
func (d *desk) ask(c *client, cmd pdu.Command, body pdu.Body, r smpp.Reply) {
	raw := body.Append(nil)
	d.put(r, func(ctx context.Context) {
		switch cmd {
		case pdu.CmdQuerySM:
			var q pdu.QuerySM
			if q.Decode(raw) == nil {
				d.query(ctx, c, &q, r)
			}
		case pdu.CmdCancelSM:
			var q pdu.CancelSM
			if q.Decode(raw) == nil {
				d.cancel(ctx, c, &q, r)
			}
		case pdu.CmdReplaceSM:
			var q pdu.ReplaceSM
			if q.Decode(raw) == nil {
				d.replace(ctx, c, &q, r)
			}
		}
	})
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
	id, ok := d.find(ctx, c.account, q.MessageID)
	if !ok {
		r.Send(pdu.ESME_RQUERYFAIL, nil)
		return
	}
	v, err := d.g.store.Find(ctx, c.account.number, id)
	if err != nil || len(q.Source.Addr) > 0 && v.M.Source.Addr != "" && string(q.Source.Addr) != v.M.Source.Addr {
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
// destination. It is answered when it is on disk.
func (d *desk) cancel(ctx context.Context, c *client, q *pdu.CancelSM, r smpp.Reply) {
	var ids []queue.ID
	if len(q.MessageID) > 0 {
		id, ok := d.find(ctx, c.account, q.MessageID)
		if !ok {
			r.Send(pdu.ESME_RCANCELFAIL, nil)
			return
		}
		ids = append(ids, id)
	} else {
		dest := d.destination(c.account, q.Dest.Addr)
		var err error
		ids, err = d.g.store.Matching(ctx, queue.Pattern{
			Account: c.account.number, ServiceType: string(q.ServiceType), Source: string(q.Source.Addr), Dest: dest,
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
		if len(claim.M.Answers) > 0 || len(q.MessageID) > 0 && len(q.Source.Addr) > 0 && string(q.Source.Addr) != claim.M.Source.Addr {
			d.g.store.Release(claim)
			continue
		}
		steps = append(steps, &queue.Final{
			Claim: claim, State: pdu.StateDeleted, Err: "cancelled", At: queue.At(now),
			Deliver: d.g.clientReceipt(claim.M, pdu.StateDeleted, "", now),
		})
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
// data_coding and the destination hold (flow.md 3). The message goes to its lane's tail.
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
	m := *claim.M // the old one holds until the new one is on disk
	o := c.account.opt.Load()
	w := d.g.world.Load()
	if len(m.Answers) > 0 || string(q.Source.Addr) != m.Source.Addr {
		d.g.store.Release(claim)
		r.Send(pdu.ESME_RREPLACEFAIL, nil)
		return
	}
	body := q.ShortMessage
	if long, ok := q.TLVs.Get(pdu.TagMessagePayload); ok && len(body) == 0 {
		body = long
	}
	sm := pdu.SubmitSM{ScheduleDeliveryTime: q.ScheduleDeliveryTime, ValidityPeriod: q.ValidityPeriod}
	due, expires := m.Due, m.Expires
	no := schedule(&m, o, &w.setup, &sm, time.Now())
	if len(q.ScheduleDeliveryTime) == 0 {
		m.Due = due
	}
	if len(q.ScheduleDeliveryTime) == 0 && len(q.ValidityPeriod) == 0 {
		m.Expires = expires
	}
	if no.why == Accepted {
		no = checkText(o, m.ESMClass, m.DataCoding, body, m.TLVs)
	}
	if no.why == Accepted && !shortEnough(o, &m, body, o.MaxParts, d.style(w, claim.Lane)) {
		no = refuse(TooLong, "")
	}
	if no.why != Accepted {
		d.g.store.Release(claim)
		c.refused(no, q.Source.Addr, nil)
		r.Send(no.wire(), nil)
		return
	}
	m.Body = append([]byte(nil), body...)
	m.RegisteredDelivery = q.RegisteredDelivery
	claim.M = &m
	d.commit(ctx, r, pdu.ESME_RREPLACEFAIL, []queue.Step{again(claim)})
}

// again is the step that puts a changed message back: aside until its time, or to the
// tail of its lane.
func again(claim queue.Claim) queue.Step {
	if claim.M.Due > queue.At(time.Now()) {
		return &queue.Wait{Claim: claim, Until: claim.M.Due, Why: queue.WaitSchedule, Lane: claim.Lane}
	}
	return &queue.Enter{Claim: claim, Lane: claim.Lane}
}

// replaceIfPresent takes the place of the oldest waiting message of the same service_type,
// source and destination; where none waits the submission is a new message.
func (d *desk) replaceIfPresent(s *submission) {
	c := s.client
	d.put(s.reply, func(ctx context.Context) {
		p := queue.Pattern{Account: s.m.Account, ServiceType: s.m.ServiceType, Source: s.m.Source.Addr, Dest: s.m.Dest.Addr}
		ids, err := d.g.store.Matching(ctx, p, patternMost)
		if err != nil {
			d.log("replace_if_present", c, err)
		}
		for _, id := range ids {
			claim, err := d.g.store.ClaimID(ctx, s.m.Account, id)
			if err != nil {
				continue
			}
			if len(claim.M.Answers) > 0 {
				d.g.store.Release(claim)
				continue
			}
			m := replacing(&s.m, claim.M)
			claim.M, claim.Lane = m, s.accept.Lane
			shown := c.account.opt.Load().shown(m)
			err = d.g.store.Commit(ctx, queue.DoneFunc(func(err error) {
				if err != nil {
					s.reply.Send(pdu.ESME_RSYSERR, nil)
					return
				}
				c.account.met.submits[Accepted].Inc()
				s.mark.Store(s.reply.SendID(pdu.ESME_ROK, shown))
			}), again(claim))
			if err != nil {
				d.g.store.Release(claim)
				s.reply.Send(refusals[whyNotStored(err)].status, nil)
			}
			return
		}
		c.commit(s)
	})
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
		done(err)
	}
}

func (d *desk) log(what string, c *client, err error) {
	if !errors.Is(err, context.Canceled) {
		d.g.log.Error(what+" failed", slog.String("account", c.account.name), slog.Any("err", err))
	}
}

// replacing is the message that takes another's place: new in all but its id, what the
// client calls it, and how often it was tried.
func replacing(m, old *queue.Message) *queue.Message {
	n := *m
	n.ID, n.Shown = old.ID, old.Shown
	n.Tries, n.Attempt, n.Barred, n.LastErr = old.Tries, old.Attempt, old.Barred, old.LastErr
	n.Extra = old.Extra
	return &n
}

// style is how the carriers of a lane cut texts.
func (d *desk) style(w *world, l queue.Lane) text.Style {
	if grp := w.groups[l.Group()]; grp != nil {
		return grp.style
	}
	return text.UDH16
}
