package gateway

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/receipt"
)

// bind is one bind to a carrier, through all its sessions, of which it is the
// smpp.Handler.
type bind struct {
	c       *carrier
	mode    pdu.Command
	current atomic.Pointer[smpp.Session] // the latest; nil before the first
	view    receipt.View                 // the reader's: receipts are read without allocating
}

// free is how many more submit_sm the bind takes now.
func (b *bind) free() int {
	if s := b.current.Load(); s != nil {
		return s.Free() // 0 unless it is bound
	}
	return 0
}

// up tells whether the bind can transmit now.
func (b *bind) up() bool {
	s := b.current.Load()
	return s != nil && (s.State() == smpp.BoundTX || s.State() == smpp.BoundTRX)
}

// receiptWindow is how many receipts of one bind may wait for their commit; the next is
// answered ESME_RTHROTTLED and the carrier sends it again.
const receiptWindow = 1000

// bound is called on the new session's reader, before anything else arrives.
func (b *bind) bound(s *smpp.Session) {
	c := b.c
	b.current.Store(s)
	c.met.up(b.mode).Inc()
	c.log.Info("bound to the carrier", slog.String("bind", b.mode.String()), slog.String("addr", s.RemoteAddr().String()), slog.Uint64("session", s.ID()))
	if b.mode == pdu.CmdBindReceiver {
		return
	}
	c.mu.Lock()
	if len(c.binds) == 0 {
		c.outage.back(time.Now())
	}
	c.binds = append(slices.Clone(c.binds), b)
	c.window.Store(int64(len(c.binds) * c.opt.Window))
	c.downSince.Store(0)
	c.mu.Unlock()
	c.g.stirGroups(c)
}

// down is told each time a bind is lost or refused.
func (c *carrier) down(mode pdu.Command, err error, retryIn time.Duration) {
	var refusedBind *smpp.BindError
	attrs := []slog.Attr{slog.String("bind", mode.String()), slog.Any("err", err), slog.Duration("retry_in", retryIn)}
	if errors.As(err, &refusedBind) {
		c.met.bindsRefused.WithLabelValues(statusLabel(refusedBind.Status)).Inc()
		level := slog.LevelWarn
		if refusedBind.Status == pdu.ESME_RINVPASWD || refusedBind.Status == pdu.ESME_RINVSYSID {
			level = slog.LevelError // waiting cannot cure it: somebody must look
		}
		c.log.LogAttrs(context.Background(), level, "carrier refused the bind", attrs...)
		return
	}
	c.log.LogAttrs(context.Background(), slog.LevelWarn, "carrier bind is down", attrs...)
}

// Ended is called once, when the session is over.
func (b *bind) Ended(s *smpp.Session, unanswered []any, err error) {
	c := b.c
	c.mu.Lock()
	if i := slices.Index(c.binds, b); i >= 0 {
		c.binds = slices.Delete(slices.Clone(c.binds), i, i+1)
		c.window.Store(int64(len(c.binds) * c.opt.Window))
		if len(c.binds) == 0 {
			now := time.Now()
			c.downSince.Store(now.UnixNano())
			c.outage.lost(now, c.climbing.next.Load() != 0)
		}
	}
	c.mu.Unlock()
	c.met.up(b.mode).Dec()
	c.corr.lost(unanswered)
	c.outstanding.Add(-int64(len(unanswered)))
	if len(unanswered) > 0 {
		c.log.Warn("carrier session ended with submits unanswered", slog.Uint64("session", s.ID()), slog.Int("unanswered", len(unanswered)), slog.Any("err", err))
	}
	c.g.stirGroups(c)
}

// Response is the carrier's answer to a submit_sm.
func (b *bind) Response(_ *smpp.Session, token any, a smpp.Answer) {
	p := token.(*flightPart)
	if a.Late {
		b.c.met.late.Inc()
		b.c.corr.late(p, a)
		return
	}
	b.c.corr.answer(p, a)
	b.c.outstanding.Add(-1)
	b.c.wakeUp()
}

// Request is the carrier's request: a receipt, a mobile-originated message, an alert.
func (b *bind) Request(_ *smpp.Session, h pdu.Header, body pdu.Body, r smpp.Reply) {
	switch h.Command {
	case pdu.CmdDeliverSM:
		b.deliver(body.(*pdu.DeliverSM), r)
	case pdu.CmdDataSM:
		b.deliverData(body.(*pdu.DataSM), r)
	case pdu.CmdAlertNotification:
		b.c.met.alerts.Inc()
	default:
		r.SendNack(pdu.ESME_RINVCMDID)
	}
}
