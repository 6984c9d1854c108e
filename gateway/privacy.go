package gateway

import (
	"log/slog"
	"strings"
)

// number is a telephone number for the log: its last digits hidden, unless the operator
// asked for whole numbers.
func (g *Gateway) number(n string) slog.LogValuer { return maskedNumber{n, g.opt.ShowNumbers} }

// sender is a source address for the log: a name is shown, a number is masked.
func (g *Gateway) sender(s string) slog.LogValuer {
	return maskedNumber{s, g.opt.ShowNumbers || !isDigits(strings.TrimPrefix(s, "+"))}
}

type maskedNumber struct {
	number string
	whole  bool
}

// LogValue hides all but the first five digits, which tell country and network.
func (m maskedNumber) LogValue() slog.Value {
	if m.whole || len(m.number) <= 5 {
		return slog.StringValue(m.number)
	}
	b := []byte(m.number)
	for i := 5; i < len(b); i++ {
		b[i] = '*'
	}
	return slog.StringValue(string(b))
}
