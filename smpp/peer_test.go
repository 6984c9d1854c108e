package smpp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

var testAddr = netip.MustParseAddrPort("10.0.0.7:40000")

// owner is the other side of the sessions under test: it records what they tell it, and
// answers requests at once, or when told to.
type owner struct {
	mu         sync.Mutex
	hold       bool // keep the Replies
	check      bool // judge values as a gateway would
	held       []smpp.Reply
	requests   []string
	answers    []string // "token status", "token timeout", "token late status"
	unanswered []any
	ended      []error
	session    *smpp.Session
	violations map[string]int
	panicOn    string // message_id or short_message that makes Request panic
	refused    int
}

func newOwner() *owner { return &owner{violations: make(map[string]int)} }

func (o *owner) Request(s *smpp.Session, h pdu.Header, body pdu.Body, r smpp.Reply) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests = append(o.requests, h.Command.String())
	if p, ok := body.(*pdu.SubmitSM); ok {
		if o.panicOn != "" && string(p.ShortMessage) == o.panicOn {
			panic("told to")
		}
		if o.check {
			if err := p.Check(); err != nil {
				r.Send(err.Status, nil)
				return
			}
		}
	}
	if o.hold {
		o.held = append(o.held, r)
		return
	}
	r.Send(pdu.ESME_ROK, answerBody(h.Command, "1"))
}

// answerBody is a good answer's body.
func answerBody(cmd pdu.Command, id string) pdu.Body {
	body := pdu.NewBody(cmd.Resp())
	switch b := body.(type) {
	case *pdu.MessageResp:
		b.MessageID = []byte(id)
	case *pdu.QuerySMResp:
		b.MessageID, b.MessageState = []byte(id), pdu.StateEnroute
	case *pdu.SubmitMultiResp:
		b.MessageID = []byte(id)
	}
	return body
}

func (o *owner) Response(_ *smpp.Session, token any, a smpp.Answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	what := a.Header.Status.String()
	if m, ok := a.Body.(*pdu.MessageResp); ok && len(m.MessageID) > 0 {
		what += " " + string(m.MessageID)
	}
	switch {
	case errors.Is(a.Err, smpp.ErrTimeout):
		what = "timeout"
	case a.Late:
		what = "late " + what
	}
	o.answers = append(o.answers, fmt.Sprint(token, " ", what))
}

func (o *owner) Ended(_ *smpp.Session, unanswered []any, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unanswered = unanswered
	o.ended = append(o.ended, err)
}

func (o *owner) PDU(*smpp.Session, bool, pdu.Header, []byte) {}
func (o *owner) Violation(kind string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.violations[kind]++
}

// bind accepts whoever knows the password.
func (o *owner) bind(limits smpp.Limits) func(context.Context, *smpp.Session, pdu.Command, *pdu.Bind) smpp.Accept {
	return func(_ context.Context, s *smpp.Session, _ pdu.Command, b *pdu.Bind) smpp.Accept {
		if string(b.Password) != "secret" {
			return smpp.Accept{Status: pdu.ESME_RINVPASWD, Refused: func() {
				o.mu.Lock()
				defer o.mu.Unlock()
				o.refused++
			}}
		}
		return smpp.Accept{Handler: o, Limits: limits, Bound: func(s *smpp.Session) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.session = s
		}}
	}
}

func (o *owner) bound() *smpp.Session {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.session
}

// release answers the held requests, in order or the other way round.
func (o *owner) release(reverse bool) {
	o.mu.Lock()
	held := o.held
	o.held = nil
	o.mu.Unlock()
	for i := range held {
		if reverse {
			i = len(held) - 1 - i
		}
		held[i].Send(pdu.ESME_ROK, answerBody(held[i].Command(), fmt.Sprint(i+1)))
	}
}

// do carries out a dialogue's "!" lines.
func (o *owner) do(l smpptest.Line) error {
	s := o.bound()
	switch l.Name {
	case "release":
		o.release(l.Get("order") == "reverse")
	case "send":
		what := smpptest.Line{Name: l.Fields[0].Key, Fields: l.Fields[1:]}
		var token any = l.Get("token")
		wantErr := l.Get("err")
		what.Fields = without(what.Fields, "token", "err")
		octets, err := smpptest.Encode(what, 0)
		if err != nil {
			return err
		}
		h := pdu.ParseHeader(octets)
		body := pdu.NewBody(h.Command)
		if err := body.Decode(octets[pdu.HeaderLen:]); err != nil {
			return err
		}
		_, err = s.Send(h.Command, body, token)
		return wantText("err", fmt.Sprint(err), wantErr)
	case "answer": // ! answer "token status": the oldest one recorded
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.answers) == 0 {
			return fmt.Errorf("no answer was heard")
		}
		got := o.answers[0]
		o.answers = o.answers[1:]
		return wantText("answer", got, l.Fields[0].Key)
	case "answers":
		o.mu.Lock()
		defer o.mu.Unlock()
		return wantText("answers", fmt.Sprint(len(o.answers)), l.Fields[0].Key)
	case "requests":
		o.mu.Lock()
		defer o.mu.Unlock()
		got := strings.Join(o.requests, ",")
		o.requests = nil
		return wantText("requests", got, l.Fields[0].Key)
	case "violation":
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, f := range l.Fields {
			if err := wantText(f.Key, fmt.Sprint(o.violations[f.Key]), f.Value); err != nil {
				return err
			}
		}
	case "ended":
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.ended) != 1 {
			return fmt.Errorf("ended %d times", len(o.ended))
		}
		if v := l.Get("unanswered"); v != "" {
			if err := wantText("unanswered", strings.Trim(strings.ReplaceAll(fmt.Sprint(o.unanswered), " ", ","), "[]"), v); err != nil {
				return err
			}
		}
		return wantText("err", fmt.Sprint(o.ended[0]), l.Get("err"))
	case "alive":
		if !s.State().Bound() {
			return fmt.Errorf("the session is %v", s.State())
		}
	case "free":
		return wantText("free", fmt.Sprint(s.Free()), l.Fields[0].Key)
	case "version":
		return wantText("version", fmt.Sprintf("%#x", s.Version()), l.Fields[0].Key)
	case "unbind":
		go s.Unbind(context.Background())
	case "close":
		return s.Close()
	default:
		return fmt.Errorf("no such action")
	}
	return nil
}

func without(fields []smpptest.Field, keys ...string) (left []smpptest.Field) {
	for _, f := range fields {
		if !strings.Contains(strings.Join(keys, " "), f.Key) {
			left = append(left, f)
		}
	}
	return left
}

func wantText(what, got, want string) error {
	if want == "" {
		want = "<nil>"
	}
	if got != want {
		return fmt.Errorf("%s is %q, want %q", what, got, want)
	}
	return nil
}

// pipes is a listener and dialler of connections in memory.
type pipes struct {
	mu     sync.Mutex
	dialed int
	server chan net.Conn
}

func newPipes() *pipes { return &pipes{server: make(chan net.Conn, 64)} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	p.mu.Lock()
	p.dialed++
	p.mu.Unlock()
	c, s := smpptest.Pipe(64<<10, testAddr)
	p.server <- s
	return c, nil
}

func (p *pipes) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dialed
}

var testTimers = smpp.Timers{SessionInit: 5 * time.Second, EnquireLink: 30 * time.Second, Response: 10 * time.Second}
