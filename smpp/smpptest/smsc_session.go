package smpptest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"masar/smpp/pdu"
)

// smscReadBuffer is what one read takes at most. The larger it is, the more submits are
// answered by one write.
const smscReadBuffer = 128 << 10

// smscOutMax is how many octets may wait to be written to a peer that does not read
// before it is cut off.
const smscOutMax = 16 << 20

// smscWriteTimeout is how long one write may take.
const smscWriteTimeout = 30 * time.Second

var (
	errFraming    = errors.New("impossible command_length")
	errUnbound    = errors.New("unbound")
	errDropped    = errors.New("dropped by option")
	errNotRead    = errors.New("the peer does not read")
	errNoAnswer   = errors.New("enquire_link unanswered")
	errSMSCBroken = errors.New("write failed")
)

// smscSession is one connection. run's goroutine owns the fields of the first block.
type smscSession struct {
	smsc   *SMSC
	conn   net.Conn
	remote string
	rng    *rand.Rand
	gone   chan struct{} // closed by run, last

	systemID   string
	bound      pdu.Command // 0 before the bind
	account    *smscAccount
	canSubmit  bool
	canReceive bool
	submits    int
	now        int64 // ns since 1970, of the last read

	sm      pdu.SubmitSM // reused for every message read
	data    pdu.DataSM
	multi   pdu.SubmitMulti
	idBuf   []byte
	textBuf []byte
	tlvBuf  pdu.TLVs
	outSM   pdu.SubmitSM // a receipt while it is encoded
	outData pdu.DataSM
	dates   [2]minuteText
	later   []smscEvent     // of this read, for the clock
	due     []*smscDelivery // of this read, to be sent at once
	batch   struct{ submits, accepted, receipts, acked uint64 }

	mu       sync.Mutex
	out      []byte // octets to write
	spare    []byte // the buffer before, written
	writing  bool   // somebody is in flush's loop
	err      error  // why no more is written
	sequence uint32
	waiting  int                      // submits not yet answered, where Outstanding counts them
	unacked  map[uint32]*smscDelivery // by sequence_number
	asked    int                      // enquire_links unanswered
}

func newSMSCSession(c *SMSC, conn net.Conn) *smscSession {
	return &smscSession{
		smsc: c, conn: conn, remote: conn.RemoteAddr().String(), rng: c.newRand(),
		unacked: make(map[uint32]*smscDelivery), gone: make(chan struct{}),
	}
}

// run reads until the connection ends. Everything that one read brought is answered by
// one write.
func (s *smscSession) run() {
	defer close(s.gone)
	err := s.read()
	s.conn.Close()
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	err = s.err
	s.mu.Unlock()
	s.smsc.ended(s)
	if s.bound != 0 && s.smsc.opt.OnEnd != nil {
		s.smsc.opt.OnEnd(s.systemID, s.remote, err)
	}
}

func (s *smscSession) read() error {
	buf := make([]byte, smscReadBuffer)
	have := 0
	for {
		n, err := s.conn.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		s.now = time.Now().UnixNano()
		used, err := s.frames(buf[:have])
		s.endOfRead()
		if err != nil {
			return err
		}
		have = copy(buf, buf[used:have])
		if have >= 4 { // a PDU larger than the buffer: its length was found possible
			if need := int(binary.BigEndian.Uint32(buf)); need > len(buf) {
				buf = append(buf, make([]byte, need-len(buf))...)
			}
		}
	}
}

// frames handles the whole PDUs of b and returns how many octets they were.
func (s *smscSession) frames(b []byte) (used int, err error) {
	for len(b)-used >= pdu.HeaderLen {
		h := pdu.ParseHeader(b[used:])
		if h.Length < pdu.HeaderLen || int64(h.Length) > int64(s.smsc.opt.MaxPDU) {
			s.smsc.stats.viol.Add(1)
			s.answer(pdu.CmdGenericNack, pdu.ESME_RINVCMDLEN, h.Sequence, nil)
			return used, errFraming
		}
		end := used + int(h.Length)
		if end > len(b) {
			break
		}
		if err := s.handle(h, b[used+pdu.HeaderLen:end]); err != nil {
			return used, err
		}
		used = end
	}
	return used, nil
}

