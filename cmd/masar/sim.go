package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"masar/smpp/pdu"
	"masar/smpp/smpptest"
	"masar/smpp/text"
)

// simFlags are the flags of `masar sim` that need reading before they are options.
type simFlags struct {
	listen       []string
	count        int
	users        []string
	quiet        bool
	logTexts     bool
	stats        time.Duration
	paceStatus   string
	errorStatus  string
	states       string
	idResp       string
	idReceipt    string
	receiptParts string
	alphabet     string
	mo           simMO
	moEvery      time.Duration
	moStyle      string
	asJSON       bool
}

type simMO struct{ systemID, from, to, text string }

func newSim() *cobra.Command {
	var f simFlags
	var o smpptest.SMSCOptions
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Simulate SMPP carriers",
		Long: `Listens as an SMSC does: takes binds and messages, answers them, sends delivery
receipts. By default it takes everybody and everything at once and every message is
delivered; the options make it slow, limited, faulty or odd. Several listeners, by
--listen again or --count, are several carriers with the same options.

One line is printed for each message, its parts put together and decoded, and a line of
counts every ten seconds. Shares are from 0 to 1, drawn for each message.`,
		Example: `  masar sim --listen 127.0.0.1:2801
  masar sim --listen 127.0.0.1:2801 --count 3 --user masar:secret
  masar sim --pace 50 --latency 40ms --jitter 20ms \
    --receipt-delay 2s --receipt-states DELIVRD=95,UNDELIV/045=4,EXPIRED=1 \
    --id-resp hex --id-receipt dec:20`,
		GroupID: groupPeers,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.into(&o); err != nil {
				return err
			}
			leaveCores()
			return simulate(cmd.Context(), f, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringArrayVar(&f.listen, "listen", []string{"127.0.0.1:2801"}, "address to listen on; may be given again")
	fl.IntVar(&f.count, "count", 1, "with one --listen: so many carriers, on rising ports")
	fl.StringArrayVar(&f.users, "user", nil, "system_id:password that may bind; may be given again; without any, everybody may")
	fl.StringVar(&o.SystemID, "system-id", "smsc", "our own system_id, in bind responses")
	fl.IntVar(&o.MaxBinds, "max-binds", 0, "binds of one system_id; beyond: ESME_RALYBND; 0 is no limit")
	fl.DurationVar(&o.EnquireLink, "enquire-link", 0, "ask with enquire_link so often; 0 is never")

	fl.DurationVar(&o.Latency, "latency", 0, "until a message is answered")
	fl.DurationVar(&o.Jitter, "jitter", 0, "give or take, on --latency")
	fl.Float64Var(&o.Pace, "pace", 0, "messages per second; beyond: --pace-status; 0 is no limit")
	fl.IntVar(&o.Burst, "burst", 0, "messages above the pace for a moment (default a tenth of a second's)")
	fl.StringVar(&f.paceStatus, "pace-status", "ESME_RTHROTTLED", "status for what is too fast")
	fl.IntVar(&o.Outstanding, "outstanding", 0, "unanswered messages a session may have; beyond: --pace-status; 0 is no limit")
	fl.Float64Var(&o.ErrorRate, "error-rate", 0, "share answered with --error-status")
	fl.StringVar(&f.errorStatus, "error-status", "ESME_RSYSERR", "status for --error-rate, by name or number")
	fl.Float64Var(&o.Silent, "silent", 0, "share accepted and never answered")
	fl.IntVar(&o.DropAfter, "drop-after", 0, "close a connection at its n-th message; 0 is never")
	fl.Float64Var(&o.DropRate, "drop-rate", 0, "share at which the connection is closed instead of an answer")

	fl.DurationVar(&o.ReceiptDelay, "receipt-delay", 0, "from the answer to the receipt")
	fl.DurationVar(&o.ReceiptJitter, "receipt-jitter", 0, "give or take, on --receipt-delay")
	fl.StringVar(&f.states, "receipt-states", "DELIVRD", "what receipts say, with weights: DELIVRD=95,UNDELIV/045=4,EXPIRED=1")
	fl.Float64Var(&o.NoReceipt, "no-receipt", 0, "share whose receipt never comes")
	fl.Float64Var(&o.ReceiptFirst, "receipt-first", 0, "share whose receipt comes before the answer")
	fl.Float64Var(&o.ReceiptTwice, "receipt-twice", 0, "share whose receipt comes twice")
	fl.BoolVar(&o.ReceiptByData, "receipt-by-data", false, "send receipts by data_sm")
	fl.BoolVar(&o.ReceiptElsewhere, "receipt-elsewhere", false, "send receipts on another bind than the message's")
	fl.StringVar(&f.receiptParts, "receipt-form", "both", "what a receipt names its message by: text, tlv, both")
	fl.IntVar(&o.ReceiptWindow, "receipt-window", 1000, "receipts unacknowledged on one bind")
	fl.DurationVar(&o.ReceiptRetry, "receipt-retry", time.Second, "send again so long after ESME_RMSGQFUL or ESME_RX_T_APPN")
	fl.StringVar(&f.idResp, "id-resp", "dec", "message_id in answers: dec, hex, HEX, uuid; dec:10 pads with zeros")
	fl.StringVar(&f.idReceipt, "id-receipt", "", "message_id in receipts (default as --id-resp)")

	fl.StringVar(&f.mo.text, "mo-text", "", "send this mobile-originated message")
	fl.StringVar(&f.mo.systemID, "mo-system-id", "", "to a bind of this system_id (default whoever bound first)")
	fl.StringVar(&f.mo.from, "mo-from", "966551234567", "its source_addr")
	fl.StringVar(&f.mo.to, "mo-to", "7001", "its destination_addr")
	fl.StringVar(&f.moStyle, "mo-style", "udh8", "how a long one is cut: udh8, udh16, sar, payload")
	fl.DurationVar(&f.moEvery, "mo-every", 0, "send it so often; 0 is once, after the first bind")

	fl.StringVar(&f.alphabet, "alphabet", "gsm7", "what data_coding 0 is, for the log: gsm7, latin1, ascii")
	fl.BoolVar(&f.logTexts, "log-texts", true, "print one line for each message")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "print neither messages nor binds, for measuring")
	fl.DurationVar(&f.stats, "stats", 10*time.Second, "print counts so often; 0 is never")
	fl.BoolVar(&f.asJSON, "json", false, "print one JSON object a line instead of text")
	fl.Uint64Var(&o.Seed, "seed", 0, "make chance repeatable")
	return cmd
}

