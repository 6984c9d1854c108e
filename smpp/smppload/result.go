package smppload

import "time"

// Result is what a run came to.
type Result struct {
	Sent         uint64            `json:"sent"`      // submit_sm written
	Accepted     uint64            `json:"accepted"`  // answered ESME_ROK
	Refused      uint64            `json:"refused"`   // answered otherwise
	Uncertain    uint64            `json:"uncertain"` // never answered: the connection ended, or time
	Statuses     map[string]uint64 `json:"statuses"`  // of all answers, by name
	Seconds      float64           `json:"seconds"`   // from the first submit to the last answer
	SentPerS     float64           `json:"sent_per_s"`
	AcceptedPerS float64           `json:"accepted_per_s"`
	RespMs       Percentiles       `json:"resp_ms"` // from submit_sm to its answer

	Receipts        uint64            `json:"receipts"`          // final ones, each message's first
	ReceiptStates   map[string]uint64 `json:"receipt_states"`    // of those
	ReceiptMs       Percentiles       `json:"receipt_ms"`        // from submit_sm to the receipt
	ReceiptsPerS    float64           `json:"receipts_per_s"`    // from the first submit to the last receipt
	Intermediate    uint64            `json:"intermediate"`      // not final, counted apart
	Missing         uint64            `json:"missing"`           // accepted, receipt asked for, none came
	Dup             uint64            `json:"dup"`               // receipts beyond a message's first
	Strange         uint64            `json:"strange"`           // right destination, wrong message_id
	Unsought        uint64            `json:"unsought"`          // of messages not sent in this run, or refused
	OfUncertain     uint64            `json:"of_uncertain"`      // receipts of messages never answered
	MobileOriginate uint64            `json:"mobile_originated"` // deliver_sm that are no receipts

	Binds      int      `json:"binds"`
	Window     int      `json:"window"`
	Reconnects uint64   `json:"reconnects"`
	Errors     []string `json:"errors,omitempty"` // why connections ended, each once

	CPU CPU `json:"cpu"` // of this client

	// Ledger tells of each message.
	Ledger *Ledger `json:"-"`
}

// Percentiles of durations, in milliseconds.
type Percentiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// CPU is what a process used.
type CPU struct {
	Seconds      float64 `json:"seconds"`
	UsPerMessage float64 `json:"us_per_message"` // of the messages sent
}

// Progress is how far a run is.
type Progress struct {
	Elapsed                            time.Duration
	Sent, Accepted, Refused, Uncertain uint64
	Receipts, Dup, Awaited             uint64
	Bound                              int
	Settling                           bool // submitting is over; receipts are awaited
}

func (h *histogram) percentiles() Percentiles {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Percentiles{
		P50: ms(h.quantile(0.50)), P90: ms(h.quantile(0.90)), P99: ms(h.quantile(0.99)),
		P999: ms(h.quantile(0.999)), Max: ms(h.max),
	}
}
