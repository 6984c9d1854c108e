package gateway

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

var gsmCodings = text.Codings{Default: text.GSM7, One: text.ASCII}

// profile is a carrier's options with the defaults of Setup.
func profile(f func(o *Carrier)) *Carrier {
	s := Setup{Carriers: []Carrier{{Name: "a", Codings: gsmCodings, Style: text.UDH16}}}
	if f != nil {
		f(&s.Carriers[0])
	}
	s.setDefaults(time.Hour)
	return &s.Carriers[0]
}

// wire writes every part of a message as it would go out, and decodes it again.
func wire(t *testing.T, o *Carrier, m *queue.Message, codings text.Codings, receipt bool) []pdu.SubmitSM {
	t.Helper()
	var s split
	if err := o.plan(m, codings, 0x1234, &s); err != nil {
		t.Fatal(err)
	}
	var out []pdu.SubmitSM
	var buf writeBuffers
	for i := range s.parts {
		var p, back pdu.SubmitSM
		o.write(&p, m, &s, i, receipt, nil, &buf, time.Unix(1800000000, 0))
		octets := p.Append(nil)
		if err := back.Decode(octets); err != nil {
			t.Fatalf("part %d does not decode: %v", i+1, err)
		}
		if bad := back.Check(); bad != nil {
			t.Fatalf("part %d: %v", i+1, bad)
		}
		out = append(out, back)
	}
	return out
}

// partContent is a part's octets without its header, and where it says it belongs.
func partContent(t *testing.T, p *pdu.SubmitSM) (body []byte, c text.Concat, has bool) {
	t.Helper()
	body = p.ShortMessage
	if long, ok := p.TLVs.Get(pdu.TagMessagePayload); ok {
		body = long
	}
	if p.ESMClass&pdu.ESMClassUDHI != 0 {
		c, has, n, err := text.ParseUDH(body)
		if err != nil {
			t.Fatal(err)
		}
		return body[n:], c, has
	}
	if ref, ok := p.TLVs.Get(pdu.TagSARMsgRefNum); ok {
		total, _ := p.TLVs.Get(pdu.TagSARTotalSegments)
		seq, _ := p.TLVs.Get(pdu.TagSARSegmentSeqnum)
		return body, text.Concat{Ref: uint16(ref[0])<<8 | uint16(ref[1]), Total: total[0], Seq: seq[0]}, true
	}
	return body, c, false
}

type corpusRow struct {
	ID, Text, Encoding string
	PartsUDH8          []string `json:"parts_udh8"`
	PartsUDH16         []string `json:"parts_udh16"`
	ErrorUDH8          string   `json:"error_udh8"`
	ErrorUDH16         string   `json:"error_udh16"`
}

