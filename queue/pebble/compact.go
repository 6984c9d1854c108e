package pebble

import (
	"sync"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
)

// scheduler lets the engine compact as much as it may, like its own scheduler, but only
// once begin is called. The engine's Open waits for every compaction that has begun by its
// end, and after a crash with a backlog one begins with its first flush: 10 s of a start
// with 5,000,000 messages on a busy disk, half a second without.
//
// The engine calls it with its own locks held, so it never calls the engine with mu held,
// but for GetAllowedWithoutPermission, which takes none.
type scheduler struct {
	db   pdb.DBForCompaction
	wake chan struct{} // buffer 1
	quit chan struct{} // closed by Unregister
	wg   sync.WaitGroup

	mu      sync.Mutex
	begun   bool
	gone    bool
	running int
}

var (
	_ pdb.CompactionScheduler   = (*scheduler)(nil)
	_ pdb.CompactionGrantHandle = (*scheduler)(nil)
)

func newScheduler() *scheduler {
	return &scheduler{wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

// begin lets compactions run from now on.
func (s *scheduler) begin() {
	s.mu.Lock()
	s.begun = true
	s.mu.Unlock()
	s.UpdateGetAllowedWithoutPermission()
}

// schedulerLooks is how often what is allowed is looked at without a reason.
const schedulerLooks = 100 * time.Millisecond

// Register is the engine's first call, made once by its Open.
func (s *scheduler) Register(_ int, db pdb.DBForCompaction) {
	s.db = db
	s.wg.Go(func() {
		tick := time.NewTicker(schedulerLooks)
		defer tick.Stop()
		for {
			select {
			case <-s.wake:
			case <-tick.C:
			case <-s.quit:
				return
			}
			s.grant()
		}
	})
}

// Unregister is the engine's last call, made once by its Close.
func (s *scheduler) Unregister() {
	s.mu.Lock()
	s.gone = true
	s.mu.Unlock()
	close(s.quit)
	s.wg.Wait()
}

// TrySchedule asks for one compaction. What is refused waits for grant.
func (s *scheduler) TrySchedule() (bool, pdb.CompactionGrantHandle) {
	if !s.take() {
		return false, nil
	}
	return true, s
}

// take counts one more compaction if it may run.
func (s *scheduler) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun || s.gone || s.db.GetAllowedWithoutPermission() <= s.running {
		return false
	}
	s.running++
	return true
}

func (s *scheduler) giveBack() {
	s.mu.Lock()
	s.running--
	s.mu.Unlock()
}

// grant starts the compactions that wait, as many as may run.
func (s *scheduler) grant() {
	for s.take() {
		if waiting, _ := s.db.GetWaitingCompaction(); !waiting || !s.db.Schedule(s) {
			s.giveBack()
			return
		}
	}
}

// UpdateGetAllowedWithoutPermission says that more may be allowed now.
func (s *scheduler) UpdateGetAllowedWithoutPermission() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Done is a compaction's last call.
func (s *scheduler) Done() {
	s.giveBack()
	s.UpdateGetAllowedWithoutPermission()
}

// Started is the first call of a compaction that was granted.
func (s *scheduler) Started() {}

// MeasureCPU and CumulativeStats are told of what a compaction uses; nothing depends on it.
func (s *scheduler) MeasureCPU(pdb.CompactionGoroutineKind) {}

// CumulativeStats: see MeasureCPU.
func (s *scheduler) CumulativeStats(pdb.CompactionGrantHandleStats) {}
