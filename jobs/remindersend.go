package jobs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"masar/gateway"
	"masar/queue"
	"masar/service"
	"masar/service/reminder"
	"masar/smpp/pdu"
)

const (
	sendMost   = 512                   // messages handed over together
	lookLater  = 20 * time.Millisecond // somebody is changing a series that is due
	lookAnyhow = time.Minute           // a clock that was set is seen that late at most
	troubled   = time.Second           // after an error of the store or the gateway
	roomWait   = 5 * time.Second       // of a message that found no room
	sweepEvery = time.Hour
)

// sending is what the sending goroutine keeps from turn to turn.
type sending struct {
	due     []reminder.Due
	again   bool // some were put back: somebody else had them, or their next step is due
	held    []uint64
	batch   reminder.Batch
	notices []gateway.Notice
	out     []gateway.Submitted
	of      []*reminder.Series // of notices
	recalls []*recall
	swept   time.Time
	silence // of errors
}

// silence keeps the log of what fails each turn to one line in ten seconds.
type silence struct {
	last   time.Time
	silent int
}

func (s *silence) say(now time.Time, f func(silent int)) {
	if now.Sub(s.last) < 10*time.Second {
		s.silent++
		return
	}
	f(s.silent)
	s.last, s.silent = now, 0
}

// send is a goroutine: it hands over what is due until ctx ends.
func (r *Reminders) send(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.store.Wake():
		case <-timer.C:
		}
		wait := time.Duration(0)
		for wait == 0 && ctx.Err() == nil {
			wait = r.turn(ctx)
		}
		timer.Reset(wait)
	}
}

// turn does what is due, up to a batch, and says when to look again; zero: at once.
func (r *Reminders) turn(ctx context.Context) time.Duration {
	now := r.o.Now()
	r.sweep(now)
	w := &r.work
	room := 0
	wait := time.Duration(0)
	for room < sendMost && wait == 0 {
		if wait = r.pace.Take(now, 1); wait == 0 {
			room++
		}
	}
	if room == 0 {
		return wait
	}
	var skipped bool
	var next time.Time
	var err error
	w.due, skipped, next, err = r.store.TakeDue(now, room, r.holding.has, w.due[:0])
	if err != nil {
		r.pace.Give(room)
		return r.trouble(ctx, now, err)
	}
	sent, err := r.deal(ctx, now)
	r.pace.Give(room - sent)
	switch {
	case err != nil:
		return r.trouble(ctx, now, err)
	case len(w.due) == room:
		return 0
	case skipped || w.again:
		return lookLater
	case next.IsZero():
		return lookAnyhow
	}
	return min(max(next.Sub(r.o.Now()), time.Millisecond), lookAnyhow)
}

func (r *Reminders) trouble(ctx context.Context, now time.Time, err error) time.Duration {
	if ctx.Err() == nil {
		r.work.say(now, func(silent int) {
			r.log.Error("reminders that are due wait", slog.Any("err", err), slog.Int("not_logged", silent))
		})
	}
	return troubled
}

// deal does what is due with the series that were taken, and returns how many messages
// were handed over. What was not dealt with after an error comes again.
func (r *Reminders) deal(ctx context.Context, now time.Time) (sent int, err error) {
	w := &r.work
	w.held, w.again = w.held[:0], false
	defer func() {
		if err != nil {
			for i := range w.due {
				r.store.Again(&w.due[i])
			}
		}
		r.holding.give(w.held)
	}()
	g, err := r.carrying()
	if err != nil {
		return 0, err
	}
	clear(w.notices)
	clear(w.of)
	clear(w.recalls)
	w.notices, w.of, w.recalls, w.batch = w.notices[:0], w.of[:0], w.recalls[:0], reminder.Batch{Series: w.batch.Series[:0]}
	cat := r.o.Catalogue()
	for i := range w.due {
		d := &w.due[i]
		if !r.holding.try(d.Hash) {
			r.store.Again(d)
			w.again = true
			continue
		}
		w.held = append(w.held, d.Hash)
		s, err := r.store.Read(d.ID)
		switch {
		case errors.Is(err, reminder.ErrUnknown):
			continue // it went meanwhile
		case err != nil:
			return 0, err
		}
		r.act(ctx, cat, s, now)
	}
	// What is in the queue, or was taken back from it, is written down, also when Close has
	// been called meanwhile.
	whole := context.WithoutCancel(ctx)
	failed := r.superseded(whole, cat, now)
	if len(w.notices) > 0 {
		var no error
		if sent, no = r.hand(ctx, g, cat, now); no != nil {
			w.batch.Series = slices.DeleteFunc(w.batch.Series, func(s *reminder.Series) bool { return slices.Contains(w.of, s) })
			failed = errors.Join(failed, no)
		}
	}
	if err := r.store.Apply(whole, &w.batch); err != nil {
		return sent, errors.Join(failed, err)
	}
	r.met.unreached.Add(float64(len(w.batch.Unreached)))
	for _, s := range w.batch.Series {
		if !s.Next.After(now) { // another step of it, in the same second
			r.store.Again(&reminder.Due{ID: s.ID, At: s.Next})
			w.again = true
		}
	}
	return sent, failed
}

