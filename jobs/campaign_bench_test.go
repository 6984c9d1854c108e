package jobs

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/gateway"
	"masar/queue/pebble"
	"masar/service"
	"masar/service/campaign"
	registry "masar/service/pebble"
)

// realGateway is a gateway without carriers that are up, over a store in fs.
func realGateway(t testing.TB, fs vfs.FS, cat *service.Catalogue, reg service.Registry, jobs gateway.Jobs, change func(*gateway.Options)) (*gateway.Gateway, *pebble.Store) {
	t.Helper()
	store, err := pebble.Open(t.Context(), pebble.Options{
		Dir: "queue", FS: fs, Log: slog.New(slog.DiscardHandler), MinFree: -1, Ballast: -1, CacheBytes: 8 << 20, Fatal: func(err error) { panic(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	o := gateway.Options{
		Store: store, Full: store.Full, Log: slog.New(slog.DiscardHandler), Registry: reg, Jobs: jobs, Drain: time.Second,
		Setup: gateway.Setup{
			Accounts:  []gateway.Account{{SystemID: "nic", Agency: "nic"}},
			Carriers:  []gateway.Carrier{{Name: "a", Addrs: []string{"127.0.0.1:1"}, SystemID: "masar", Transceivers: 1, Window: 100}},
			Routes:    []gateway.Route{{Carriers: []gateway.RouteCarrier{{Name: "a"}}}},
			Catalogue: cat,
		},
	}
	if change != nil {
		change(&o)
	}
	g, err := gateway.Start(t.Context(), o)
	if err != nil {
		store.Close()
		t.Fatal(err)
	}
	return g, store
}

// BenchmarkAFileIsReadAndChecked tells rows a second of an upload and of its check, a
// registry asked for every row: 200,000 in memory, or ROWS on the disk.
func BenchmarkAFileIsReadAndChecked(b *testing.B) {
	rows, fs := 200_000, vfs.FS(vfs.NewMem())
	if v := os.Getenv("ROWS"); v != "" { // so many, on the disk
		n, err := strconv.Atoi(v)
		if err != nil {
			b.Fatalf("ROWS=%s: %v", v, err)
		}
		b.Chdir(b.TempDir())
		rows, fs = n, vfs.Default
	}
	cat := campaignCatalogue(b)
	reg, err := registry.Open(b.Context(), registry.Options{Dir: "registry", FS: fs, MinFree: -1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer reg.Close()
	st := openCampaigns(b, fs)
	defer st.Close()
	c := NewCampaigns(CampaignsOptions{Store: st, Catalogue: func() *service.Catalogue { return cat }, Registry: reg, Country: "966", Log: slog.New(slog.DiscardHandler)})
	g, store := realGateway(b, fs, cat, reg, c, nil)
	defer store.Close()
	defer g.Close(b.Context())
	c.Begin(g)
	defer c.Close()
	var f strings.Builder
	f.WriteString("number,name\n")
	order := rand.New(rand.NewPCG(1, 2)).Perm(rows)
	for _, i := range order {
		fmt.Fprintf(&f, "9665%08d,name %d\n", i, i)
	}
	var read, asked, told time.Duration
	for b.Loop() {
		v, err := c.Create(b.Context(), campaign.Campaign{Name: "x", Account: "nic", Service: "NEWS", By: "x"})
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if _, err := c.Upload(b.Context(), v.ID, strings.NewReader(f.String()), campaign.Format{}); err != nil {
			b.Fatal(err)
		}
		read += time.Since(began)
		began = time.Now()
		if _, err := c.Check(b.Context(), v.ID, "huda"); err != nil {
			b.Fatal(err)
		}
		for v.State == campaign.Draft || v.State == campaign.Checking {
			time.Sleep(time.Millisecond)
			if v, err = c.Get(b.Context(), v.ID); err != nil {
				b.Fatal(err)
			}
		}
		if v.Check == nil || v.Check.Good != int64(rows) {
			b.Fatalf("%+v %+v", v, v.Check)
		}
		asked += time.Since(began)
		began = time.Now()
		if err := c.Report(b.Context(), v.ID, io.Discard); err != nil {
			b.Fatal(err)
		}
		told += time.Since(began)
	}
	n := float64(b.N) * float64(rows)
	b.ReportMetric(n/read.Seconds(), "rows_read/s")
	b.ReportMetric(n/asked.Seconds(), "rows_checked/s")
	b.ReportMetric(n/told.Seconds(), "rows_reported/s")
}
