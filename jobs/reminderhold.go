package jobs

import (
	"context"
	"sync"
)

// holding says which series somebody is changing, by the hash of account and key: from
// before it is read until what became of it is on disk. Two that share a hash wait for
// each other, and no harm is done.
type holding struct {
	mu   sync.Mutex
	held map[uint64]struct{}
	free chan struct{} // closed, and made anew, when something is let go that is waited for
	wait int
}

func (h *holding) init() { h.held, h.free = map[uint64]struct{}{}, make(chan struct{}) }

// take holds all of hashes at once, or none: no two can wait for each other. One that
// stands there twice counts once.
func (h *holding) take(ctx context.Context, hashes []uint64) error {
	for {
		h.mu.Lock()
		if h.allFree(hashes) {
			for _, hash := range hashes {
				h.held[hash] = struct{}{}
			}
			h.mu.Unlock()
			return nil
		}
		h.wait++
		free := h.free
		h.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
		}
		h.mu.Lock()
		h.wait--
		h.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (h *holding) allFree(hashes []uint64) bool {
	for _, hash := range hashes {
		if _, held := h.held[hash]; held {
			return false
		}
	}
	return true
}

// try holds one; false: somebody has it.
func (h *holding) try(hash uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, held := h.held[hash]; held {
		return false
	}
	h.held[hash] = struct{}{}
	return true
}

func (h *holding) has(hash uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, held := h.held[hash]
	return held
}

// give lets go what was taken.
func (h *holding) give(hashes []uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, hash := range hashes {
		delete(h.held, hash)
	}
	if h.wait > 0 {
		close(h.free)
		h.free = make(chan struct{})
	}
}
