package queuetest

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

// lane is a lane of one account: group 1 unless told otherwise, no carrier avoided.
func lane(account uint32, class queue.Class) queue.Lane {
	return queue.Lane{Target: queue.Target(1, 0), Class: class, Account: account}
}

// aside is where Depths shows what an account has on the side way.
func aside(account uint32, class queue.Class) queue.Lane {
	return queue.Lane{Class: class, Account: account}
}

// message makes a message with every field of a submit_sm set, unlike any other.
func (r *rig) message(account uint32, class queue.Class) *queue.Message {
	r.made++
	n := r.made
	var job queue.Job
	if n%3 == 0 {
		job = queue.Job{Kind: queue.JobKind(n % 2), Number: uint64(n), Item: uint64(n) << 40}
	}
	return &queue.Message{
		Account: account, Class: class,
		Accepted: r.clock.at(), Expires: r.clock.in(48 * time.Hour),
		Source:      queue.Address{TON: 5, NPI: 0, Addr: "AHWAL"},
		Dest:        queue.Address{TON: 1, NPI: 1, Addr: fmt.Sprintf("9665%08d", n)},
		DestWritten: queue.Address{TON: 2, NPI: 1, Addr: fmt.Sprintf("05%08d", n)},
		Job:         job,
		ServiceType: "IDNEW", ESMClass: 0x03, ProtocolID: 0x41, Priority: 2,
		RegisteredDelivery: 1, DataCoding: 8,
		Body: fmt.Appendf(nil, "\x06\x27message %d\x00\xff", n),
		TLVs: []byte{0x02, 0x04, 0, 2, byte(n >> 8), byte(n)},
		Text: []byte("تنتهي صلاحية"),
	}
}

// accept makes n messages durable in the lane, in one Commit, and gives them back.
func (r *rig) accept(l queue.Lane, n int) []*queue.Message {
	r.Helper()
	ms, steps := r.accepts(l, n)
	r.commit(steps...)
	return ms
}

// accepts are the steps of accept.
func (r *rig) accepts(l queue.Lane, n int) ([]*queue.Message, []queue.Step) {
	ms, steps := make([]*queue.Message, n), make([]queue.Step, n)
	for i := range ms {
		ms[i] = r.message(l.Account, l.Class)
		steps[i] = &queue.Accept{M: ms[i], Lane: l}
	}
	return ms, steps
}

// acceptOne makes one message durable and gives its id.
func (r *rig) acceptOne(l queue.Lane) queue.ID {
	r.Helper()
	return r.accept(l, 1)[0].ID
}

func idsOf(ms []*queue.Message) []queue.ID {
	out := make([]queue.ID, len(ms))
	for i, m := range ms {
		out[i] = m.ID
	}
	return out
}

// receipt is a delivery about a message, with every field of a deliver_sm set.
func (r *rig) receipt(m *queue.Message, k queue.Kind) *queue.Delivery {
	r.made++
	return &queue.Delivery{
		Account: m.Account, Kind: k, Message: m.ID,
		Created: r.clock.at(), Expires: r.clock.in(72 * time.Hour),
		ServiceType: m.ServiceType, Source: m.Dest, Dest: m.Source,
		ESMClass: 0x04, ProtocolID: 0x40, DataCoding: 1,
		ShortMessage: fmt.Appendf(nil, "id:%s stat:DELIVRD %d", m.Shown, r.made),
		TLVs:         []byte{0x04, 0x27, 0, 1, 2},
	}
}

// final ends a claimed message as state.
func (r *rig) final(c queue.Claim, state pdu.State) *queue.Final {
	return &queue.Final{Claim: c, State: state, At: r.clock.at()}
}

// part is a carrier's ESME_ROK to part n of the claim's message.
func (r *rig) part(c queue.Claim, n, of uint8, carrier uint32, carrierID string) *queue.Part {
	attempt := max(c.M.Attempt, 1)
	return &queue.Part{
		Claim: c, Await: true, Last: n == of,
		Info: queue.PartInfo{
			Attempt: attempt, Part: n, Of: of, Carrier: carrier, CarrierID: carrierID,
			Sent: r.clock.at(), Reference: 4711,
		},
	}
}