// into reads the flags that stand for more than themselves.
func (f *simFlags) into(o *smpptest.SMSCOptions) (err error) {
	if f.count < 1 || f.count > 1 && len(f.listen) > 1 {
		return usagef("--count %d with %d --listen: give --listen several times, or once with --count", f.count, len(f.listen))
	}
	for _, addr := range f.listen {
		if err := hostPort("listen", addr); err != nil {
			return err
		}
	}
	for _, u := range f.users {
		id, password, ok := strings.Cut(u, ":")
		if !ok || id == "" {
			return usagef("--user %q: write system_id:password", id)
		}
		if o.Credentials == nil {
			o.Credentials = make(map[string]string)
		}
		o.Credentials[id] = password
	}
	if f.idReceipt == "" {
		f.idReceipt = f.idResp
	}
	parse := func(flag string, into func() error) {
		if err == nil {
			if e := into(); e != nil {
				err = usagef("--%s: %w", flag, e)
			}
		}
	}
	parse("pace-status", func() (e error) { o.PaceStatus, e = pdu.ParseStatus(f.paceStatus); return })
	parse("error-status", func() (e error) { o.ErrorStatus, e = pdu.ParseStatus(f.errorStatus); return })
	parse("receipt-states", func() (e error) { o.ReceiptStates, e = smpptest.ParseStateMix(f.states); return })
	parse("receipt-form", func() (e error) { o.ReceiptTLVs, e = smpptest.ParseReceiptParts(f.receiptParts); return })
	parse("id-resp", func() (e error) { o.IDResp, e = smpptest.ParseIDForm(f.idResp); return })
	parse("id-receipt", func() (e error) { o.IDReceipt, e = smpptest.ParseIDForm(f.idReceipt); return })
	parse("alphabet", func() (e error) { o.DefaultAlphabet, e = text.ParseEncoding(f.alphabet); return })
	parse("mo-style", func() (e error) { _, e = text.ParseStyle(f.moStyle); return })
	if err == nil {
		if e := o.Check(); e != nil {
			err = usagef("%w", e)
		}
	}
	return err
}