// superseded takes back what is out while the next step's day has come. What fails is left
// as it is, and comes again.
func (r *Reminders) superseded(ctx context.Context, cat *service.Catalogue, now time.Time) error {
	w := &r.work
	if len(w.recalls) == 0 {
		return nil
	}
	err := r.takeBack(ctx, w.recalls, false, now)
	for _, x := range w.recalls {
		if x.err == nil {
			x.s.Recalled(x.withdrawn, r.clock(cat, x.s.Service), now)
			w.batch.Series = append(w.batch.Series, x.s)
		}
	}
	return err
}

// act does with one series what is due; what is to be sent, or taken back, is only made ready.
func (r *Reminders) act(ctx context.Context, cat *service.Catalogue, s *reminder.Series, now time.Time) {
	w, c := &r.work, r.clock(cat, s.Service)
	switch s.Act(c, now) {
	case reminder.Rest:
		if s.Next.After(now) {
			return
		}
		s.Rest(c) // its moment is past and nothing is to be done: an end will come
	case reminder.Discard:
		w.batch.Discard = append(w.batch.Discard, s)
		return
	case reminder.Finish:
		if step := s.Step; s.Finished(c, now) {
			w.batch.Unreached = append(w.batch.Unreached, s.Missing(step, c, now))
		}
	case reminder.Recall:
		w.recalls = append(w.recalls, &recall{s: s})
		return
	case reminder.Send:
		if !s.Ready(c, now) {
			r.met.held.Inc()
			break
		}
		n, why, err := r.notice(ctx, cat, c, s, now)
		switch {
		case err != nil:
			r.postpone(s, now, err)
		case why != "":
			r.refused(s, why, c, now)
		default:
			w.notices, w.of = append(w.notices, n), append(w.of, s)
		}
	}
	w.batch.Series = append(w.batch.Series, s)
}

// hand gives the notices to the gateway and writes into their series what became of them.
func (r *Reminders) hand(ctx context.Context, g Carrying, cat *service.Catalogue, now time.Time) (sent int, err error) {
	w := &r.work
	if cap(w.out) < len(w.notices) {
		w.out = make([]gateway.Submitted, sendMost)
	}
	w.out = w.out[:len(w.notices)]
	clear(w.out)
	if err := g.SubmitMany(ctx, w.notices, w.out); err != nil {
		return 0, err
	}
	stored := r.o.Now()
	for i, s := range w.of {
		c := r.clock(cat, s.Service)
		err := w.out[i].Err
		var no *gateway.SubmitError
		switch {
		case err == nil:
			r.met.lateness(stored.Sub(s.AtHand().Due))
			s.Submitted(uint64(w.out[i].ID), c, now)
			r.met.sent.Inc()
			sent++
		case errors.As(err, &no) && !roomless(no.Status):
			r.refused(s, no.Refusal.String(), c, now)
		case errors.Is(err, gateway.ErrNoAccount):
			r.refused(s, "no_account", c, now)
		default:
			r.postpone(s, now, err)
		}
	}
	return sent, nil
}

// roomless tells whether a refusal goes away by itself: no room, or a store that fails.
func roomless(st pdu.Status) bool {
	return st == pdu.ESME_RTHROTTLED || st == pdu.ESME_RMSGQFUL || st == pdu.ESME_RSYSERR
}

