package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/fiorix/go-smpp/smpp"
	"github.com/fiorix/go-smpp/smpp/pdu"
	"github.com/fiorix/go-smpp/smpp/pdu/pdufield"
	"github.com/fiorix/go-smpp/smpp/pdu/pdutext"
	"github.com/fiorix/go-smpp/smpp/pdu/pdutlv"
	"github.com/spf13/cobra"

	ours "masar/smpp/pdu"
	"masar/smpp/text"
)

// What `make run` is configured with; the short form of every client command works there.
const (
	runAddr     = "127.0.0.1:2775"
	runSystemID = "civil-affairs"
	runLoadID   = "load" // an account without a limit
	// The account whose messages name a service.
	runNoticesID = "pilot"
	runAgency    = "civil-defence" // an account and its agency, for campaigns
	runService   = "LOGIN"         // opt-in, without quiet hours: it can be tried at night
	runPassword  = "demo"
	runSender    = "AHWAL"
)

// sendOptions are the flags of `masar send`.
type sendOptions struct {
	addr, systemID, password string
	from, to, text           string
	service                  string
	priority                 uint8
	validity                 time.Duration
	wait                     time.Duration
	noReceipt                bool
}

// sendResult is what one send came to; --json prints it.
type sendResult struct {
	MessageID string  `json:"message_id,omitempty"`
	Status    string  `json:"status"`            // of the submit_sm_resp
	State     string  `json:"state,omitempty"`   // of the receipt: "DELIVRD"
	Err       string  `json:"err,omitempty"`     // of the receipt
	Receipt   string  `json:"receipt,omitempty"` // its text as it came
	RespMs    float64 `json:"resp_ms"`
	ReceiptMs float64 `json:"receipt_ms,omitempty"` // from the submit on
}

func newSend() *cobra.Command {
	o := sendOptions{}
	var passwordFile string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "send --to NUMBER --text TEXT",
		Short: "Send one message and wait for its delivery receipt",
		Long: `Binds as a transceiver, submits one message, and waits for its receipt. The client
inside is github.com/fiorix/go-smpp, not our own: what works here works for others.

A text of more than one part is submitted whole (message_payload); the gateway cuts
it. Without flags for it, address, system_id and password are those of make run.

A message of a service goes only to who is enrolled in it (masar subs add), and waits for
the service's hours.`,
		Example: `  masar send --to 966501234567 --text "تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما"
  masar send --service LOGIN --to 966501234567 --text "A new device signed in to your account"
  masar send --addr smpp.example.sa:2775 --system-id moi --password-file secrets/moi \
    --from MOI --to 966551234567 --text "Your passport is ready" --wait 2m`,
		GroupID: groupPeers,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.to == "" {
				return usagef("--to is missing: the number to send to, as 966501234567")
			}
			if o.text == "" {
				return usagef("--text is missing")
			}
			if o.systemID == "" {
				o.systemID = runSystemID
				if o.service != "" {
					o.systemID = runNoticesID
				}
			}
			if o.from == "" && o.service == "" {
				o.from = runSender
			}
			if err := hostPort("addr", o.addr); err != nil {
				return err
			}
			if o.password, err = clientPassword(o.password, passwordFile, runPassword); err != nil {
				return err
			}
			out := io.Writer(cmd.OutOrStdout())
			say := func(format string, args ...any) {
				if !asJSON {
					fmt.Fprintf(out, format, args...)
				}
			}
			r, err := send(cmd.Context(), o, say)
			if asJSON && r.Status != "" {
				enc := json.NewEncoder(out)
				enc.SetEscapeHTML(false)
				if e := enc.Encode(r); e != nil {
					return e
				}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.to, "to", "", "destination, E.164 without plus or as the account may write it")
	f.StringVar(&o.text, "text", "", "the message")
	f.StringVar(&o.from, "from", "", "sender: up to 11 characters, or a number (default "+runSender+"; with --service the service's)")
	f.StringVar(&o.service, "service", "", "service_type: the code of a service of the catalogue")
	f.Uint8Var(&o.priority, "priority", 0, "priority_flag, 0 to 3")
	f.DurationVar(&o.validity, "validity", 0, "validity_period; 0 leaves it to the gateway")
	f.DurationVar(&o.wait, "wait", 30*time.Second, "how long to wait for the receipt")
	f.BoolVar(&o.noReceipt, "no-receipt", false, "do not ask for a receipt; done once the gateway has accepted")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.StringVar(&o.addr, "addr", runAddr, "the gateway's host:port")
	f.StringVar(&o.systemID, "system-id", "", "account to bind as (default "+runSystemID+"; with --service "+runNoticesID+")")
	f.StringVar(&o.password, "password", "", "its password; better --password-file or MASAR_PASSWORD")
	f.StringVar(&passwordFile, "password-file", "", "file whose first line is the password")
	return cmd
}

