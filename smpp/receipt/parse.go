package receipt

import (
	"bytes"
	"encoding/binary"
	"time"

	"masar/smpp/pdu"
)

// Verdict is what Parse makes of a message.
type Verdict uint8

const (
	NotReceipt Verdict = iota // an ordinary message, or another acknowledgement
	IsReceipt
	Unreadable // said to be a receipt, but without an id or without a state
)

func (v Verdict) String() string {
	switch v {
	case NotReceipt:
		return "not a receipt"
	case IsReceipt:
		return "receipt"
	}
	return "unreadable receipt"
}

// Detect is by what a carrier's receipts are known, the option receipts.detect.
type Detect uint8

const (
	// DetectESM: the type bits of esm_class, delivery receipt or intermediate
	// notification.
	DetectESM Detect = iota
	// DetectText: a text that begins with a receipt field's name and has an id: with a
	// value and a stat: with a known state.
	DetectText
	// DetectTLV: a receipted_message_id.
	DetectTLV
	// DetectAny: one of them.
	DetectAny
)

var detectNames = [...]string{DetectESM: "esm", DetectText: "text", DetectTLV: "tlv", DetectAny: "any"}

func (d Detect) String() string {
	if int(d) < len(detectNames) {
		return detectNames[d]
	}
	return "detect?"
}

// ParseDetect reads what String writes.
func ParseDetect(name string) (Detect, bool) {
	for i, n := range detectNames {
		if n == name {
			return Detect(i), true
		}
	}
	return 0, false
}

// Options are one carrier's.
type Options struct {
	Detect     Detect
	PreferText bool           // id and state of the text before those of the TLVs
	Zone       *time.Location // of submit date and done date; nil is UTC
}

// Receipt is what a carrier says about one part.
//
// Its strings share the memory of the whole text: who keeps one for long clones it.
type Receipt struct {
	ID           string    // as the carrier wrote it; see Form
	State        pdu.State // StateUnknown for a word that is none
	Err          string    // of the text only, as written: "000", "E01", ""
	Submit, Done time.Time // zero where absent or impossible
	Sub, Dlvrd   string    // as written: "001"
	Text         string    // the start of the message, without white space at its end
	NetworkType  uint8     // of network_error_code: 1 ANSI-136, 2 IS-95, 3 GSM
	NetworkCode  uint16
	HasNetwork   bool
	Intermediate bool // esm_class says intermediate notification
}

// View is a Receipt without a copy: its slices alias the PDU, or the View's own buffer
// where the text had to be read from UCS-2 or mended. Reused, it does not allocate.
type View struct {
	State                pdu.State
	ID                   []byte
	Err                  []byte
	SubmitDate, DoneDate []byte // as written; see Submit and Done
	Sub, Dlvrd           []byte
	Text                 []byte // UTF-8
	NetworkType          uint8
	NetworkCode          uint16
	HasNetwork           bool
	Intermediate         bool

	buf     []byte
	content []byte // what the spans below point into
	found   fields
	tlvID   bool // ID is the TLV's, not in content
}

// Submit and Done read the dates; the zero time where absent or impossible.
func (v *View) Submit(zone *time.Location) time.Time { return parseDate(v.SubmitDate, orUTC(zone)) }
func (v *View) Done(zone *time.Location) time.Time   { return parseDate(v.DoneDate, orUTC(zone)) }

func orUTC(zone *time.Location) *time.Location {
	if zone == nil {
		return time.UTC
	}
	return zone
}

// Parse reads a deliver_sm. The Receipt means something only when the Verdict is
// IsReceipt; of an Unreadable one it holds what was found.
//
// It allocates one string for a receipt by text or by TLV, two where the TLV's id is not
// the text's.
func Parse(p *pdu.DeliverSM, o Options) (Receipt, Verdict) {
	var v View
	verdict := v.parse(p.ESMClass, p.DataCoding, p.ShortMessage, p.TLVs, o)
	return v.receipt(verdict, o)
}

// ParseData reads a data_sm, whose text is in message_payload.
func ParseData(p *pdu.DataSM, o Options) (Receipt, Verdict) {
	var v View
	verdict := v.parse(p.ESMClass, p.DataCoding, nil, p.TLVs, o)
	return v.receipt(verdict, o)
}

// Parse is the package's Parse into v, which is overwritten whole.
func (v *View) Parse(p *pdu.DeliverSM, o Options) Verdict {
	*v = View{buf: v.buf[:0]}
	return v.parse(p.ESMClass, p.DataCoding, p.ShortMessage, p.TLVs, o)
}