// simulate runs the carriers until ctx ends.
func simulate(ctx context.Context, f simFlags, o smpptest.SMSCOptions, out, errs io.Writer) error {
	addrs, err := simAddrs(f)
	if err != nil {
		return err
	}
	lines := &lineWriter{w: out}
	carriers := make([]*smpptest.SMSC, 0, len(addrs))
	bound := make(chan string, 1)
	defer func() {
		var all sync.WaitGroup
		for _, c := range carriers {
			all.Go(func() {
				patience, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				c.Unbind(patience)
				cancel()
				c.Close()
			})
		}
		all.Wait()
	}()
	for _, addr := range addrs {
		o := o
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("%w; is another simulator or gateway running?", err)
		}
		name := l.Addr().String()
		if !f.quiet {
			o.OnBind = func(id, remote string, cmd pdu.Command, st pdu.Status) {
				lines.print(f.asJSON, simEvent{Carrier: name, Event: "bind", SystemID: id, Remote: remote, Command: cmd.String(), Status: st.String()})
				if st == pdu.ESME_ROK && cmd != pdu.CmdBindTransmitter {
					select {
					case bound <- id:
					default:
					}
				}
			}
			o.OnEnd = func(id, remote string, err error) {
				lines.print(f.asJSON, simEvent{Carrier: name, Event: "end", SystemID: id, Remote: remote, Reason: fmt.Sprint(err)})
			}
			if f.logTexts {
				o.OnMessage = func(m *smpptest.Message) { lines.print(f.asJSON, messageEvent(name, m)) }
			}
		}
		c, err := smpptest.NewSMSC(o)
		if err != nil {
			l.Close()
			return err
		}
		carriers = append(carriers, c)
		fmt.Fprintf(errs, "masar sim: listening on %s\n", name)
		go c.Serve(l) // ends with Close
	}

	var wg sync.WaitGroup
	defer wg.Wait()
	if f.mo.text != "" {
		wg.Go(func() { simMobile(ctx, f, carriers[0], bound, errs) })
	}
	if f.stats <= 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(f.stats)
	defer tick.Stop()
	last := make([]smpptest.Stats, len(carriers))
	for {
		final := false
		select {
		case <-tick.C:
		case <-ctx.Done():
			final = true
		}
		for i, c := range carriers {
			if s := c.Stats(); s != last[i] || final {
				printStats(lines, f, addrs[i], s, float64(s.Submits-last[i].Submits)/f.stats.Seconds(), final)
				last[i] = s
			}
		}
		if final {
			return nil
		}
	}
}

func simAddrs(f simFlags) ([]string, error) {
	if f.count == 1 {
		return f.listen, nil
	}
	host, port, err := net.SplitHostPort(f.listen[0])
	first, convErr := strconv.Atoi(port)
	if err != nil || convErr != nil {
		return nil, usagef("--listen %q: write host:port", f.listen[0])
	}
	addrs := make([]string, f.count)
	for i := range addrs {
		p := first
		if first != 0 {
			p += i
		}
		addrs[i] = net.JoinHostPort(host, strconv.Itoa(p))
	}
	return addrs, nil
}