// apart takes fiorix's sequence numbers, one counter for the process, away from where every
// peer begins to count. It matches by number alone: a receipt that is sent at once under the
// submit's own number would be taken for a second response, and be lost.
var apart = sync.OnceFunc(func() {
	const far = 10_000 // deliver_sm that a gateway may send us meanwhile
	for range far {
		pdu.NewEnquireLink()
	}
})

// send does it all: bind, submit, wait, unbind. say is called as things happen.
func send(ctx context.Context, o sendOptions, say func(string, ...any)) (sendResult, error) {
	var r sendResult
	apart()
	body, err := fiorixMessage(o)
	if err != nil {
		return r, err
	}

	// The handler runs on fiorix's one reading goroutine, which answers a deliver_sm
	// after the handler returns; so it must not block.
	arrived := make(chan pdu.Body, 64)
	client := &smpp.Transceiver{
		Addr: o.addr, User: o.systemID, Passwd: o.password,
		RespTimeout: o.wait, BindInterval: time.Second,
		Handler: func(p pdu.Body) {
			select {
			case arrived <- p:
			default:
			}
		},
	}
	if err := bind(ctx, client, o); err != nil {
		return r, err
	}
	defer client.Close()

	start := time.Now()
	_, err = client.Submit(body)
	r.RespMs = ms(time.Since(start))
	if err == nil {
		r.MessageID = body.RespID()
	} else if r.MessageID, err = submitOutcome(err, arrived, o.wait); err != nil {
		r.Status = statusOf(err)
		return r, fmt.Errorf("%s refused the message: %w", o.addr, meaning(err, o))
	}
	r.Status = "ESME_ROK"
	say("message_id  %s\n", r.MessageID)
	if o.noReceipt {
		return r, nil
	}

	timeout := time.NewTimer(o.wait)
	defer timeout.Stop()
	for {
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-timeout.C:
			why := ""
			if o.service != "" {
				why = "; in its quiet hours a service's message waits for their end (masar notice --list)"
			}
			return r, fmt.Errorf("no receipt of %s within %s; the message is accepted and its receipt is kept for the next bind%s", r.MessageID, o.wait, why)
		case p := <-arrived:
			if !r.read(p) {
				continue
			}
			r.ReceiptMs = ms(time.Since(start))
			// The reader answers this query's response only after it has written the
			// deliver_sm_resp of the receipt: without waiting for it, closing could win,
			// and the receipt would come again at the next bind. What the query says
			// does not matter.
			client.QuerySM(o.from, r.MessageID, 0, 0)
			say("receipt     %s\n", r.Receipt)
			say("state       %s after %.1f s\n", r.State, r.ReceiptMs/1000)
			if r.State != "DELIVRD" {
				return r, fmt.Errorf("the message ended as %s, err %s", r.State, r.Err)
			}
			return r, nil
		}
	}
}

// bind waits for the first verdict; fiorix itself would try for ever.
func bind(ctx context.Context, client *smpp.Transceiver, o sendOptions) error {
	status := client.Bind()
	timeout := time.NewTimer(max(o.wait, 5*time.Second))
	defer timeout.Stop()
	select {
	case s := <-status:
		switch s.Status() {
		case smpp.Connected:
			return nil
		case smpp.ConnectionFailed:
			client.Close()
			return fmt.Errorf("no connection: %w; is the gateway running? make run starts one", s.Error())
		}
		client.Close()
		var st pdu.Status
		if errors.As(s.Error(), &st) {
			return fmt.Errorf("%s refused the bind of %s: %s (%s)", o.addr, o.systemID, st, statusOf(st))
		}
		return fmt.Errorf("%s: bind of %s: %w", o.addr, o.systemID, s.Error())
	case <-ctx.Done():
		client.Close()
		return ctx.Err()
	case <-timeout.C:
		client.Close()
		return fmt.Errorf("%s did not answer the bind of %s", o.addr, o.systemID)
	}
}

