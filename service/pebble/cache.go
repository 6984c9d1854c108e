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
)

// cache holds standings by number, nil where nothing is known, and the versions.
type cache struct {
	shards   [cacheShards]shard
	versions [1 << versionBits]atomic.Uint64
}

type shard struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[number.E164, *service.Standing]
	epoch uint64 // rises whenever the writer has been here
	_     [40]byte
}

func newCache(numbers int) (*cache, error) {
	c := new(cache)
	for i := range c.shards {
		var err error
		if c.shards[i].lru, err = simplelru.NewLRU[number.E164, *service.Standing](max(1, numbers/cacheShards), nil); err != nil {
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

// get tells what is cached; where nothing is, epoch says until when put may put it there.
func (s *shard) get(n number.E164) (st *service.Standing, epoch uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok = s.lru.Get(n)
	return st, s.epoch, ok
}

func (s *shard) put(n number.E164, st *service.Standing, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch == epoch {
		s.lru.Add(n, st)
	}
}

// replace is the writer's, after its rows are visible on disk. A number that nobody has
// asked for is left out: a bulk load must not drive out what is in use.
func (s *shard) replace(n number.E164, st func() *service.Standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	if s.lru.Contains(n) {
		s.lru.Add(n, st())
	}
}