// ParseData is the package's ParseData into v.
func (v *View) ParseData(p *pdu.DataSM, o Options) Verdict {
	*v = View{buf: v.buf[:0]}
	return v.parse(p.ESMClass, p.DataCoding, nil, p.TLVs, o)
}

// parse is both.
//
// REQUIRES: v is zero but for its buffer.
func (v *View) parse(esmClass, dataCoding uint8, content []byte, tlvs pdu.TLVs, o Options) Verdict {
	kind := esmClass & pdu.ESMClassTypeMask
	if kind&(pdu.ESMClassDeliveryAck|pdu.ESMClassUserAck) != 0 {
		return NotReceipt // the other handset's or user's acknowledgement, or an abort
	}
	byESM := kind != 0
	var tlvID []byte
	var tlvState pdu.State
	hasState, stateKnown := false, false
	if len(tlvs) > 0 {
		tlvID, _ = tlvs.CString(pdu.TagReceiptedMessageID)
		if s, ok := tlvs.Uint8(pdu.TagMessageState); ok {
			tlvState, hasState, stateKnown = pdu.StateUnknown, true, pdu.State(s).Known()
			if stateKnown {
				tlvState = pdu.State(s)
			}
		}
		if n, ok := tlvs.Get(pdu.TagNetworkErrorCode); ok && len(n) == 3 {
			v.NetworkType, v.NetworkCode, v.HasNetwork = n[0], binary.BigEndian.Uint16(n[1:]), true
		}
		if len(content) == 0 {
			content, _ = tlvs.Get(pdu.TagMessagePayload)
		}
	}
	if !byESM && (o.Detect == DetectESM || o.Detect == DetectTLV && len(tlvID) == 0) {
		return NotReceipt
	}

	v.read(content, esmClass, dataCoding)
	word := v.found.at[fieldStat].of(v.content)
	state, known := stateOf(word)
	byText := v.found.leads && known && len(v.ID) > 0
	switch o.Detect {
	case DetectESM: // byESM, or it had ended above
	case DetectText:
		if !byText {
			return NotReceipt
		}
	case DetectTLV:
		if len(tlvID) == 0 {
			return NotReceipt
		}
	default:
		if !byESM && !byText && len(tlvID) == 0 {
			return NotReceipt
		}
	}

	v.Intermediate = kind&pdu.ESMClassIntermediate != 0
	if len(tlvID) > 0 && (!o.PreferText || len(v.ID) == 0) {
		v.tlvID = !bytes.Equal(tlvID, v.ID)
		v.ID = tlvID
	}
	v.State = state // StateUnknown also where there is no word
	if hasState && (!known || stateKnown && !o.PreferText) {
		v.State = tlvState
	}
	if len(v.ID) == 0 || len(word) == 0 && !hasState {
		return Unreadable
	}
	return IsReceipt
}

// read finds the fields of the text.
func (v *View) read(content []byte, esmClass, dataCoding uint8) {
	content = withoutUDH(content, esmClass)
	if isUCS2(content, dataCoding) {
		v.buf = appendUCS2(v.buf, content)
		content = v.buf
	} else if content = bytes.TrimRight(content, white); !isPlain(content) {
		v.buf = mend(v.buf, content)
		content = v.buf
	}
	v.content = content
	v.found = scan(content)
	at := &v.found.at
	v.ID, v.Err, v.Text = at[fieldID].of(content), at[fieldErr].of(content), at[fieldText].of(content)
	v.Sub, v.Dlvrd = at[fieldSub].of(content), at[fieldDlvrd].of(content)
	v.SubmitDate, v.DoneDate = at[fieldSubmit].of(content), at[fieldDone].of(content)
}

// receipt copies v: one string for the whole text, which the fields are parts of.
func (v *View) receipt(verdict Verdict, o Options) (Receipt, Verdict) {
	if verdict == NotReceipt {
		return Receipt{}, verdict
	}
	r := Receipt{
		State:       v.State,
		NetworkType: v.NetworkType, NetworkCode: v.NetworkCode, HasNetwork: v.HasNetwork,
		Intermediate: v.Intermediate,
	}
	if len(v.content) > 0 {
		whole := string(v.content)
		part := func(f field) string { return whole[v.found.at[f].from:v.found.at[f].to] }
		r.ID, r.Err, r.Text = part(fieldID), part(fieldErr), part(fieldText)
		r.Sub, r.Dlvrd = part(fieldSub), part(fieldDlvrd)
		zone := orUTC(o.Zone)
		r.Submit, r.Done = parseDate(v.SubmitDate, zone), parseDate(v.DoneDate, zone)
	}
	if v.tlvID {
		r.ID = string(v.ID)
	}
	return r, verdict
}