// submitOutcome judges an error of Submit. fiorix matches by sequence_number alone, so a
// deliver_sm of ours-by-chance number (an older receipt, sent at once after the bind) is
// taken for the response, and the response itself then comes to the handler.
func submitOutcome(err error, arrived chan pdu.Body, wait time.Duration) (id string, _ error) {
	if !strings.HasPrefix(err.Error(), "unexpected PDU ID: DeliverSM") {
		return "", err
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	var kept []pdu.Body
	for {
		select {
		case <-timeout.C:
			return "", smpp.ErrTimeout
		case p := <-arrived:
			if p.Header().ID != pdu.SubmitSMRespID {
				kept = append(kept, p)
				continue
			}
			for _, k := range kept {
				arrived <- k
			}
			if st := p.Header().Status; st != 0 {
				return "", st
			}
			return fieldText(p, pdufield.MessageID), nil
		}
	}
}

// read takes p if it is the final receipt of r's message.
func (r *sendResult) read(p pdu.Body) bool {
	if p.Header().ID != pdu.DeliverSMID {
		return false
	}
	receipt := fieldText(p, pdufield.ShortMessage)
	id := receiptField(receipt, "id:")
	if tlv := p.TLVFields()[pdutlv.TagReceiptedMessageID]; tlv != nil {
		id = strings.TrimRight(string(tlv.Bytes()), "\x00")
	}
	if !strings.EqualFold(id, r.MessageID) {
		return false
	}
	state := strings.ToUpper(receiptField(receipt, "stat:"))
	if state == "ENROUTE" || state == "ACCEPTD" {
		return false // intermediate: the final one is still to come
	}
	r.Receipt, r.State, r.Err = receipt, state, receiptField(receipt, "err:")
	return true
}

// receiptField is the word after key in a receipt's text (SMPP v3.4 appendix B).
func receiptField(receipt, key string) string {
	_, rest, found := strings.Cut(receipt, key)
	if !found {
		return ""
	}
	word, _, _ := strings.Cut(rest, " ")
	return word
}

func fieldText(p pdu.Body, name pdufield.Name) string {
	f := p.Fields()[name]
	if f == nil {
		return ""
	}
	return strings.TrimRight(string(f.Bytes()), "\x00")
}

// octets is a pdutext.Codec of octets already encoded: fiorix's own GSM 7-bit encoder
// repeats the end of a text that has characters beyond ASCII.
type octets struct {
	coding pdutext.DataCoding
	b      []byte
}

func (o octets) Type() pdutext.DataCoding { return o.coding }
func (o octets) Encode() []byte           { return o.b }
func (o octets) Decode() []byte           { return o.b }

// fiorixMessage is the submit_sm: the text in short_message when one part holds it,
// else whole in message_payload.
func fiorixMessage(o sendOptions) (*smpp.ShortMessage, error) {
	e := text.Choose(o.text)
	b, err := text.Encode(nil, o.text, e)
	if err != nil {
		return nil, usagef("--text: %w", err)
	}
	coding := pdutext.DefaultType
	if e == text.UCS2 {
		coding = pdutext.UCS2Type
	}
	sm := &smpp.ShortMessage{
		Src: o.from, Dst: strings.TrimPrefix(o.to, "+"),
		ServiceType: o.service, PriorityFlag: o.priority, Validity: o.validity,
		Register: pdufield.FinalDeliveryReceipt,
		Text:     octets{coding, b},
	}
	if o.noReceipt {
		sm.Register = pdufield.NoDeliveryReceipt
	}
	sm.SourceAddrTON, sm.SourceAddrNPI = addressKind(o.from)
	sm.DestAddrTON, sm.DestAddrNPI = addressKind(o.to)
	if !text.FitsOne(b, e) {
		sm.Text = octets{coding, nil}
		sm.TLVFields = pdutlv.Fields{pdutlv.TagMessagePayload: b}
	}
	return sm, nil
}

// addressKind is the TON and NPI of an address as a person writes it: international,
// national (a leading 0), short code, or alphanumeric.
func addressKind(addr string) (ton, npi uint8) {
	if addr == "" {
		return 0, 0 // the gateway's to fill in
	}
	digits := strings.TrimPrefix(addr, "+")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 5, 0
	}
	switch {
	case digits != addr:
		return 1, 1
	case strings.HasPrefix(addr, "0"):
		return 0, 1 // 05... or 00966...: the gateway's rule for the account decides
	case len(digits) <= 6:
		return 3, 0
	}
	return 1, 1
}

// meaning explains a refusal of a message that names a service; of a plain account's the
// status says enough.
func meaning(err error, o sendOptions) error {
	var st pdu.Status
	if o.service == "" || !errors.As(err, &st) {
		return err
	}
	return explained(err, ours.Status(st), o.to, o.service)
}

// statusOf is the number of a status fiorix returned, "" for another error.
func statusOf(err error) string {
	var st pdu.Status
	if errors.As(err, &st) {
		return fmt.Sprintf("0x%08x", uint32(st))
	}
	return ""
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
