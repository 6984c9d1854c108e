package smpp

import (
	"time"

	"masar/smpp/pdu"
)

// frame handles one whole PDU. Its error ends the session.
func (s *Session) frame(b []byte, now time.Duration) error {
	h := pdu.ParseHeader(b)
	if s.observe != nil {
		s.observe.PDU(s, true, h, b)
	}
	body := b[pdu.HeaderLen:]
	if h.Command.IsResponse() {
		return s.response(h, body, now)
	}
	if i := ruleAt(h.Command); i >= 0 {
		s.request(i, h, body)
		return nil
	}
	switch h.Command {
	case pdu.CmdEnquireLink:
		s.put(h.Command.Resp(), pdu.ESME_ROK, h.Sequence, nil)
	case pdu.CmdUnbind:
		return s.peerUnbinds(h)
	case pdu.CmdBindReceiver, pdu.CmdBindTransmitter, pdu.CmdBindTransceiver:
		return s.peerBinds(h, body, now)
	default:
		s.violation(UnknownCommand)
		s.put(pdu.CmdGenericNack, pdu.ESME_RINVCMDID, h.Sequence, nil)
	}
	return nil
}

// request hands a request that rules knows to the handler, or refuses it.
func (s *Session) request(i int, h pdu.Header, octets []byte) {
	r := &rules[i]
	if st := s.State(); !r.allows(s.role, st) {
		if st == Unbinding && r.answered && r.allows(s.role, BoundTRX) && s.unbinds() {
			// The peer could not know. ESME_RINVBNDSTS is final: an SMSC that hears it
			// throws the receipt away, a client the message; this one they send again.
			s.refuse(r, h, pdu.ESME_RMSGQFUL)
			return
		}
		s.violation(WrongState)
		s.refuse(r, h, pdu.ESME_RINVBNDSTS)
		return
	}
	body := s.bodies[i]
	if body == nil {
		body = pdu.NewBody(h.Command)
		s.bodies[i] = body
	}
	if err := body.Decode(octets); err != nil {
		s.refuse(r, h, s.badField(h, err, pdu.ESME_RSYSERR))
		return
	}
	switch h.Command {
	case pdu.CmdOutbind:
		s.violation(Outbound)
		s.own.outbind(s, body.(*pdu.Outbind))
		return
	case pdu.CmdAlertNotification:
		s.handler.Request(s, h, body, Reply{})
		return
	}
	s.mu.Lock()
	slot, turn, ok := s.open.take(s.limits.Window + s.limits.Park)
	s.mu.Unlock()
	if !ok {
		s.violation(OverWindow)
		st := pdu.ESME_RTHROTTLED
		if s.role == ESME {
			st = pdu.ESME_RMSGQFUL // what an SMSC knows as an answer to deliver_sm: it sends it again
		}
		s.put(h.Command.Resp(), st, h.Sequence, nil)
		return
	}
	s.handler.Request(s, h, body, Reply{s, slot, turn, h.Command, h.Sequence})
}

// unbinds reports whether it was us who began to unbind, and the peer has not.
func (s *Session) unbinds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unbind != unbindNone && !s.byeSeen
}

// refuse answers with the request's own response, or with generic_nack where there is none.
func (s *Session) refuse(r *rule, h pdu.Header, st pdu.Status) {
	cmd := pdu.CmdGenericNack
	if r.answered {
		cmd = h.Command.Resp()
	}
	s.put(cmd, st, h.Sequence, nil)
}

// response finds the request an answer belongs to.
func (s *Session) response(h pdu.Header, octets []byte, now time.Duration) error {
	i := ruleAt(h.Command.Request())
	if i < 0 || !rules[i].answered {
		switch h.Command {
		case pdu.CmdGenericNack:
			if s.role == ESME && s.State() == Open {
				return &BindError{Status: h.Status} // an SMSC that does not know the bind
			}
		case pdu.CmdEnquireLink.Resp():
			return nil // having heard it is all it is for
		case pdu.CmdUnbind.Resp():
			return s.unbindAnswered()
		case pdu.CmdBindReceiver.Resp(), pdu.CmdBindTransmitter.Resp(), pdu.CmdBindTransceiver.Resp():
			return s.bindAnswered(h, octets, now)
		default:
			s.violation(UnknownResponse)
			return nil
		}
	}
	s.mu.Lock()
	r, late, found := s.pend.take(h.Sequence, h.Command, now, s.clock.Response)
	s.mu.Unlock()
	switch found {
	case noMatch:
		s.violation(UnexpectedResponse)
		return nil
	case wrongCommand:
		s.violation(WrongResponse)
		return nil
	}
	a := Answer{Header: h, Late: late, Sent: s.base.Add(r.sent), At: s.base.Add(now)}
	if i >= 0 && len(octets) > 0 {
		body := s.answers[i]
		if body == nil {
			body = pdu.NewBody(h.Command)
			s.answers[i] = body
		}
		if body != nil { // cancel_sm_resp and replace_sm_resp have none
			if err := body.Decode(octets); err != nil {
				s.violation(BadResponse) // what came before the damage counts: a message_id is worth having
			}
			a.Body = body
		}
	}
	s.handler.Response(s, r.token, a)
	return nil
}