func corpus(t *testing.T) []corpusRow {
	t.Helper()
	f, err := os.Open("../smpp/text/testdata/corpus.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []corpusRow
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r corpusRow
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	if len(rows) != 714 {
		t.Fatalf("the corpus has %d rows", len(rows))
	}
	return rows
}

// payloadError: with message_payload the SMSC cuts, so only the size can be too much.
func payloadError(r *corpusRow) string {
	e := text.UCS2
	if r.Encoding == "gsm7" {
		e = text.GSM7
	}
	if most, _ := text.Limits(e, text.Payload); text.Units(r.Text, e) > most {
		return "too_many_parts"
	}
	return ""
}

// Every text of the corpus, in every style, arrives as it was sent, cut where an
// independent program cut it.
func TestEveryTextOfTheCorpusIsReadAgainFromItsParts(t *testing.T) {
	styles := map[string]struct {
		style text.Style
		parts func(r *corpusRow) ([]string, string)
	}{
		"udh8":    {text.UDH8, func(r *corpusRow) ([]string, string) { return r.PartsUDH8, r.ErrorUDH8 }},
		"udh16":   {text.UDH16, func(r *corpusRow) ([]string, string) { return r.PartsUDH16, r.ErrorUDH16 }},
		"sar":     {text.SAR, func(r *corpusRow) ([]string, string) { return r.PartsUDH8, r.ErrorUDH8 }},
		"payload": {text.Payload, func(r *corpusRow) ([]string, string) { return []string{r.Text}, payloadError(r) }},
	}
	rows := corpus(t)
	for name, st := range styles {
		t.Run(name, func(t *testing.T) {
			o := profile(func(o *Carrier) { o.Style = st.style })
			for i := range rows {
				row := &rows[i]
				want, refused := st.parts(row)
				e, coding := text.UCS2, text.CodingUCS2
				if row.Encoding == "gsm7" {
					e, coding = text.GSM7, text.CodingDefault
				}
				body, err := text.Encode(nil, row.Text, e)
				if err != nil {
					continue // a text that no client can submit; smpp/text has it
				}
				m := &queue.Message{ID: 77, Attempt: 1, DataCoding: coding, Body: body, Expires: 1 << 62 >> 10, Dest: queue.Address{Addr: "966501234567"}}
				if refused != "" {
					var s split
					if err := o.plan(m, gsmCodings, 1, &s); !errors.Is(err, text.ErrTooManyParts) {
						t.Errorf("%s: error %v, want too many parts", row.ID, err)
					}
					continue
				}
				parts := wire(t, o, m, gsmCodings, false)
				var got []string
				for k := range parts {
					p := &parts[k]
					octets, c, has := partContent(t, p)
					if has != (len(parts) > 1) || has && (int(c.Total) != len(parts) || int(c.Seq) != k+1) {
						t.Fatalf("%s: part %d says %+v", row.ID, k+1, c)
					}
					if has && st.style == text.UDH8 && c.Ref != 0x34 || has && st.style != text.UDH8 && c.Ref != 0x1234 {
						t.Fatalf("%s: reference %x", row.ID, c.Ref)
					}
					// A part may open with U+FEFF that belongs to the text: decoded alone it would be lost.
					if e == text.UCS2 && bytes.HasPrefix(octets, []byte{0xFE, 0xFF}) && k > 0 {
						octets = append([]byte{0xFE, 0xFF}, octets...)
					}
					s, err := text.Decode(octets, e)
					if err != nil {
						t.Fatalf("%s: part %d: %v", row.ID, k+1, err)
					}
					got = append(got, s)
				}
				if e == text.UCS2 && strings.HasPrefix(row.Text, "\ufeff") {
					// A leading byte order mark is taken off on the way.
					if want := strings.TrimPrefix(row.Text, "\ufeff"); strings.Join(got, "") != want {
						t.Errorf("%s: read %q", row.ID, got)
					}
					continue
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: parts\n%q, want\n%q", row.ID, got, want)
				}
			}
		})
	}
}

func TestAPartIsWrittenAsTheCarrierWantsIt(t *testing.T) {
	one, five := uint8(1), uint8(5)
	base := queue.Message{
		ID: 77, Attempt: 1, Body: []byte("hello"), Expires: queue.At(time.Unix(1800000000, 0).Add(time.Hour)),
		Source: queue.Address{TON: 5, Addr: "AHWAL"}, Dest: queue.Address{TON: 1, NPI: 1, Addr: "966501234567"},
	}
	ucs := func(s string) []byte { b, _ := text.Encode(nil, s, text.UCS2); return b }
	tests := map[string]struct {
		carrier func(o *Carrier)
		message func(m *queue.Message)
		codings *text.Codings // nil: gsmCodings
		receipt bool
		want    func(p *pdu.SubmitSM) bool
	}{
		"as it came": {want: func(p *pdu.SubmitSM) bool {
			return string(p.ShortMessage) == "hello" && p.DataCoding == 0 && p.ESMClass == 0
		}},
		"the message mode bits are off":         {message: func(m *queue.Message) { m.ESMClass = 0x03 }, want: func(p *pdu.SubmitSM) bool { return p.ESMClass == 0 }},
		"the reply path bit stays":              {message: func(m *queue.Message) { m.ESMClass = 0x80 }, want: func(p *pdu.SubmitSM) bool { return p.ESMClass == 0x80 }},
		"no receipt wanted":                     {message: func(m *queue.Message) { m.RegisteredDelivery = 1 }, want: func(p *pdu.SubmitSM) bool { return p.RegisteredDelivery == 0 }},
		"failures only asks for all":            {receipt: true, message: func(m *queue.Message) { m.RegisteredDelivery = 2 }, want: func(p *pdu.SubmitSM) bool { return p.RegisteredDelivery == 1 }},
		"always asked where the client did not": {receipt: true, want: func(p *pdu.SubmitSM) bool { return p.RegisteredDelivery == 1 }},
		"intermediate stays":                    {receipt: true, message: func(m *queue.Message) { m.RegisteredDelivery = 0x11 }, want: func(p *pdu.SubmitSM) bool { return p.RegisteredDelivery == 0x11 }},
		"service_type of the message":           {carrier: func(o *Carrier) { o.ServiceType = "CMT" }, message: func(m *queue.Message) { m.ServiceType = "IDNEW" }, want: func(p *pdu.SubmitSM) bool { return string(p.ServiceType) == "IDNEW" }},
		"service_type of the carrier":           {carrier: func(o *Carrier) { o.ServiceType = "CMT" }, want: func(p *pdu.SubmitSM) bool { return string(p.ServiceType) == "CMT" }},
		"protocol_id and priority fixed":        {carrier: func(o *Carrier) { o.ProtocolID, o.Priority = &five, &one }, message: func(m *queue.Message) { m.ProtocolID, m.Priority = 9, 3 }, want: func(p *pdu.SubmitSM) bool { return p.ProtocolID == 5 && p.PriorityFlag == 1 }},
		"validity relative":                     {want: func(p *pdu.SubmitSM) bool { return string(p.ValidityPeriod) == "000000010000000R" }},
		"validity absolute":                     {carrier: func(o *Carrier) { o.Validity = AbsoluteValidity }, want: func(p *pdu.SubmitSM) bool { return string(p.ValidityPeriod) == "270115090000000+" }},
		"validity not told":                     {carrier: func(o *Carrier) { o.Validity = NoValidity }, want: func(p *pdu.SubmitSM) bool { return len(p.ValidityPeriod) == 0 }},
		"the schedule stays with the gateway":   {message: func(m *queue.Message) { m.Due = 5 }, want: func(p *pdu.SubmitSM) bool { return len(p.ScheduleDeliveryTime) == 0 }},
		"destination with a prefix":             {carrier: func(o *Carrier) { o.Dest = Addressing{Strip: "966", Prefix: "00966"} }, want: func(p *pdu.SubmitSM) bool { return string(p.Dest.Addr) == "00966501234567" }},
		"a prefix that is not there stays away": {carrier: func(o *Carrier) { o.Dest = Addressing{Strip: "971"} }, want: func(p *pdu.SubmitSM) bool { return string(p.Dest.Addr) == "966501234567" }},
		"fixed type of number":                  {carrier: func(o *Carrier) { o.Dest.TONNPI = AddressTONNPI{Mode: TONNPIFixed, TON: 2, NPI: 8} }, want: func(p *pdu.SubmitSM) bool { return p.Dest.TON == 2 && p.Dest.NPI == 8 }},
		"fixed type spares letters":             {carrier: func(o *Carrier) { o.Source.TONNPI = AddressTONNPI{Mode: TONNPIFixed, TON: 2, NPI: 8} }, want: func(p *pdu.SubmitSM) bool { return p.Source.TON == 5 && p.Source.NPI == 0 }},
		"kept type of number":                   {carrier: func(o *Carrier) { o.Dest.TONNPI.Mode = TONNPIKeep }, message: func(m *queue.Message) { m.Dest.TON = 4 }, want: func(p *pdu.SubmitSM) bool { return p.Dest.TON == 4 }},
		"short code by itself":                  {message: func(m *queue.Message) { m.Source = queue.Address{Addr: "937"} }, want: func(p *pdu.SubmitSM) bool { return p.Source.TON == pdu.TONNetworkSpecific }},
		"letters replaced":                      {carrier: func(o *Carrier) { o.Alphanumeric, o.Replacement = ReplaceSender, "966112223333" }, want: func(p *pdu.SubmitSM) bool { return string(p.Source.Addr) == "966112223333" && p.Source.TON == 1 }},
		"a number is not replaced":              {carrier: func(o *Carrier) { o.Alphanumeric, o.Replacement = ReplaceSender, "966112223333" }, message: func(m *queue.Message) { m.Source.Addr = "937" }, want: func(p *pdu.SubmitSM) bool { return string(p.Source.Addr) == "937" }},
		"client's TLVs pass":                    {message: func(m *queue.Message) { m.TLVs = pdu.TLVs(nil).AppendUint16(pdu.TagUserMessageReference, 7) }, want: func(p *pdu.SubmitSM) bool { v, ok := p.TLVs.Get(pdu.TagUserMessageReference); return ok && v[1] == 7 }},
		"carrier's TLVs are added":              {carrier: func(o *Carrier) { o.TLVs = pdu.TLVs(nil).AppendCString(0x1400, []byte("entity")) }, want: func(p *pdu.SubmitSM) bool { v, _ := p.TLVs.Get(0x1400); return string(v) == "entity\x00" }},
		"UCS-2 under the carrier's number":      {carrier: func(o *Carrier) { o.DataCoding = map[text.Encoding]uint8{text.UCS2: 0x19} }, message: func(m *queue.Message) { m.DataCoding, m.Body = 8, ucs("مرحبا") }, want: func(p *pdu.SubmitSM) bool { return p.DataCoding == 0x19 }},
		"the byte order mark goes":              {message: func(m *queue.Message) { m.DataCoding, m.Body = 8, ucs("\ufeffمرحبا") }, want: func(p *pdu.SubmitSM) bool { return bytes.Equal(p.ShortMessage, ucs("مرحبا")) }},
		"flash keeps its class":                 {message: func(m *queue.Message) { m.DataCoding = 0xF0 }, want: func(p *pdu.SubmitSM) bool { return p.DataCoding == 0xF0 }},
		"flash in another alphabet": {carrier: func(o *Carrier) { o.Codings.Default = text.Latin1 }, message: func(m *queue.Message) { m.DataCoding, m.Body = 0x10, []byte{0x00} }, want: func(p *pdu.SubmitSM) bool {
			c, ok := text.Class(p.DataCoding)
			return ok && c == 0 && bytes.Equal(p.ShortMessage, ucs("@")) || string(p.ShortMessage) == "@"
		}},
		"GSM octets for a Latin-1 carrier":        {carrier: func(o *Carrier) { o.Codings.Default = text.Latin1 }, message: func(m *queue.Message) { m.Body = []byte{0x00, 0x02} }, want: func(p *pdu.SubmitSM) bool { return string(p.ShortMessage) == "@$" && p.DataCoding == 0 }},
		"what Latin-1 lacks becomes UCS-2":        {carrier: func(o *Carrier) { o.Codings.Default = text.Latin1 }, message: func(m *queue.Message) { m.Body = []byte{0x10} }, want: func(p *pdu.SubmitSM) bool { return p.DataCoding == 8 && bytes.Equal(p.ShortMessage, ucs("Δ")) }},
		"data_coding 1 of a client that says GSM": {codings: &text.Codings{Default: text.GSM7, One: text.GSM7}, message: func(m *queue.Message) { m.DataCoding, m.Body = 1, []byte{0x00} }, want: func(p *pdu.SubmitSM) bool { return p.DataCoding == 0 && p.ShortMessage[0] == 0 }},
		"packed": {carrier: func(o *Carrier) { o.Packed = true }, want: func(p *pdu.SubmitSM) bool { return hex.EncodeToString(p.ShortMessage) == "e8329bfd06" }},
		"binary stays octet for octet": {message: func(m *queue.Message) { m.DataCoding, m.Body = 4, []byte{0, 1, 0xFF} }, want: func(p *pdu.SubmitSM) bool {
			return p.DataCoding == 4 && bytes.Equal(p.ShortMessage, []byte{0, 1, 0xFF})
		}},
		"a reserved coding stays as it is": {message: func(m *queue.Message) { m.DataCoding = 0x33 }, want: func(p *pdu.SubmitSM) bool { return p.DataCoding == 0x33 && string(p.ShortMessage) == "hello" }},
		"the client's own header passes": {message: func(m *queue.Message) { m.ESMClass, m.Body = 0x40, []byte("\x05\x00\x03\x07\x02\x01hi") }, want: func(p *pdu.SubmitSM) bool {
			return p.ESMClass == 0x40 && string(p.ShortMessage) == "\x05\x00\x03\x07\x02\x01hi"
		}},
		"the client's own SAR passes": {message: func(m *queue.Message) {
			m.TLVs = pdu.TLVs(nil).AppendUint16(pdu.TagSARMsgRefNum, 7).AppendUint8(pdu.TagSARTotalSegments, 2).AppendUint8(pdu.TagSARSegmentSeqnum, 2)
		}, want: func(p *pdu.SubmitSM) bool {
			v, _ := p.TLVs.Get(pdu.TagSARSegmentSeqnum)
			return len(v) == 1 && v[0] == 2
		}},
		"longer than the carrier's short_message": {carrier: func(o *Carrier) { o.MaxShortMessage = 140 }, message: func(m *queue.Message) { m.Body = bytes.Repeat([]byte("x"), 160) }, want: func(p *pdu.SubmitSM) bool {
			v, _ := p.TLVs.Get(pdu.TagMessagePayload)
			return len(p.ShortMessage) == 0 && len(v) == 160
		}},
		"an empty message": {message: func(m *queue.Message) { m.Body = nil }, want: func(p *pdu.SubmitSM) bool { return len(p.ShortMessage) == 0 }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := base
			if tt.message != nil {
				tt.message(&m)
			}
			codings := gsmCodings
			if tt.codings != nil {
				codings = *tt.codings
			}
			parts := wire(t, profile(tt.carrier), &m, codings, tt.receipt)
			if len(parts) != 1 || !tt.want(&parts[0]) {
				t.Errorf("%d parts, the first %+v", len(parts), parts[0])
			}
		})
	}
}

