package gateway

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/text"
)

// The carriers and the clients of the interleavings.

// mood is how a carrier answers.
type mood uint8

const (
	allGood    mood = iota
	throttles       // everything
	halfway         // every other one is throttled
	fails           // every third one fails for now
	slow            // answers take seconds
	neverQuite      // some are never answered
	moods
)

// A post is a carrier.
type post struct {
	c    *chronicle
	name string
	fake *fakeSMSC
	done chan struct{}
	gone sync.WaitGroup

	mu      sync.Mutex
	mind    mood
	rng     *rand.Rand
	pending []*fakeSubmit // whose receipts are not acknowledged
	cuts    [][2]time.Time
	last    *fakeSession
}

func newPost(c *chronicle, name string) *post {
	p := &post{c: c, name: name, done: make(chan struct{}), rng: rand.New(rand.NewPCG(c.rng.Uint64(), 0))}
	p.fake = newFakeSMSC(c.t, p.verdict)
	p.gone.Go(p.report)
	return p
}

func (p *post) mode(m mood) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mind = m
}

// refuse takes the carrier down, or up again.
func (p *post) refuse(yes bool) {
	p.fake.refuse(yes)
	if yes {
		p.cut(time.Now(), time.Now())
		p.fake.drop()
	}
}

// cut notes that answers may be lost between two moments.
func (p *post) cut(from, to time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts = append(p.cuts, [2]time.Time{from, to})
}

func (p *post) owes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pending)
}

func (p *post) close() {
	close(p.done)
	p.gone.Wait()
}

// verdict answers a submit_sm. On the carrier's session.
func (p *post) verdict(_ int, s *fakeSubmit) {
	l, k := p.read(s)
	if l == nil {
		p.c.t.Errorf("carrier %s: whose is %q?", p.name, s.ShortMessage)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = s.Session
	dice := p.rng.IntN(100)
	delay := time.Duration(0)
	switch {
	case p.mind == throttles, p.mind == halfway && dice < 50:
		s.Status = pdu.ESME_RTHROTTLED
	case p.mind == fails && dice < 33:
		s.Status = pdu.ESME_RSYSERR
	case p.mind == slow:
		delay = time.Duration(p.rng.Int64N(int64(8 * time.Second)))
	case p.mind == neverQuite && dice < 20:
		delay = time.Hour
	}
	k.status = s.Status
	if delay > 0 {
		s.Status = noAnswer
	}
	if delay < time.Hour {
		k.answered = k.at.Add(delay)
		kept := *s
		kept.Status = k.status
		time.AfterFunc(delay, func() {
			if delay > 0 {
				kept.Session.answer(&kept, kept.Status)
			}
			if kept.Status == pdu.ESME_ROK && kept.RegisteredDelivery != 0 {
				p.mu.Lock()
				p.pending = append(p.pending, &kept)
				p.mu.Unlock()
			}
		})
	}
	p.c.mu.Lock()
	l.calls = append(l.calls, k)
	p.c.mu.Unlock()
}

// read finds the letter of a submit_sm by the tag in its text.
func (p *post) read(s *fakeSubmit) (*letter, call) {
	k := call{at: s.At, carrier: p.name, dest: string(s.Dest.Addr), source: string(s.Source.Addr), part: 1, of: 1}
	body := s.ShortMessage
	if s.ESMClass&pdu.ESMClassUDHI != 0 {
		concat, _, n, err := text.ParseUDH(body)
		if err != nil {
			return nil, k
		}
		k.ref, k.part, k.of, body = concat.Ref, concat.Seq, concat.Total, body[n:]
	}
	_, tag, found := bytes.Cut(body, []byte("#"))
	tag, _, ended := bytes.Cut(tag, []byte(";"))
	var story, n int
	if _, err := fmt.Sscanf(string(tag), "%d.%d", &story, &n); err != nil || !found || !ended || story >= len(p.c.stories) {
		return nil, k
	}
	return p.c.stories[story].letters[n], k
}

// report sends receipts until each is acknowledged.
func (p *post) report() {
	for {
		select {
		case <-p.done:
			return
		case <-time.After(2 * time.Second):
		}
		p.mu.Lock()
		due, session := p.pending, p.last
		p.pending = nil
		p.mu.Unlock()
		var acks []chan pdu.Status
		for _, s := range due {
			acks = append(acks, session.receipt(s, "DELIVRD"))
		}
		late := time.After(10 * time.Second)
		var again []*fakeSubmit
		for i, ack := range acks {
			select {
			case st := <-ack:
				if st == pdu.ESME_ROK {
					continue
				}
			case <-late:
				late = time.After(0)
			}
			again = append(again, due[i])
		}
		p.mu.Lock()
		p.pending = append(p.pending, again...)
		if len(again) > 0 {
			p.fake.mu.Lock()
			if n := len(p.fake.sessions); n > 0 {
				p.last = p.fake.sessions[n-1]
			}
			p.fake.mu.Unlock()
		}
		p.mu.Unlock()
	}
}

// A bureau is a client with a reader of its own: receipts come when they come.
type bureau struct {
	c    *chronicle
	conn net.Conn

	mu    sync.Mutex
	seq   uint32
	waits map[uint32]chan bureauAnswer
}

type bureauAnswer struct {
	status pdu.Status
	id     string
}

func openBureau(c *chronicle, conn net.Conn) *bureau {
	d := &bureau{c: c, conn: conn, seq: 10, waits: map[uint32]chan bureauAnswer{}}
	conn.SetDeadline(time.Time{})
	go d.run()
	return d
}

func (d *bureau) run() {
	p := &peer{t: d.c.t, conn: d.conn}
	for {
		h, body, err := p.read(1000 * time.Hour)
		if err != nil {
			return
		}
		switch h.Command {
		case pdu.CmdSubmitSM.Resp():
			var m pdu.MessageResp
			if len(body) > 0 {
				m.Decode(body)
			}
			d.mu.Lock()
			d.waits[h.Sequence] <- bureauAnswer{h.Status, string(m.MessageID)}
			delete(d.waits, h.Sequence)
			d.mu.Unlock()
		case pdu.CmdDeliverSM:
			var m pdu.DeliverSM
			if err := m.Decode(body); err != nil {
				d.c.t.Error(err)
			}
			f := fields(&m)
			d.c.mu.Lock()
			d.c.told[f["id"]] = append(d.c.told[f["id"]], f["stat"])
			d.c.mu.Unlock()
			d.write(pdu.Append(nil, h.Command.Resp(), pdu.ESME_ROK, h.Sequence, &pdu.MessageResp{}))
		case pdu.CmdUnbind:
			d.write(pdu.Append(nil, h.Command.Resp(), pdu.ESME_ROK, h.Sequence, nil))
		}
	}
}

func (d *bureau) write(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn.Write(b)
}

// submit submits and awaits the answer.
func (d *bureau) submit(p *pdu.SubmitSM) bureauAnswer {
	d.mu.Lock()
	d.seq++
	ch := make(chan bureauAnswer, 1)
	d.waits[d.seq] = ch
	d.conn.Write(pdu.Append(nil, pdu.CmdSubmitSM, pdu.ESME_ROK, d.seq, p))
	d.mu.Unlock()
	select {
	case a := <-ch:
		return a
	case <-time.After(time.Minute):
		d.c.t.Fatal("a submit_sm was not answered")
		return bureauAnswer{}
	}
}
