package jobs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"masar/gateway"
	"masar/queue"
)

// heard is a Kind that keeps what it is told.
type heard struct {
	items []uint64
	fails error
	asked int
}

func (h *heard) Ended(_ context.Context, ends []gateway.End) error {
	for _, e := range ends {
		h.items = append(h.items, e.Job.Item)
	}
	return h.fails
}

func (h *heard) Fresh(*queue.Message, time.Time) (gateway.Fresh, error) {
	h.asked++
	return gateway.Fresh{Text: "new"}, nil
}

func TestEndsAndQuestionsGoToWhoseTheyAre(t *testing.T) {
	end := func(k queue.JobKind, item uint64) gateway.End {
		return gateway.End{Job: queue.Job{Kind: k, Number: 1, Item: item}}
	}
	mixed := []gateway.End{end(queue.CampaignJob, 1), end(queue.ReminderJob, 2), end(queue.CampaignJob, 3), end(queue.JobKind(77), 4)}
	var log bytes.Buffer
	reminders, campaigns := &heard{fails: errors.New("broken")}, new(heard)
	j := &Jobs{Reminders: reminders, Campaigns: campaigns, Log: slog.New(slog.NewTextHandler(&log, nil))}
	if err := j.Ended(t.Context(), mixed); !errors.Is(err, reminders.fails) {
		t.Error(err)
	}
	if len(reminders.items) != 1 || reminders.items[0] != 2 || len(campaigns.items) != 2 || campaigns.items[1] != 3 {
		t.Errorf("%v %v", reminders.items, campaigns.items)
	}
	if !strings.Contains(log.String(), `kind="job kind 77" ends=1`) {
		t.Errorf("nobody's end is not told of: %s", &log)
	}
	for kind, want := range map[queue.JobKind]*heard{queue.ReminderJob: reminders, queue.CampaignJob: campaigns} {
		f, err := j.Fresh(&queue.Message{Job: queue.Job{Kind: kind}}, time.Now())
		if err != nil || f.Keep || want.asked != 1 {
			t.Errorf("%s: %+v %v, asked %d times", kind, f, err, want.asked)
		}
	}
	// A process without campaigns lets its messages leave as they are, and says that nobody
	// hears of their ends.
	alone := &Jobs{Reminders: new(heard), Log: j.Log}
	if f, err := alone.Fresh(&queue.Message{Job: queue.Job{Kind: queue.CampaignJob}}, time.Now()); err != nil || !f.Keep {
		t.Errorf("%+v %v", f, err)
	}
	if err := alone.Ended(t.Context(), mixed[:1]); err != nil || !strings.Contains(log.String(), "kind=campaign ends=1") {
		t.Errorf("%v: %s", err, &log)
	}
}