// sendOne moves a message of one part from its lane to sent.
func (r *rig) sendOne(l queue.Lane, carrier uint32, carrierID string) queue.Claim {
	r.Helper()
	c := r.takeOne(l)
	c.M.Attempt = 1
	r.commit(r.part(c, 1, 1, carrier, carrierID))
	return c
}

// find gives what Find tells of any account's message.
func (r *rig) find(id queue.ID) queue.View {
	r.Helper()
	v, err := r.s.Find(r.ctx, 0, id)
	if err != nil {
		r.Fatalf("Find(%v): %v", id, err)
	}
	return v
}

// wantStage fails unless the message is at the stage and in the state.
func (r *rig) wantStage(id queue.ID, stage queue.Stage, state pdu.State) queue.View {
	r.Helper()
	v := r.find(id)
	if v.Stage != stage || v.State != state {
		r.Fatalf("Find(%v): stage %d and state %v, want stage %d and state %v", id, v.Stage, v.State, stage, state)
	}
	if v.M == nil || v.M.ID != id {
		r.Fatalf("Find(%v) tells of another message: %+v", id, v.M)
	}
	return v
}

// snapshot copies a message so that its later changes do not show.
func snapshot(m *queue.Message) *queue.Message {
	c := *m
	c.Body, c.TLVs, c.Text, c.Extra = bytes.Clone(m.Body), bytes.Clone(m.TLVs), bytes.Clone(m.Text), bytes.Clone(m.Extra)
	c.Answers = slices.Clone(m.Answers)
	return &c
}

// differences names the fields in which two values of one struct type differ. Empty and
// nil slices are the same; Origin lives in memory only and is left out, as are the
// fields named. A Shown that is empty is the same as one that says the id.
func differences(got, want any, but ...string) string {
	g, w := reflect.ValueOf(got).Elem(), reflect.ValueOf(want).Elem()
	var out []string
	for i := range g.NumField() {
		name := g.Type().Field(i).Name
		gf, wf := g.Field(i), w.Field(i)
		if name == "Origin" || slices.Contains(but, name) ||
			gf.Kind() == reflect.Slice && gf.Len() == 0 && wf.Len() == 0 ||
			reflect.DeepEqual(gf.Interface(), wf.Interface()) {
			continue
		}
		if m, ok := want.(*queue.Message); ok && name == "Shown" && shows(got.(*queue.Message)) == shows(m) {
			continue
		}
		out = append(out, fmt.Sprintf("%s: got %#v, want %#v", name, gf.Interface(), wf.Interface()))
	}
	return strings.Join(out, "; ")
}

// shows is the id that a message's client sees.
func shows(m *queue.Message) string {
	if m.Shown == "" {
		return m.ID.String()
	}
	return m.Shown
}

// depths is everything that waits, without what is empty: lanes, then outboxes by account.
func (r *rig) depths() map[any]int64 {
	out := map[any]int64{}
	r.s.Depths(func(l queue.Lane, d queue.Depth) {
		if d.Messages != 0 {
			out[l] += d.Messages
		}
	})
	r.s.OutboxDepths(func(account uint32, d queue.Depth) {
		if d.Messages != 0 {
			out[account] += d.Messages
		}
	})
	return out
}

// waiting is depths behind everything that was Done before: who is told by Done that a step is
// durable may see it counted a moment later.
func (r *rig) waiting() map[any]int64 {
	r.Helper()
	r.settle()
	return r.depths()
}

// wantDepths fails unless exactly this waits. Keys are queue.Lane, or uint32 for the
// outbox of an account. A claimed message waits still: its row stays until a step moves it.
func (r *rig) wantDepths(when string, want map[any]int64) {
	r.Helper()
	if got := r.waiting(); !reflect.DeepEqual(got, want) {
		r.Errorf("depths %s: got %v, want %v", when, got, want)
	}
}
