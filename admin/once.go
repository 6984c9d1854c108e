package admin

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"masar/service"
)

// Idempotent is embedded in what may be sent again: with the same key and body nothing is
// done a second time, and the first answer comes again.
type Idempotent struct {
	Key string `header:"Idempotency-Key" minLength:"1" maxLength:"100" doc:"makes the request repeatable: a key of the caller's own, remembered for a week"`
}

// answer is an answer that may come again.
type answer[B any] struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true: this was answered before, nothing was done now"`
	Body     B
}

// kept is an answer as the registry keeps it. It holds no reference and no code: what is
// refused is told by field and rule.
type kept struct {
	Problem *huma.ErrorModel `json:"problem,omitempty"`
	Body    json.RawMessage  `json:"body,omitempty"`
}

// once is what makes a request repeatable; nil without a key. The body is kept as a keyed
// hash: numbers and references are short enough to be found from a bare one.
func (a *api) once(c *caller, key, operation string, asked any) (*service.Once, error) {
	if key == "" {
		return nil, nil
	}
	b, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	o := &service.Once{Key: c.channel + "/" + key, At: a.opt.Now()}
	mac := hmac.New(sha256.New, a.opt.PersonKey[:])
	mac.Write([]byte("once " + operation + "\n"))
	mac.Write(b)
	mac.Sum(o.Body[:0])
	return o, nil
}

// replay is what a request with this key left before; nil: nothing.
func replay(ctx context.Context, r service.Registry, o *service.Once) (*kept, error) {
	was, err := r.Once(ctx, o.Key)
	switch {
	case errors.Is(err, service.ErrNobody):
		return nil, nil
	case err != nil:
		return nil, err
	case was.Body != o.Body:
		return nil, service.ErrKeyReused
	}
	k := new(kept)
	return k, json.Unmarshal(was.Answer, k)
}

// as is the answer that k keeps.
func as[B any](k *kept) (*answer[B], error) {
	if k.Problem != nil {
		return nil, huma.ErrorWithHeaders(k.Problem, http.Header{"Idempotency-Replayed": {"true"}})
	}
	out := &answer[B]{Replayed: "true"}
	return out, json.Unmarshal(k.Body, &out.Body)
}

// apply makes changes once: tell turns what became of them into the answer, and must not
// depend on anything else.
func apply[B any](ctx context.Context, a *api, c *caller, o *service.Once, changes []service.Change, tell func([]service.Outcome) (B, *huma.ErrorModel)) (*answer[B], error) {
	r, err := a.registry()
	if err != nil {
		return nil, err
	}
	b := service.Batch{Changes: changes, Once: o}
	if o != nil {
		if k, err := replay(ctx, r, o); err != nil {
			return nil, err
		} else if k != nil {
			return as[B](k)
		}
		b.Decided = func(all []service.Outcome) { o.Answer = keep(tell(all)) }
	}
	all, err := r.Apply(ctx, b)
	if errors.Is(err, service.ErrOnceKnown) { // the same request, sent twice at a time
		k, err := replay(ctx, r, o)
		if err != nil {
			return nil, err
		}
		return as[B](k)
	}
	if err != nil {
		return nil, err
	}
	body, refused := tell(all)
	if refused != nil {
		return nil, refused
	}
	return &answer[B]{Body: body}, nil
}

func keep[B any](body B, refused *huma.ErrorModel) []byte {
	k := kept{Problem: refused}
	if refused == nil {
		k.Body, _ = json.Marshal(body) // our own types
	}
	b, _ := json.Marshal(k)
	return b
}
