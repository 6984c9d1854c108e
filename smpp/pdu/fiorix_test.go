package pdu

import (
	"bytes"
	"reflect"
	"testing"

	fpdu "github.com/fiorix/go-smpp/smpp/pdu"
	"github.com/fiorix/go-smpp/smpp/pdu/pdufield"
	"github.com/fiorix/go-smpp/smpp/pdu/pdutlv"
)

// fiorix does not know these, or reads them otherwise than the specification:
// in submit_multi it takes a distribution list for an address.
var notForFiorix = map[string]bool{
	"outbind": true, "data_sm": true, "data_sm_resp": true, "data_sm_resp_failed": true, "cancel_sm": true, "cancel_sm_resp": true,
	"replace_sm": true, "replace_sm_resp": true, "alert_notification": true, "submit_multi": true,
}

// writtenWrong are what fiorix reads well and writes wrong: a deliver_sm has an
// octet 0 for a user data header's length in front of the text, although
// sm_length does not count it; unsuccess_sme has a NUL behind error_status_code,
// query_sm_resp two C-octet strings for message_state and error_code.
var writtenWrong = map[string]bool{"deliver_sm_receipt": true, "submit_multi_resp": true, "query_sm_resp": true}

func TestFiorixReadsWhatWeWriteAndWeReadWhatItWrites(t *testing.T) {
	for _, g := range golden {
		if notForFiorix[g.name] {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			frame := Append(nil, g.cmd, g.status, g.seq, g.body)
			f, err := fpdu.Decode(bytes.NewReader(frame))
			if err != nil {
				t.Fatal(err)
			}
			h := f.Header()
			if uint32(h.ID) != uint32(g.cmd) || uint32(h.Status) != uint32(g.status) || h.Seq != g.seq || h.Len != uint32(len(frame)) {
				t.Errorf("fiorix reads the header %+v", h)
			}
			if g.body == nil {
				return
			}
			compareFiorix(t, f, g.body)
			if writtenWrong[g.name] {
				return
			}
			var w bytes.Buffer
			if err := f.SerializeTo(&w); err != nil {
				t.Fatal(err)
			}
			if w.Len() != len(frame) {
				t.Fatalf("fiorix writes %d octets, we %d", w.Len(), len(frame))
			}
			body := NewBody(ParseHeader(w.Bytes()).Command)
			if err := body.Decode(w.Bytes()[HeaderLen:]); err != nil {
				t.Fatal(err)
			}
			have, want := fieldsOf(body), fieldsOf(g.body)
			// fiorix keeps TLVs in a map: their order is lost.
			if a, b := tlvMap(have), tlvMap(want); !reflect.DeepEqual(a, b) {
				t.Errorf("TLVs %v, want %v", a, b)
			}
			if a, b := withoutTLVs(have), withoutTLVs(want); !reflect.DeepEqual(a, b) {
				t.Errorf("read %+v, want %+v", a, b)
			}
		})
	}
}

// compareFiorix compares the fields fiorix has read with those of our body.
func compareFiorix(t *testing.T, f fpdu.Body, body Body) {
	t.Helper()
	want := map[pdufield.Name]any{}
	var tlvs TLVs
	switch p := body.(type) {
	case *Bind:
		want[pdufield.SystemID], want[pdufield.Password], want[pdufield.SystemType] = p.SystemID, p.Password, p.SystemType
		want[pdufield.InterfaceVersion], want[pdufield.AddrTON], want[pdufield.AddrNPI] = p.InterfaceVersion, p.AddrTON, p.AddrNPI
		want[pdufield.AddressRange] = p.AddressRange
	case *BindResp:
		want[pdufield.SystemID] = p.SystemID
		tlvs = p.TLVs
	case *SubmitSM:
		m := pdufield.Map{}
		fillFiorix(m, p)
		for name, v := range m {
			want[name] = v.Bytes()
		}
		tlvs = p.TLVs
	case *MessageResp:
		want[pdufield.MessageID] = p.MessageID
		tlvs = p.TLVs
	case *QuerySM:
		want[pdufield.MessageID], want[pdufield.SourceAddr] = p.MessageID, p.Source.Addr
		want[pdufield.SourceAddrTON], want[pdufield.SourceAddrNPI] = p.Source.TON, p.Source.NPI
	case *QuerySMResp:
		// fiorix takes message_state and error_code for C-octet strings.
		want[pdufield.MessageID], want[pdufield.FinalDate] = p.MessageID, p.FinalDate
	case *SubmitMultiResp:
		want[pdufield.MessageID], want[pdufield.NoUnsuccess] = p.MessageID, uint8(len(p.Unsuccess))
		list, ok := f.Fields()[pdufield.UnsuccessSme].(*pdufield.UnSmeList)
		if !ok || len(list.Data) != len(p.Unsuccess) {
			t.Fatalf("unsuccess_sme %+v", f.Fields()[pdufield.UnsuccessSme])
		}
		for i, u := range list.Data {
			o := p.Unsuccess[i]
			if u.Ton.Data != o.Address.TON || u.Npi.Data != o.Address.NPI || !bytes.Equal(bytes.TrimSuffix(u.DestAddr.Bytes(), []byte{0}), o.Address.Addr) {
				t.Errorf("unsuccess_sme %d: %+v", i, u)
			}
		}
	default:
		t.Fatalf("no comparison for %T", body)
	}
	for name, v := range want {
		octets, ok := v.([]byte)
		if !ok {
			octets = []byte{v.(uint8)}
		}
		have := f.Fields()[name]
		if have == nil {
			t.Errorf("fiorix reads no %s", name)
			continue
		}
		if a, b := bytes.TrimSuffix(have.Bytes(), []byte{0}), bytes.TrimSuffix(octets, []byte{0}); !bytes.Equal(a, b) {
			t.Errorf("fiorix reads %s %q, want %q", name, a, b)
		}
	}
	n := 0
	for tag, v := range tlvs.All() {
		n++
		if have := f.TLVFields()[pdutlv.Tag(tag)]; have == nil || !bytes.Equal(have.Bytes(), v) {
			t.Errorf("fiorix reads %v %v, want %x", tag, have, v)
		}
	}
	if n != len(f.TLVFields()) {
		t.Errorf("fiorix reads %d TLVs, want %d", len(f.TLVFields()), n)
	}
}

