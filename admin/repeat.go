package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"masar/service"
)

// begun knows the requests with an Idempotency-Key that this process has begun: those at
// work, and those that ended without anything having been done.
type begun struct {
	mu     sync.Mutex
	busy   map[string]bool
	undone *lru.Cache[string, struct{}]
}

const undoneMost = 4096

func newBegun() *begun {
	undone, err := lru.New[string, struct{}](undoneMost)
	if err != nil {
		panic(err) // the size is a constant
	}
	return &begun{busy: map[string]bool{}, undone: undone}
}

// enter tells whether nobody else is at work on key.
func (b *begun) enter(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy[key] {
		return false
	}
	b.busy[key] = true
	return true
}

func (b *begun) leave(key string) {
	b.mu.Lock()
	delete(b.busy, key)
	b.mu.Unlock()
}

// A repeatable request is one that the registry does not do itself, so that its answer
// cannot be kept in one write with what it did.
type repeatable struct {
	key       string // Idempotency-Key; "": none, and it is done each time
	operation string
	asked     any    // what the key stands for
	harmless  bool   // doing it twice is as good as once
	look      string // where it shows whether it was done, for one that is not harmless
}

// repeat does what was asked, unless it was done before with this key. K is what is kept of
// the answer: at most 4 KiB of JSON, enough for tell to make the answer of.
//
// The key is claimed before anything is done. Where the process ends between that and the
// answer, a repeated request is not done again but told so: it cannot be known whether it
// was done.
func repeat[K, B any](ctx context.Context, a *api, c *caller, q repeatable, do func(context.Context) (K, error), tell func(context.Context, K) (B, error)) (*answer[B], error) {
	if q.key == "" {
		kept, err := do(ctx)
		if err != nil {
			return nil, err
		}
		body, err := tell(ctx, kept)
		return &answer[B]{Body: body}, err
	}
	if a.opt.Registry == nil {
		return nil, problem(http.StatusNotImplemented, "an Idempotency-Key is remembered in the registry, and this gateway has none (catalogue: FILE): leave the key out")
	}
	o, err := a.once(c, q.key, q.operation, q.asked)
	if err != nil {
		return nil, err
	}
	if !a.begun.enter(o.Key) {
		return nil, retry(http.StatusConflict, "this request is being worked on: ask again for its answer", time.Second)
	}
	defer a.begun.leave(o.Key)
	k, err := replay(ctx, a.opt.Registry, o)
	if err != nil {
		return nil, err
	}
	if k != nil {
		var was K
		if err := json.Unmarshal(k.Body, &was); err != nil {
			return nil, err
		}
		body, err := tell(ctx, was)
		return &answer[B]{Replayed: "true", Body: body}, err
	}
	if err := a.claim(ctx, o, &q); err != nil {
		return nil, err
	}
	// Whoever asked may go away meanwhile: what has begun is finished, and its answer kept.
	ctx = context.WithoutCancel(ctx)
	done, err := do(ctx)
	if err != nil {
		if _, told := asTold(err); told {
			a.begun.undone.Add(o.Key, struct{}{})
		}
		return nil, err
	}
	o.Answer = keep(done, nil)
	if _, err := a.opt.Registry.Apply(ctx, service.Batch{Once: o}); err != nil && !errors.Is(err, service.ErrOnceKnown) {
		return nil, err
	}
	body, err := tell(ctx, done)
	return &answer[B]{Body: body}, err
}

// claim keeps the key for this request, before anything is done.
func (a *api) claim(ctx context.Context, o *service.Once, q *repeatable) error {
	claim := *o
	claim.Key, claim.Answer = o.Key+claimSuffix, keep(struct{}{}, nil)
	_, err := a.opt.Registry.Apply(ctx, service.Batch{Once: &claim})
	if !errors.Is(err, service.ErrOnceKnown) {
		return err
	}
	if q.harmless || a.begun.undone.Remove(o.Key) {
		return nil
	}
	return problem(http.StatusConflict, "a request with this key was begun and broken off, and whether it was done is not known: nothing was done now. "+q.look+" shows it; for another try choose a new key",
		mistake("header.Idempotency-Key", nil, "was used for a request that broke off"))
}