// endOfRead hands on what the PDUs of one read brought about.
func (s *smscSession) endOfRead() {
	n := &s.smsc.stats
	if s.batch.submits > 0 {
		n.submits.Add(s.batch.submits)
		n.accepted.Add(s.batch.accepted)
		n.receipts.Add(s.batch.receipts)
	}
	if len(s.later) > 0 {
		s.smsc.clock.add(s.later)
		clear(s.later)
		s.later = s.later[:0]
	}
	if s.account != nil && (len(s.due) > 0 || s.batch.acked > 0) {
		n.acked.Add(s.batch.acked)
		s.account.deliver(s, s.due)
		clear(s.due)
		s.due = s.due[:0]
	}
	s.batch.submits, s.batch.accepted, s.batch.receipts, s.batch.acked = 0, 0, 0, 0
	s.flush()
}

// handle answers one PDU. An error ends the session after what was answered is written.
func (s *smscSession) handle(h pdu.Header, body []byte) error {
	switch h.Command {
	case pdu.CmdSubmitSM, pdu.CmdDataSM, pdu.CmdSubmitMulti:
		return s.submit(h, body)
	case pdu.CmdDeliverSMResp, pdu.CmdDataSMResp:
		s.acknowledged(h)
	case pdu.CmdEnquireLink:
		s.answer(pdu.CmdEnquireLinkResp, pdu.ESME_ROK, h.Sequence, nil)
	case pdu.CmdEnquireLinkResp:
		s.mu.Lock()
		s.asked = 0
		s.mu.Unlock()
	case pdu.CmdBindTransmitter, pdu.CmdBindReceiver, pdu.CmdBindTransceiver:
		return s.bindRequest(h, body)
	case pdu.CmdUnbind:
		s.answer(pdu.CmdUnbindResp, pdu.ESME_ROK, h.Sequence, nil)
		return errUnbound
	case pdu.CmdUnbindResp:
		return errUnbound
	case pdu.CmdGenericNack:
		s.acknowledged(h)
	case pdu.CmdQuerySM:
		s.refuse(h, pdu.ESME_RQUERYFAIL)
	case pdu.CmdCancelSM:
		s.refuse(h, pdu.ESME_RCANCELFAIL)
	case pdu.CmdReplaceSM:
		s.refuse(h, pdu.ESME_RREPLACEFAIL)
	default:
		s.smsc.stats.viol.Add(1)
		s.answer(pdu.CmdGenericNack, pdu.ESME_RINVCMDID, h.Sequence, nil)
	}
	return nil
}

func (s *smscSession) refuse(h pdu.Header, st pdu.Status) {
	if s.bound == 0 {
		st = pdu.ESME_RINVBNDSTS
	}
	s.answer(h.Command.Resp(), st, h.Sequence, nil)
}

