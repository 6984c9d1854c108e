package jobs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/gateway"
	"masar/service/reminder"
)

// crashing is a gateway behind whose n-th SubmitMany the power goes: what it took is in the
// queue on disk, and nobody has written that down.
type crashing struct {
	Carrying
	left atomic.Int64
	cut  func()
}

func (g *crashing) SubmitMany(ctx context.Context, n []gateway.Notice, out []gateway.Submitted) error {
	err := g.Carrying.SubmitMany(ctx, n, out)
	if g.left.Add(-1) == 0 {
		g.cut()
	}
	return err
}

func TestAPowerCutWhileTheDaysRemindersAreHandedOverSendsEachOnce(t *testing.T) {
	const many = 1200
	for batch := range int64(3) {
		t.Run(fmt.Sprintf("behind batch %d", batch+1), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCarrierInMemory(t, raceCarrier)
				var up atomic.Bool // the carrier comes back only after the restart: nothing is in flight
				dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
					if !up.Load() {
						return nil, errors.New("connection refused")
					}
					return c.dial(ctx, network, addr)
				}
				fs := vfs.NewCrashableMem()
				var after *vfs.MemFS
				g := &crashing{}
				g.left.Store(batch + 1)
				g.cut = func() {
					after = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(uint64(batch), 3))})
				}
				o := realOptions{fs: fs, catalogue: remindCatalogue(t), dial: dial, addr: "a:1", window: 10, at: 9 * time.Hour, wrap: func(real Carrying) Carrying {
					g.Carrying = real
					return g
				}}
				x := startReal(t, o)
				var list []reminder.Reminder
				for i := range many {
					list = append(list, of(fmt.Sprintf("R%04d", i), "2000-01-08"))
				}
				if _, err := x.reminders.PutMany(t.Context(), list); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Until(moment("2000-01-01 09:00").Add(5 * time.Second)))
				x.stop(t)
				if after == nil {
					t.Fatal("there was no such batch")
				}
				up.Store(true)
				o.fs, o.wrap = after, nil
				x = startReal(t, o)
				defer x.stop(t)
				time.Sleep(5 * time.Second)
				quietUntilSent(t, x, c)
				got := c.texts()
				for text, times := range got {
					if times != 1 {
						t.Fatalf("%q came %d times", text, times)
					}
				}
				if len(got) != many {
					t.Fatalf("%d came, want %d", len(got), many)
				}
				for i := range list {
					if v, err := x.reminders.Get(t.Context(), "civil", list[i].Key); err != nil || v.Steps[0].State != "out" || v.Steps[0].Try != 1 {
						t.Fatalf("%+v %v", v, err)
					}
				}
			})
		})
	}
}
