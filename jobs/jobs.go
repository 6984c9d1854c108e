package jobs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"masar/gateway"
	"masar/queue"
)

// Kind is the job of one kind: *Reminders, *Campaigns.
type Kind interface {
	Ended(ctx context.Context, ends []gateway.End) error
	Fresh(m *queue.Message, now time.Time) (gateway.Fresh, error)
}

// Jobs joins what there is of jobs as the gateway's. A nil Kind has no messages: ends of
// such, of a process that had it, are told to the log.
type Jobs struct {
	Reminders Kind
	Campaigns Kind
	Log       *slog.Logger // nil: slog.Default
}

var _ gateway.Jobs = (*Jobs)(nil)

// of is whose a kind is; nil: nobody's.
func (j *Jobs) of(k queue.JobKind) Kind {
	switch k {
	case queue.ReminderJob:
		return j.Reminders
	case queue.CampaignJob:
		return j.Campaigns
	}
	return nil
}

// Ended is gateway.Jobs'. The ends of each kind are told in their order; when one kind
// fails the other has heard its own, and takes them a second time for what it knows.
func (j *Jobs) Ended(ctx context.Context, ends []gateway.End) error {
	var errs []error
	var kinds []queue.JobKind // one of a newer program may be among them
	for i := range ends {
		if k := ends[i].Job.Kind; !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	for _, kind := range kinds {
		mine := ends
		if len(kinds) > 1 {
			mine = nil
			for i := range ends {
				if ends[i].Job.Kind == kind {
					mine = append(mine, ends[i])
				}
			}
		}
		if k := j.of(kind); k != nil {
			errs = append(errs, k.Ended(ctx, mine))
			continue
		}
		j.log().Warn("ends of jobs that this process does not run are dropped", slog.String("kind", kind.String()), slog.Int("ends", len(mine)))
	}
	return errors.Join(errs...)
}

// Fresh is gateway.Jobs'.
func (j *Jobs) Fresh(m *queue.Message, now time.Time) (gateway.Fresh, error) {
	if k := j.of(m.Job.Kind); k != nil {
		return k.Fresh(m, now)
	}
	return gateway.Fresh{Keep: true}, nil
}

func (j *Jobs) log() *slog.Logger {
	if j.Log == nil {
		return slog.Default()
	}
	return j.Log
}