// simMobile sends the mobile-originated message once, or so often.
func simMobile(ctx context.Context, f simFlags, c *smpptest.SMSC, bound <-chan string, errs io.Writer) {
	mo := smpptest.MO{SystemID: f.mo.systemID, From: f.mo.from, To: f.mo.to, Text: f.mo.text}
	mo.Style, _ = text.ParseStyle(f.moStyle)
	if mo.SystemID == "" {
		select {
		case mo.SystemID = <-bound:
		case <-ctx.Done():
			return
		}
	}
	for {
		if err := c.Deliver(ctx, mo); err != nil && ctx.Err() == nil {
			fmt.Fprintf(errs, "masar sim: %v\n", err)
			if !errors.Is(err, smpptest.ErrNotAcknowledged) {
				return
			}
		}
		if f.moEvery <= 0 {
			return
		}
		t := time.NewTimer(f.moEvery)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// simEvent is one line of the simulator's log.
type simEvent struct {
	At       string   `json:"at"`
	Carrier  string   `json:"carrier"`
	Event    string   `json:"event"` // bind, end, message
	SystemID string   `json:"system_id"`
	Remote   string   `json:"remote,omitempty"`
	Command  string   `json:"command,omitempty"`
	Status   string   `json:"status,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	From     string   `json:"from,omitempty"`
	To       string   `json:"to,omitempty"`
	Service  string   `json:"service_type,omitempty"`
	Encoding string   `json:"encoding,omitempty"`
	Parts    int      `json:"parts,omitempty"`
	IDs      []string `json:"ids,omitempty"`
	Text     *string  `json:"text,omitempty"`
}

func messageEvent(carrier string, m *smpptest.Message) simEvent {
	e := simEvent{
		Carrier: carrier, Event: "message", SystemID: m.SystemID, From: m.Source, To: m.Dest,
		Service: m.ServiceType, Encoding: m.Encoding.String(), Parts: m.Parts, IDs: m.IDs, Text: &m.Text,
	}
	if m.Err != nil {
		e.Reason = m.Err.Error()
	}
	return e
}

func (e simEvent) line() string {
	switch e.Event {
	case "bind":
		return fmt.Sprintf("%s %s %s of %s from %s: %s", e.At, e.Carrier, e.Command, e.SystemID, e.Remote, e.Status)
	case "end":
		return fmt.Sprintf("%s %s session of %s from %s ended: %s", e.At, e.Carrier, e.SystemID, e.Remote, e.Reason)
	}
	s := fmt.Sprintf("%s %s message %s -> %s, %s, parts %d, id %s, text %s", e.At, e.Carrier, e.From, e.To,
		e.Encoding, e.Parts, strings.Join(e.IDs, ","), quoteText(*e.Text))
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	return s
}

// lineWriter keeps lines of concurrent sessions whole.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lineWriter) print(asJSON bool, e simEvent) {
	e.At = time.Now().Format("15:04:05.000")
	s := ""
	if asJSON {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(e); err != nil {
			return
		}
		s = b.String()
	} else {
		s = e.line() + "\n"
	}
	l.mu.Lock()
	io.WriteString(l.w, s)
	l.mu.Unlock()
}

func printStats(l *lineWriter, f simFlags, addr string, s smpptest.Stats, rate float64, final bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.asJSON {
		b, err := json.Marshal(struct {
			Carrier string `json:"carrier"`
			Event   string `json:"event"`
			smpptest.Stats
		}{addr, "stats", s})
		if err == nil {
			fmt.Fprintf(l.w, "%s\n", b)
		}
		return
	}
	speed := fmt.Sprintf(", %.0f/s", rate)
	if final {
		speed = " in all"
	}
	fmt.Fprintf(l.w, "%s %s submits %d%s: accepted %d, throttled %d, refused %d; receipts %d, acknowledged %d, unacknowledged %d, again %d\n",
		time.Now().Format("15:04:05.000"), addr, s.Submits, speed, s.Accepted, s.Throttled, s.Refused,
		s.Receipts, s.Acked, s.Unacked, s.Retried+s.Resent)
}
