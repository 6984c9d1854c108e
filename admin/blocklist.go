package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"masar/number"
	"masar/service"
)

// Block is a number that is kept from being sent to.
type Block struct {
	Number  string     `json:"number"`
	Scope   string     `json:"scope" enum:"opt-in,all" doc:"opt-in: it gets mandatory services alone; all: nothing"`
	Reason  string     `json:"reason,omitempty"`
	Expires *time.Time `json:"expires,omitempty" doc:"absent: never"`
	Channel string     `json:"channel" doc:"who blocked it"`
	At      time.Time  `json:"at"`
}

func block(n number.E164, b *service.Block) *Block {
	return &Block{Number: n.String(), Scope: b.Scope.String(), Reason: b.Reason, Expires: dated(b.Expires), Channel: b.Channel, At: b.At.UTC()}
}

// BlockRequest blocks a number.
type BlockRequest struct {
	Scope   string     `json:"scope,omitempty" enum:"opt-in,all" default:"all" doc:"opt-in: it gets mandatory services alone; all: nothing"`
	Reason  string     `json:"reason,omitempty" maxLength:"100"`
	Expires *time.Time `json:"expires,omitempty" doc:"absent: never"`
	By      string     `json:"by,omitempty" maxLength:"64" doc:"which clerk or user of the channel"`
}

type blockOutput struct{ Body *Block }

func (f *face) blocklistOperations() {
	statuses := []int{http.StatusNotFound, http.StatusNotImplemented}
	operation(f, ScopeBlocklist, huma.Operation{OperationID: "block", Method: http.MethodPut, Path: "/v1/blocklist/{number}", Tags: []string{"blocklist"},
		Summary: "Block a number", Description: "In place of an earlier block of the same channel. Without all-channels another channel's block is not touched.",
		Errors: []int{http.StatusConflict, http.StatusNotImplemented}}, f.putBlock)
	operation(f, ScopeBlocklist, huma.Operation{OperationID: "blocked", Method: http.MethodGet, Path: "/v1/blocklist/{number}", Tags: []string{"blocklist"},
		Summary: "Whether a number is blocked", Errors: statuses}, f.getBlock)
	operation(f, ScopeBlocklist, huma.Operation{OperationID: "unblock", Method: http.MethodDelete, Path: "/v1/blocklist/{number}", Tags: []string{"blocklist"},
		Summary: "Let a number be sent to again", DefaultStatus: http.StatusNoContent, Errors: statuses}, f.deleteBlock)
}

// blockOf is what blocks a number, of anybody; nil: nothing.
func (f *face) blockOf(ctx context.Context, written string) (number.E164, *service.Block, error) {
	r, err := f.registry()
	if err != nil {
		return 0, nil, err
	}
	var m mistakes
	n := f.number(&m, "path.number", written)
	if err := m.err(); err != nil {
		return 0, nil, err
	}
	st, err := r.Lookup(ctx, n)
	if err != nil || st == nil || st.Block.In(f.opt.Now()) == service.BlockNone {
		return n, nil, err
	}
	return n, &st.Block, nil
}

const reasonMost = 100 // octets of service.Block.Reason

func (f *face) putBlock(ctx context.Context, in *struct {
	Number string `path:"number"`
	Body   BlockRequest
}) (*blockOutput, error) {
	c, now := from(ctx), f.opt.Now()
	n, was, err := f.blockOf(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	if was != nil && !c.sees(was.Channel) {
		return nil, problem(http.StatusConflict, "the number is blocked by another channel already")
	}
	b := service.Block{Scope: service.BlockAll, Reason: in.Body.Reason, Channel: c.channel, At: now}
	if in.Body.Scope == service.BlockOptIn.String() {
		b.Scope = service.BlockOptIn
	}
	var m mistakes
	if len(b.Reason) > reasonMost {
		m.add("body.reason", b.Reason, fmt.Sprintf("has %d octets, at most %d are kept", len(b.Reason), reasonMost))
	}
	if in.Body.Expires != nil {
		if b.Expires = *in.Body.Expires; !b.Expires.After(now) {
			m.add("body.expires", b.Expires, "is past")
		}
	}
	ch := service.Change{Kind: service.BlockNumber, Number: n, Block: b, Channel: c.channel, By: clerk(&m, in.Body.By), Now: now}
	if err := m.err(); err != nil {
		return nil, err
	}
	if err := f.one(ctx, ch); err != nil {
		return nil, err
	}
	return &blockOutput{block(n, &b)}, nil
}

// one makes one change.
func (f *face) one(ctx context.Context, ch service.Change) error {
	all, err := f.opt.Registry.Apply(ctx, service.Batch{Changes: []service.Change{ch}})
	if err == nil && all[0].Err != nil {
		return all[0].Err
	}
	return err
}

func (f *face) getBlock(ctx context.Context, in *struct {
	Number string `path:"number"`
}) (*blockOutput, error) {
	n, b, err := f.blockOf(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	if b == nil || !from(ctx).sees(b.Channel) {
		return nil, problem(http.StatusNotFound, "the number is not blocked")
	}
	return &blockOutput{block(n, b)}, nil
}

func (f *face) deleteBlock(ctx context.Context, in *struct {
	Number string `path:"number"`
	By     string `query:"by" maxLength:"64" doc:"which clerk or user of the channel"`
}) (*none, error) {
	c := from(ctx)
	n, b, err := f.blockOf(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	if b == nil || !c.sees(b.Channel) {
		return nil, problem(http.StatusNotFound, "the number is not blocked")
	}
	var m mistakes
	ch := service.Change{Kind: service.UnblockNumber, Number: n, Channel: c.channel, By: clerk(&m, in.By), Now: f.opt.Now()}
	if err := m.err(); err != nil {
		return nil, err
	}
	return nil, f.one(ctx, ch)
}
