package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"masar/config"
	"masar/service"
)

// blocked lays the blocklist file over the registry.
type blocked struct {
	log      *slog.Logger
	registry service.Registry // nil: there are no subscribers
	seen     []fileState      // the file as it was when refresh last read it; its caller's lock
}

// refresh reads the file again if it is not what it last read, mended or not. Without a
// file, what an earlier one blocked is lifted.
func (b *blocked) refresh(ctx context.Context, c *config.Config) error {
	if b.registry == nil {
		return nil
	}
	now := []fileState{{}} // no file
	if c.Blocklist.File != "" {
		now[0] = stateOf(c.Blocklist.File)
	}
	if slices.Equal(now, b.seen) {
		return nil
	}
	b.seen = now // taken before it is read: a later change is seen the next time
	f := service.BlockFile{Country: c.Country, Zone: c.TimeZone.Location()}
	in := io.ReadCloser(io.NopCloser(strings.NewReader("")))
	if c.Blocklist.File == "" {
		f.MaxShrink = 1 // on purpose
	} else {
		var err error
		if in, err = os.Open(c.Blocklist.File); err != nil {
			return fmt.Errorf("blocklist.file: %w", err)
		}
	}
	defer in.Close()
	r, err := f.Sync(ctx, b.registry, in)
	if err != nil {
		return fmt.Errorf("blocklist.file: %s: %w", c.Blocklist.File, err)
	}
	for _, bad := range r.BadRows {
		rule, _, _ := strings.Cut(bad.Rule, ":") // what follows is the row's own: a number
		b.log.Warn("bad row of the blocklist file", slog.String("file", c.Blocklist.File), slog.Int64("line", bad.Line),
			slog.String("column", bad.Column), slog.String("rule", rule))
	}
	if r.Rows > 0 || r.Removed > 0 {
		b.log.Info("blocklist file laid over the registry", slog.String("file", c.Blocklist.File), slog.Int64("rows", r.Rows), slog.Int64("bad", r.Bad),
			slog.Int64("added", r.Added), slog.Int64("changed", r.Changed), slog.Int64("lifted", r.Removed), slog.Int64("refused", r.Refused))
	}
	return nil
}
