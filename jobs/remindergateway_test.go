package jobs

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/gateway"
	"masar/queue"
	"masar/queue/pebble"
	"masar/service"
	"masar/service/reminder"
	"masar/smpp"
	"masar/smpp/text"
)

// realOptions say what a real differs in.
type realOptions struct {
	fs        vfs.FS // nil: the disk
	dir       string // of the disk
	catalogue *service.Catalogue
	dial      func(ctx context.Context, network, addr string) (net.Conn, error)
	addr      string // of the only carrier
	window    int
	pace      float64 // of reminders
	carries   float64 // of the carrier, a second; 0: no limit
	at        time.Duration
	wrap      func(Carrying) Carrying // stands between reminders and gateway; nil: nothing
}

// real is reminders over a whole gateway: its queue, its dispatchers, one carrier.
type real struct {
	queue     *pebble.Store
	gw        *gateway.Gateway
	reminders *Reminders
	kept      *reminder.Store
}

func startReal(t testing.TB, o realOptions) *real {
	t.Helper()
	fatal := func(err error) { panic(err) }
	x := &real{}
	var err error
	qo := pebble.Options{Dir: o.dir + "queue", FS: o.fs, Log: quietLog, MinFree: -1, Ballast: -1, Fatal: fatal}
	if o.fs != nil {
		qo.CacheBytes = 1 << 20
	}
	if x.queue, err = pebble.Open(context.Background(), qo); err != nil {
		t.Fatal(err)
	}
	if x.kept, err = reminder.Open(reminder.Options{Dir: o.dir + "reminders", FS: o.fs, Log: quietLog, MinFree: -1, Fatal: fatal}); err != nil {
		t.Fatal(err)
	}
	x.reminders = NewReminders(RemindersOptions{
		Store: x.kept, Catalogue: func() *service.Catalogue { return o.catalogue }, Log: quietLog, At: o.at, Pace: o.pace,
	})
	timers := smpp.Timers{SessionInit: 10 * time.Second, Response: 10 * time.Second}
	x.gw, err = gateway.Start(context.Background(), gateway.Options{
		Store: x.queue, Jobs: &Jobs{Reminders: x.reminders, Log: quietLog}, Log: quietLog, Timers: timers, Dial: o.dial, Drain: time.Second,
		Setup: gateway.Setup{
			Catalogue: o.catalogue,
			Accounts:  []gateway.Account{{SystemID: "civil", Agency: "one", Class: queue.Normal, Codings: text.Codings{One: text.ASCII}}},
			Carriers: []gateway.Carrier{{
				Name: "a", Addrs: []string{o.addr}, SystemID: "masar", Password: "secret", Transceivers: 2, Window: o.window, Throughput: o.carries, Timers: timers, Codings: text.Codings{One: text.ASCII}, Identity: "a",
				Backoff: smpp.Backoff{Min: 100 * time.Millisecond, Max: time.Second, Factor: 2, Refused: time.Second, AlreadyBound: time.Second},
			}},
			Routes: []gateway.Route{{Carriers: []gateway.RouteCarrier{{Name: "a"}}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var g Carrying = x.gw
	if o.wrap != nil {
		g = o.wrap(g)
	}
	if err := x.reminders.Start(g); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *real) stop(t testing.TB) {
	t.Helper()
	if err := x.reminders.Close(); err != nil {
		t.Error(err)
	}
	if err := x.gw.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := x.kept.Close(); err != nil {
		t.Error(err)
	}
	if err := x.queue.Close(); err != nil {
		t.Error(err)
	}
}