// peerUnbinds answers unbind after the last open Reply: here, or in turn once that Reply
// has kicked the reader.
func (s *Session) peerUnbinds(h pdu.Header) error {
	if s.State() == Open {
		s.violation(WrongState)
		s.put(h.Command.Resp(), pdu.ESME_RINVBNDSTS, h.Sequence, nil)
		return nil
	}
	s.mu.Lock()
	s.state.Store(uint32(Unbinding))
	s.byeSeen, s.peerBye = true, h.Sequence
	ready := s.open.count == 0
	s.mu.Unlock()
	if ready {
		return s.goodbye()
	}
	return nil
}

func (s *Session) goodbye() error {
	s.farewell = farewell{cmd: pdu.CmdUnbind.Resp(), seq: s.peerBye}
	return ErrUnbound
}

func (s *Session) unbindAnswered() error {
	s.mu.Lock()
	asked := s.unbind == unbindSent
	s.mu.Unlock()
	if asked {
		return ErrUnbinding
	}
	s.violation(UnexpectedResponse)
	return nil
}

// badField is the status a body that did not decode is answered with. The first of a
// session is logged: its peer will hardly have only one, and the rest are counted.
func (s *Session) badField(h pdu.Header, err error, otherwise pdu.Status) pdu.Status {
	s.violation(BadField)
	st := otherwise
	if f, ok := err.(*pdu.FieldError); ok {
		st = f.Status
	}
	if !s.complained {
		s.complained = true
		s.log.Warn("peer sent a field that is not allowed", "session", s.id, "remote", s.remote, "system_id", s.SystemID(),
			"command", h.Command, "status", st, "err", err)
	}
	return st
}

// peerBinds asks the server for its verdict. A refused session ends after its answer.
func (s *Session) peerBinds(h pdu.Header, octets []byte, now time.Duration) error {
	if s.role != SMSC {
		s.violation(WrongState)
		s.put(h.Command.Resp(), pdu.ESME_RINVBNDSTS, h.Sequence, nil)
		return nil
	}
	if s.State() != Open {
		s.violation(WrongState)
		s.put(h.Command.Resp(), pdu.ESME_RALYBND, h.Sequence, nil)
		return nil
	}
	var b pdu.Bind
	if err := b.Decode(octets); err != nil {
		s.put(h.Command.Resp(), s.badField(h, err, pdu.ESME_RBINDFAIL), h.Sequence, nil)
		return nil
	}
	name := string(b.SystemID)
	s.systemID.Store(&name)
	verdict := s.own.bind(s, h, &b)
	if verdict.Status != pdu.ESME_ROK {
		s.farewell = farewell{cmd: h.Command.Resp(), status: verdict.Status, seq: h.Sequence, after: verdict.Refused}
		return &BindError{Status: verdict.Status}
	}
	resp := pdu.BindResp{SystemID: []byte(verdict.SystemID)}
	version := uint8(0x33)
	if b.InterfaceVersion >= 0x34 {
		// A v3.3 peer has never heard of TLVs (v3.4 section 3.1.1).
		version = min(b.InterfaceVersion, verdict.version)
		resp.TLVs = resp.TLVs.AppendUint8(pdu.TagSCInterfaceVersion, verdict.version)
	}
	s.accept(&verdict)
	s.put(h.Command.Resp(), pdu.ESME_ROK, h.Sequence, &resp)
	s.handler = verdict.Handler
	s.enter(boundState(h.Command), version, s.now())
	if verdict.Bound != nil {
		verdict.Bound(s)
	}
	return s.turn()
}

// accept puts the verdict's bounds in force.
func (s *Session) accept(verdict *Accept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = verdict.Limits.withDefaults()
	s.pend = newPending(s.limits.Send, s.first)
	s.clock = clockwork{Timers: verdict.Timers}
	s.tick = verdict.Timers.tick()
	s.value = verdict.Value
}

// enter makes the session a bound one.
func (s *Session) enter(st State, version uint8, now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
	s.since = time.Now()
	s.clock.bound = true
	s.clock.heard(now)
	s.state.Store(uint32(st))
}

// bindAnswered is the SMSC's verdict on our bind. Its sequence_number is not compared: at
// most one bind is outstanding, and some servers answer with a number of their own.
func (s *Session) bindAnswered(h pdu.Header, octets []byte, now time.Duration) error {
	if s.role != ESME || s.State() != Open || h.Command != s.mode.Resp() {
		s.violation(UnexpectedResponse)
		return nil
	}
	if h.Status != pdu.ESME_ROK {
		return &BindError{Status: h.Status}
	}
	var resp pdu.BindResp
	version := uint8(0x33)
	if err := resp.Decode(octets); err != nil {
		s.violation(BadResponse)
	}
	if v, ok := resp.TLVs.Uint8(pdu.TagSCInterfaceVersion); ok && v >= 0x34 {
		version = min(v, s.version)
	}
	name := string(resp.SystemID)
	s.systemID.Store(&name)
	s.handler = s.offered
	s.enter(boundState(s.mode), version, now)
	s.own.bound(s)
	return s.turn()
}