func TestLongPartsThatDoNotFitShortMessageTravelAsPayload(t *testing.T) {
	m := &queue.Message{Attempt: 1, Body: bytes.Repeat([]byte("x"), 400), Dest: queue.Address{Addr: "966501234567"}}
	for _, style := range []text.Style{text.UDH8, text.UDH16, text.SAR} {
		parts := wire(t, profile(func(o *Carrier) { o.Style, o.MaxShortMessage = style, 140 }), m, gsmCodings, false)
		if len(parts) != 3 {
			t.Fatalf("%v: %d parts", style, len(parts))
		}
		for i := range parts {
			if v, ok := parts[i].TLVs.Get(pdu.TagMessagePayload); !ok || len(v) == 0 || len(parts[i].ShortMessage) > 0 {
				t.Errorf("%v: part %d: short_message of %d octets", style, i+1, len(parts[i].ShortMessage))
			}
		}
	}
}

func TestPackedPartsFillTheBitsBehindTheirHeader(t *testing.T) {
	want := strings.Repeat("0123456789", 40)
	m := &queue.Message{Attempt: 1, Body: []byte(want), Dest: queue.Address{Addr: "966501234567"}}
	for _, style := range []text.Style{text.UDH8, text.UDH16, text.SAR} {
		parts := wire(t, profile(func(o *Carrier) { o.Style, o.Packed = style, true }), m, gsmCodings, false)
		var got []byte
		for i := range parts {
			octets, _, _ := partContent(t, &parts[i])
			header := len(parts[i].ShortMessage) - len(octets)
			if len(parts[i].ShortMessage) > 140 {
				t.Errorf("%v: part %d has %d octets", style, i+1, len(parts[i].ShortMessage))
			}
			got = text.UnpackGSM(got, octets, text.FillBits(header), -1)
		}
		if string(got) != want {
			t.Errorf("%v: read %q", style, got)
		}
	}
}

