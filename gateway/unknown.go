package gateway

import (
	"context"
	"log/slog"
	"time"

	"masar/number"
	"masar/queue"
	"masar/service"
)

// unknownNotes tells the registry of numbers that carriers report as unknown subscribers:
// in batches, off the message path, and not at all where the registry cannot keep up. One
// goroutine.
type unknownNotes struct {
	g     *Gateway
	inbox chan unknownNote
}

type unknownNote struct {
	number  number.E164
	carrier string
	at      time.Time
}

const (
	unknownInbox = 4096
	unknownBatch = 256
)

func newUnknownNotes(g *Gateway) *unknownNotes {
	return &unknownNotes{g: g, inbox: make(chan unknownNote, unknownInbox)}
}

// unknownSubscriber notes that a message ended because nobody has its number. Any
// goroutine; it never waits.
func (c *carrier) unknownSubscriber(m *queue.Message, at time.Time) {
	n, ok := number.Of(m.Dest.Addr)
	if !ok || c.g.opt.Registry == nil || c.g.world.Load().isTest(m.Dest.Addr) {
		return
	}
	select {
	case c.g.unknown.inbox <- unknownNote{n, c.name, at}:
		c.met.unknown.Inc()
	default:
		c.g.met.unknownDropped.Inc()
	}
}

func (u *unknownNotes) run() {
	changes := make([]service.Change, 0, unknownBatch)
	for {
		changes = changes[:0]
		select {
		case <-u.g.ctx.Done():
			return
		case n := <-u.inbox:
			changes = append(changes, n.change())
		}
	gather:
		for len(changes) < unknownBatch {
			select {
			case n := <-u.inbox:
				changes = append(changes, n.change())
			default:
				break gather
			}
		}
		u.tell(u.g.ctx, changes)
	}
}

func (n *unknownNote) change() service.Change {
	return service.Change{Kind: service.NoteUnknown, Number: n.number, Channel: "carrier", By: n.carrier, Now: n.at}
}

func (u *unknownNotes) tell(ctx context.Context, changes []service.Change) {
	if _, err := u.g.opt.Registry.Apply(ctx, service.Batch{Changes: changes}); err != nil {
		u.g.met.unknownDropped.Add(float64(len(changes)))
		if ctx.Err() == nil {
			u.g.log.Error("unknown subscribers could not be noted", slog.Int("numbers", len(changes)), slog.Any("err", err))
		}
	}
}
