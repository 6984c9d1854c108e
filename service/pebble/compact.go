package pebble

import (
	"sync"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
)

// patience schedules compactions: as many as the engine would have, but none before the
// registry is open. The engine's Open waits for every compaction that has begun by its end,
// and after a crash in the middle of an import one begins with its first flush. (The
// engine's own scheduler cannot be had from outside, or this would wrap it.)
//
// The engine calls it with its own locks held, so mu is never held while the engine is
// called, but for GetAllowedWithoutPermission, which takes none.
type patience struct {
	db   pdb.DBForCompaction
	wake chan struct{} // buffer 1
	quit chan struct{} // closed by Unregister
	wg   sync.WaitGroup

	mu      sync.Mutex
	may     bool // from begin to Unregister
	running int
}

var (
	_ pdb.CompactionScheduler   = (*patience)(nil)
	_ pdb.CompactionGrantHandle = (*patience)(nil)
)

func newPatience() *patience {
	return &patience{wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

// begin lets compactions run from now on.
func (p *patience) begin() { p.set(true); p.UpdateGetAllowedWithoutPermission() }

func (p *patience) set(may bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.may = may
}

// Register is the engine's first call, made once by its Open. The goroutine ends with
// Unregister; what is allowed is looked at ten times a second as well, since the engine
// does not tell of all that raises it.
func (p *patience) Register(_ int, db pdb.DBForCompaction) {
	p.db = db
	p.wg.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-p.wake:
			case <-tick.C:
			case <-p.quit:
				return
			}
			p.grant()
		}
	})
}

// Unregister is the engine's last call, made once by its Close.
func (p *patience) Unregister() {
	p.set(false)
	close(p.quit)
	p.wg.Wait()
}

// TrySchedule asks for one compaction. Who is refused waits for grant.
func (p *patience) TrySchedule() (bool, pdb.CompactionGrantHandle) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.may || p.db.GetAllowedWithoutPermission() <= p.running {
		return false, nil
	}
	p.running++
	return true, p
}

// grant starts the compactions that wait, as many as may run.
func (p *patience) grant() {
	for {
		if ok, _ := p.TrySchedule(); !ok {
			return
		}
		if waits, _ := p.db.GetWaitingCompaction(); !waits || !p.db.Schedule(p) {
			p.less()
			return
		}
	}
}

func (p *patience) less() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
}

// Done is a compaction's last call.
func (p *patience) Done() { p.less(); p.UpdateGetAllowedWithoutPermission() }

// UpdateGetAllowedWithoutPermission says that more may be allowed now.
func (p *patience) UpdateGetAllowedWithoutPermission() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Started, MeasureCPU and CumulativeStats are told of what a compaction does; nothing
// depends on it.
func (p *patience) Started() {}

// MeasureCPU: see Started.
func (p *patience) MeasureCPU(pdb.CompactionGoroutineKind) {}

// CumulativeStats: see Started.
func (p *patience) CumulativeStats(pdb.CompactionGrantHandleStats) {}
