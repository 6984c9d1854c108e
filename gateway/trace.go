package gateway

import (
	"context"
	"log/slog"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

func (s *submission) trace() { s.client.g.traceSubmit(s.client.account, &s.m) }

// traceSubmit logs, at debug, a message that was taken. It runs on the committer: who logs
// each message pays for it with throughput.
func (g *Gateway) traceSubmit(a *account, m *queue.Message) {
	if !g.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("account", a.name), slog.String("message_id", m.ID.String()),
		slog.String("class", m.Class.String()), slog.Int("octets", len(m.Body)),
		slog.Any("from", g.sender(m.Source.Addr)), slog.Any("to", g.number(m.Dest.Addr)),
	}
	if g.opt.ShowText {
		attrs = append(attrs, slog.String("text", readable(storedCodings, m)))
	}
	g.log.LogAttrs(context.Background(), slog.LevelDebug, "submit accepted", attrs...)
}

// readable is a message's text for the log: without its header; empty where it is none.
func readable(codings text.Codings, m *queue.Message) string {
	e, known := codings.Encoding(m.DataCoding)
	if !known {
		return ""
	}
	body := m.Body
	if m.ESMClass&pdu.ESMClassUDHI != 0 {
		_, _, n, err := text.ParseUDH(body)
		if err != nil {
			return ""
		}
		body = body[n:]
	}
	s, err := text.Decode(body, e)
	if err != nil {
		return ""
	}
	return s
}