func (s *smscSession) bindRequest(h pdu.Header, body []byte) error {
	fields := bytes.SplitN(body, []byte{0}, 3)
	st := pdu.ESME_ROK
	systemID := ""
	switch {
	case s.bound != 0:
		st = pdu.ESME_RALYBND
	case len(fields) < 3:
		s.smsc.stats.viol.Add(1)
		st = pdu.ESME_RBINDFAIL
	default:
		// Read here and not by pdu.Bind: a password beyond 8 octets is common, and
		// whether it is allowed is not for a simulator to say.
		systemID = string(fields[0])
		st = s.smsc.bind(s, systemID, string(fields[1]), h.Command)
	}
	if on := s.smsc.opt.OnBind; on != nil {
		on(systemID, s.remote, h.Command, st)
	}
	if st != pdu.ESME_ROK {
		s.smsc.stats.bindsFailed.Add(1)
		s.answer(h.Command.Resp(), st, h.Sequence, nil)
		if s.bound != 0 {
			return nil
		}
		return io.EOF
	}
	s.smsc.stats.binds.Add(1)
	s.systemID, s.bound = systemID, h.Command
	s.answer(h.Command.Resp(), st, h.Sequence, &pdu.BindResp{
		SystemID: []byte(s.smsc.opt.SystemID),
		TLVs:     pdu.TLVs(nil).AppendUint8(pdu.TagSCInterfaceVersion, 0x34),
	})
	// Only now, so that the bind response is the first PDU the peer gets.
	s.account.join(s)
	if every := s.smsc.opt.EnquireLink; every > 0 {
		s.later = append(s.later, smscEvent{at: s.now + int64(every), kind: enquireEvent, session: s})
	}
	return nil
}

// answer appends one PDU to what the next flush writes.
func (s *smscSession) answer(cmd pdu.Command, st pdu.Status, seq uint32, body pdu.Body) {
	s.mu.Lock()
	s.out = pdu.Append(s.out, cmd, st, seq, body)
	s.mu.Unlock()
}

// answerID is answer of a response that has a message_id, without a body of its own.
func (s *smscSession) answerID(cmd pdu.Command, seq uint32, id uint64) {
	s.mu.Lock()
	start := len(s.out)
	s.out = pdu.Header{Command: cmd, Sequence: seq}.Append(s.out)
	s.out = s.smsc.opt.IDResp.Append(s.out, id)
	s.out = append(s.out, 0)
	if cmd == pdu.CmdSubmitMultiResp {
		s.out = append(s.out, 0) // no_unsuccess
	}
	binary.BigEndian.PutUint32(s.out[start:], uint32(len(s.out)-start))
	s.mu.Unlock()
}

// request appends a request without a body.
func (s *smscSession) request(cmd pdu.Command) {
	s.mu.Lock()
	s.out = pdu.Append(s.out, cmd, pdu.ESME_ROK, s.nextSequence(), nil)
	s.mu.Unlock()
}

// nextSequence returns 1..0x7FFFFFFF, skipping what is unacknowledged from the last lap.
//
// REQUIRES: s.mu is held.
func (s *smscSession) nextSequence() uint32 {
	for {
		s.sequence = s.sequence%pdu.MaxSequence + 1
		if _, busy := s.unacked[s.sequence]; !busy {
			return s.sequence
		}
	}
}

// flush writes what is to be written, unless another goroutine is at it: that one sees
// what was added before it leaves. No goroutine of its own: under load the reader writes
// all its answers itself, without a wake-up.
func (s *smscSession) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing {
		if len(s.out) > smscOutMax && s.err == nil {
			s.err = errNotRead
			s.conn.Close()
		}
		return
	}
	s.writing = true
	for len(s.out) > 0 && s.err == nil {
		b := s.out
		s.out, s.spare = s.spare[:0], nil
		s.mu.Unlock()
		s.conn.SetWriteDeadline(time.Now().Add(smscWriteTimeout))
		_, err := s.conn.Write(b)
		s.mu.Lock()
		s.spare = b[:0]
		if err != nil {
			s.err = errors.Join(errSMSCBroken, err)
			s.conn.Close()
		}
	}
	s.writing = false
}

// askAlive sends an enquire_link, or ends a session that left two unanswered. Whether
// to ask again.
func (s *smscSession) askAlive() bool {
	s.mu.Lock()
	if s.err == nil && s.asked >= 2 {
		s.err = errNoAnswer
		s.conn.Close()
	}
	s.asked++
	alive := s.err == nil
	s.mu.Unlock()
	if alive {
		s.request(pdu.CmdEnquireLink)
		s.flush()
	}
	return alive
}