func TestWeReadWhatFiorixMakes(t *testing.T) {
	p := ucs2Submit()
	f := fpdu.NewSubmitSM(pdutlv.Fields{pdutlv.TagReceiptedMessageID: pdutlv.CString("abc")})
	fillFiorix(f.Fields(), p)
	p.TLVs = TLVs(nil).AppendCString(TagReceiptedMessageID, []byte("abc"))
	query := fpdu.NewQuerySM()
	for name, v := range map[pdufield.Name]any{pdufield.MessageID: "0194", pdufield.SourceAddr: "MOI", pdufield.SourceAddrTON: 5} {
		if err := query.Fields().Set(name, v); err != nil {
			t.Fatal(err)
		}
	}
	resp := fpdu.NewBindTransceiverResp()
	if err := resp.Fields().Set(pdufield.SystemID, "carrier"); err != nil {
		t.Fatal(err)
	}
	bind := fpdu.NewBindTransceiver()
	for name, v := range map[pdufield.Name]any{pdufield.SystemID: "moi", pdufield.Password: "secret", pdufield.InterfaceVersion: 0x34} {
		if err := bind.Fields().Set(name, v); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name string
		pdu  fpdu.Body
		want Body
	}{
		{"submit_sm", f, p},
		{"query_sm", query, &QuerySM{MessageID: []byte("0194"), Source: moi}},
		{"bind_transceiver_resp", resp, &BindResp{SystemID: []byte("carrier")}},
		{"bind_transceiver", bind, &Bind{SystemID: []byte("moi"), Password: []byte("secret"), InterfaceVersion: 0x34}},
		{"deliver_sm_resp", fpdu.NewDeliverSMRespSeq(7), &MessageResp{}},
		{"submit_sm_resp", fpdu.NewSubmitSMResp(), &MessageResp{}},
		{"enquire_link", fpdu.NewEnquireLink(), nil},
		{"unbind_resp", fpdu.NewUnbindResp(), nil},
		{"generic_nack", fpdu.NewGenericNACK(), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			var w bytes.Buffer
			if err := row.pdu.SerializeTo(&w); err != nil {
				t.Fatal(err)
			}
			h := ParseHeader(w.Bytes())
			if h.Command.String() != row.name || int(h.Length) != w.Len() {
				t.Fatalf("header %+v of %d octets", h, w.Len())
			}
			body := NewBody(h.Command)
			if row.want == nil {
				if body != nil || w.Len() != HeaderLen {
					t.Fatalf("%v has a body", h.Command)
				}
				return
			}
			if err := body.Decode(w.Bytes()[HeaderLen:]); err != nil {
				t.Fatal(err)
			}
			if a, b := fieldsOf(body), fieldsOf(row.want); !reflect.DeepEqual(a, b) {
				t.Fatalf("read %+v, want %+v", a, b)
			}
		})
	}
}

// tlvMap returns the TLVs of a body by tag.
func tlvMap(body any) map[Tag]string {
	m := map[Tag]string{}
	if v := reflect.ValueOf(body).FieldByName("TLVs"); v.IsValid() {
		for tag, value := range v.Interface().(TLVs).All() {
			m[tag] = string(value)
		}
	}
	return m
}

func withoutTLVs(body any) any {
	v := reflect.New(reflect.TypeOf(body)).Elem()
	v.Set(reflect.ValueOf(body))
	if f := v.FieldByName("TLVs"); f.IsValid() {
		f.SetZero()
	}
	return v.Interface()
}