func (r *Reminders) refused(s *reminder.Series, why string, c *reminder.Clock, now time.Time) {
	r.met.refused.Inc()
	if step := s.Step; s.Refused(why, c, now) {
		r.work.batch.Unreached = append(r.work.batch.Unreached, s.Missing(step, c, now))
	}
}

// postpone lets a series that is due come again in some seconds, behind others.
func (r *Reminders) postpone(s *reminder.Series, now time.Time, err error) {
	r.met.postponed.Inc()
	r.work.say(now, func(silent int) {
		r.log.Warn("reminders find no room and wait", slog.String("account", s.Account), slog.Any("err", err), slog.Int("not_logged", silent))
	})
	s.Postpone(now.Add(roomWait))
}

// notice makes the message of a step as it is at now. why: it cannot be made, which counts
// as a try.
func (r *Reminders) notice(ctx context.Context, cat *service.Catalogue, c *reminder.Clock, s *reminder.Series, now time.Time) (n gateway.Notice, why string, err error) {
	text, why, err := r.render(ctx, cat, c, s, now)
	if err != nil || why != "" {
		return n, why, err
	}
	n = gateway.Notice{
		Account: s.Account, Service: s.Service, Person: s.Person,
		Text: text.Text, Template: text.Template(s.Service), Once: s.Once(),
		Job: queue.Job{Kind: queue.ReminderJob, Number: s.ID, Item: s.Item()},
		// Never past the date, whatever the service says of its messages.
		Validity: s.Left(c, now),
	}
	if s.Person == (service.Person{}) {
		n.Number = s.Reminder.Number
	}
	if own := cat.Service(s.Service).Validity; own > 0 {
		n.Validity = min(n.Validity, own)
	}
	return n, "", nil
}

// Why a message cannot be made: reasons on the list of who was not reached, beside those
// of the gateway.
const (
	whyNoService  = "unknown_service" // it left the catalogue
	whyNoTemplate = "no_template"     // none is in force
	whyParams     = "bad_params"      // the template takes others now
)

// render fills in the template for whoever is told.
func (r *Reminders) render(ctx context.Context, cat *service.Catalogue, c *reminder.Clock, s *reminder.Series, now time.Time) (text service.Rendered, why string, err error) {
	of := cat.Service(s.Service)
	if of == nil {
		return text, whyNoService, nil
	}
	language, err := r.language(ctx, cat, of, s, now)
	if err != nil {
		return text, "", err
	}
	text, err = cat.Render(of, language, reminder.FillIn(&s.Reminder, of, c.Today(now)), now)
	switch {
	case errors.Is(err, service.ErrNoTemplate):
		return text, whyNoTemplate, nil
	case err != nil:
		return text, whyParams, nil
	}
	return text, "", nil
}

// language is the one that whoever is told has chosen; empty: not known.
func (r *Reminders) language(ctx context.Context, cat *service.Catalogue, of *service.Service, s *reminder.Series, now time.Time) (string, error) {
	reg := r.o.Registry
	switch {
	case reg == nil:
		return "", nil
	case s.Person != (service.Person{}):
		who, err := reg.Find(ctx, s.Person)
		if errors.Is(err, service.ErrNobody) {
			return "", nil // the gateway refuses it
		}
		return who.Language, err
	}
	st, err := reg.Lookup(ctx, s.Reminder.Number)
	if err != nil {
		return "", err
	}
	return cat.Judge(service.Question{Service: of, Standing: st, Now: now}).Language, nil
}

// sweep drops lists and bookmarks that are old, once an hour.
func (r *Reminders) sweep(now time.Time) {
	w := &r.work
	if since := now.Sub(w.swept); since >= 0 && since < sweepEvery {
		return
	}
	w.swept = now
	err := errors.Join(r.store.ForgetUnreached(reminder.DayOf(now.Add(-r.o.Keep).UTC())), r.store.ForgetBookmarks(now.Add(-r.o.Keep)))
	if err != nil {
		w.say(now, func(silent int) {
			r.log.Warn("old lists of who was not reached are kept", slog.Any("err", err), slog.Int("not_logged", silent))
		})
	}
}