func TestATextOverTheCarriersPartsIsRefusedNotCut(t *testing.T) {
	m := &queue.Message{Attempt: 1, Body: bytes.Repeat([]byte("x"), 400)}
	var s split
	if err := profile(func(o *Carrier) { o.MaxParts = 2 }).plan(m, gsmCodings, 1, &s); !errors.Is(err, errTooLong) {
		t.Errorf("three parts of two: %v", err)
	}
	if err := profile(func(o *Carrier) { o.MaxParts = 3 }).plan(m, gsmCodings, 1, &s); err != nil {
		t.Errorf("three parts of three: %v", err)
	}
}

func TestPlanningOnePartDoesNotAllocate(t *testing.T) {
	o := profile(nil)
	m := &queue.Message{Attempt: 1, Body: []byte("hello"), Dest: queue.Address{Addr: "966501234567"}, Source: queue.Address{Addr: "AHWAL"}, Expires: queue.At(time.Unix(1800003600, 0))}
	var s split
	var p pdu.SubmitSM
	var buf writeBuffers
	n := testing.AllocsPerRun(100, func() {
		if err := o.plan(m, gsmCodings, 1, &s); err != nil {
			t.Fatal(err)
		}
		o.write(&p, m, &s, 0, true, nil, &buf, time.Unix(1800000000, 0))
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
