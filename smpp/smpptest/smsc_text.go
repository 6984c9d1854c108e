package smpptest

import (
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/text"
)

// Message is a message as a handset would show it: its parts put together and decoded.
type Message struct {
	At          time.Time // of its last part
	SystemID    string
	Source      string
	Dest        string // of a submit_multi the first, with "+n" behind it
	ServiceType string
	Encoding    text.Encoding
	Text        string   // hexadecimal for Binary, and where Err is set
	Parts       int      // how many came
	Total       int      // how many there are; more than Parts when it was given up
	IDs         []string // message_id of each part that came, in the order they came
	Err         error    // broken octets, or a part that never came
}

// ErrPartMissing is a message that was given up.
var ErrPartMissing = errors.New("smpptest: a part never came")

// partsAge is how long a message is waited for.
const partsAge = 5 * time.Minute

// smscTexts puts parts together. One for the whole simulator: the parts of a message may
// come over several sessions.
type smscTexts struct {
	o SMSCOptions

	mu    sync.Mutex
	whole *text.Reassembler
	open  map[string]*openMessage // of messages with parts missing, by key and reference
	timed bool                    // an expiryEvent is on its way
}

type openMessage struct {
	m   Message
	key string
}

func newSMSCTexts(o SMSCOptions) *smscTexts {
	return &smscTexts{o: o, whole: text.NewReassembler(100_000, 256<<20, partsAge), open: make(map[string]*openMessage)}
}

// add takes one accepted submit. It runs on the session's reader and calls OnMessage.
func (x *smscTexts) add(s *smscSession, p pdu.Body, id uint64) {
	m := Message{At: time.Unix(0, s.now), SystemID: s.systemID, Parts: 1, Total: 1}
	var class, coding uint8
	var content []byte
	var tlvs pdu.TLVs
	switch p := p.(type) {
	case *pdu.SubmitSM:
		m.Source, m.Dest, m.ServiceType = string(p.Source.Addr), string(p.Dest.Addr), string(p.ServiceType)
		class, coding, content, tlvs = p.ESMClass, p.DataCoding, p.Content(), p.TLVs
	case *pdu.DataSM:
		m.Source, m.Dest, m.ServiceType = string(p.Source.Addr), string(p.Dest.Addr), string(p.ServiceType)
		class, coding, content, tlvs = p.ESMClass, p.DataCoding, p.Content(), p.TLVs
	case *pdu.SubmitMulti:
		m.Source, m.ServiceType = string(p.Source.Addr), string(p.ServiceType)
		if len(p.Dests) > 0 {
			m.Dest = string(p.Dests[0].Address.Addr)
		}
		class, coding, content, tlvs = p.ESMClass, p.DataCoding, p.Content(), p.TLVs
	}
	m.Encoding, _ = text.Codings{Default: x.o.DefaultAlphabet, One: text.ASCII}.Encoding(coding)
	m.IDs = []string{string(x.o.IDResp.Append(nil, id))}

	concat, err := concatOf(class, tlvs, &content)
	if err != nil {
		m.Err = err
		m.Text = hex.EncodeToString(content)
		x.o.OnMessage(&m)
		return
	}
	if concat.Total <= 1 {
		m.decode(content)
		x.o.OnMessage(&m)
		return
	}
	x.part(s, m, concat, content)
}

// concatOf finds which part content is, by its header or the sar_* TLVs, and cuts the
// header off.
func concatOf(class uint8, tlvs pdu.TLVs, content *[]byte) (text.Concat, error) {
	if class&pdu.ESMClassUDHI != 0 {
		c, _, n, err := text.ParseUDH(*content)
		if err != nil {
			return text.Concat{}, err
		}
		*content = (*content)[n:]
		return c, nil
	}
	if len(tlvs) == 0 {
		return text.Concat{}, nil
	}
	ref, has := tlvs.Get(pdu.TagSARMsgRefNum)
	total, hasTotal := tlvs.Get(pdu.TagSARTotalSegments)
	seq, hasSeq := tlvs.Get(pdu.TagSARSegmentSeqnum)
	if !has || !hasTotal || !hasSeq || len(ref) != 2 || len(total) != 1 || len(seq) != 1 {
		return text.Concat{}, nil
	}
	c, _ := text.SARConcat(uint16(ref[0])<<8|uint16(ref[1]), total[0], seq[0])
	return c, nil
}

func (x *smscTexts) part(s *smscSession, m Message, c text.Concat, content []byte) {
	key := m.SystemID + "\x00" + m.Source + "\x00" + m.Dest
	ref := key + "\x00" + string([]byte{byte(c.Ref >> 8), byte(c.Ref), c.Total})

	x.mu.Lock()
	parts, done, err := x.whole.Add(m.At, key, c, content)
	o := x.open[ref]
	switch {
	case errors.Is(err, text.ErrDuplicatePart):
		// A part sent again after a lost answer: it belongs to a message that is, or
		// will be, told of once.
		x.mu.Unlock()
		return
	case err != nil:
		x.mu.Unlock()
		m.Err = err
		m.Total = int(c.Total)
		m.Text = hex.EncodeToString(content)
		x.o.OnMessage(&m)
		return
	case o == nil:
		o = &openMessage{m: m, key: ref}
		o.m.Total = int(c.Total)
		o.m.Parts = 0
		o.m.IDs = nil
		x.open[ref] = o
	}
	o.m.Parts++
	o.m.At = m.At
	o.m.IDs = append(o.m.IDs, m.IDs...)
	if done {
		delete(x.open, ref)
	} else if !x.timed {
		x.timed = true
		s.later = append(s.later, smscEvent{at: s.now + int64(partsAge) + int64(smscTick), kind: expiryEvent})
	}
	x.mu.Unlock()
	if !done {
		return
	}
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	o.m.decode(all)
	x.o.OnMessage(&o.m)
}

// expire gives up the messages whose parts never came.
func (x *smscTexts) expire(now time.Time) {
	x.mu.Lock()
	gone := x.whole.Expire(now)
	var told []*openMessage
	for _, g := range gone {
		ref := g.Key + "\x00" + string([]byte{byte(g.Concat.Ref >> 8), byte(g.Concat.Ref), g.Concat.Total})
		o := x.open[ref]
		if o == nil {
			continue
		}
		delete(x.open, ref)
		var all []byte
		for _, p := range g.Parts {
			all = append(all, p...)
		}
		o.m.decode(all)
		o.m.Err = ErrPartMissing
		told = append(told, o)
	}
	x.timed = false
	x.mu.Unlock()
	for _, o := range told {
		x.o.OnMessage(&o.m)
	}
}

func (m *Message) decode(octets []byte) {
	if m.Encoding == text.Binary {
		m.Text = hex.EncodeToString(octets)
		return
	}
	s, err := text.Decode(octets, m.Encoding)
	if err != nil {
		m.Err = err
		s = hex.EncodeToString(octets)
	}
	m.Text = s
}
