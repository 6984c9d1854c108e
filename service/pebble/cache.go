package pebble

import (
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"masar/number"
	"masar/service"
)

const (
	cacheShards = 64
	versionBits = 16 // 65,536 counters: numbers that share one cost each other a lookup, no more

	// hotShare of the numbers whose rows are in memory are there as a Standing as well. A row
	// is some 100 octets and a Standing of five services 600: all of them would take 180 MiB,
	// and the collector as much again. To make one of a row takes half a microsecond.
	hotShare = 16
)

// cache holds what is known of numbers, and the versions.
type cache struct {
	shards   [cacheShards]shard
	versions [1 << versionBits]atomic.Uint64
}

// A shard of the cache.
//
// Invariant: what it holds of a number is what the disk holds, or the writer is about to
// replace it and has not raised the version yet.
type shard struct {
	mu    sync.Mutex
	hot   *simplelru.LRU[number.E164, *service.Standing] // nil: nothing is known
	rows  *simplelru.LRU[number.E164, []byte]            // as on disk, never changed; empty: there is none
	epoch uint64                                         // rises whenever the writer has been here
}

func newCache(numbers int) (*cache, error) {
	c := new(cache)
	for i := range c.shards {
		s := &c.shards[i]
		var err error
		if s.rows, err = simplelru.NewLRU[number.E164, []byte](max(1, numbers/cacheShards), nil); err != nil {
			return nil, err
		}
		if s.hot, err = simplelru.NewLRU[number.E164, *service.Standing](max(1, numbers/cacheShards/hotShare), nil); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// spread makes neighbouring numbers fall far apart.
func spread(n number.E164) uint64 { return uint64(n) * 0x9E3779B97F4A7C15 }

func (c *cache) shard(n number.E164) *shard { return &c.shards[spread(n)>>32%cacheShards] }

func (c *cache) version(n number.E164) *atomic.Uint64 {
	return &c.versions[spread(n)>>(64-versionBits)]
}

// found says in what form the cache has a number.
type found uint8

const (
	notCached found = iota
	asStanding
	asRow
)

// get tells what is cached. epoch says until when put may put there what was made of it,
// or read because nothing was there.
func (s *shard) get(n number.E164) (st *service.Standing, row []byte, f found, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, ok := s.hot.Get(n); ok {
		return st, nil, asStanding, s.epoch
	}
	if row, ok := s.rows.Get(n); ok {
		return nil, row, asRow, s.epoch
	}
	return nil, nil, notCached, s.epoch
}

// put keeps a standing, and the row it was read from where one is given. Both are dropped
// if the writer has been here since epoch: they may be older than what it wrote.
func (s *shard) put(n number.E164, st *service.Standing, row *[]byte, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return
	}
	s.hot.Add(n, st)
	if row != nil {
		s.rows.Add(n, *row)
	}
}

// replace is the writer's, after its rows are visible on disk. A number that nobody has
// asked for is left out: a bulk load must not drive out what is in use.
func (s *shard) replace(n number.E164, row func() []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.hot.Remove(n)
	if s.rows.Contains(n) {
		s.rows.Add(n, row())
	}
}
