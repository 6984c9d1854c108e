package pdu

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
)

func TestSubmitSMIsWrittenAndReadOctetByOctet(t *testing.T) {
	want, _ := hex.DecodeString("" +
		"0000003a" + "00000004" + "00000000" + "00000007" +
		"00" + "0500" + "4d4f4900" + "0101" + "39363635303030303030303100" +
		"00" + "00" + "01" + "00" + "00" + "01" + "00" + "08" + "00" + "04" + "06330644" +
		"020c0002abcd")
	p := SubmitSM{
		Source:             Address{TON: TONAlphanumeric, Addr: []byte("MOI")},
		Dest:               Address{TON: TONInternational, NPI: NPIISDN, Addr: []byte("966500000001")},
		PriorityFlag:       1,
		RegisteredDelivery: RegisteredFinal,
		DataCoding:         CodingUCS2,
		ShortMessage:       []byte{0x06, 0x33, 0x06, 0x44},
		TLVs:               TLVs(nil).AppendUint16(TagSARMsgRefNum, 0xabcd),
	}
	got := Append(nil, CmdSubmitSM, ESME_ROK, 7, &p)
	if !bytes.Equal(got, want) {
		t.Fatalf("wrote\n%x, want\n%x", got, want)
	}
	if h := ParseHeader(got); h != (Header{58, CmdSubmitSM, ESME_ROK, 7}) {
		t.Fatalf("header %+v", h)
	}
	var q SubmitSM
	if err := q.Decode(got[HeaderLen:]); err != nil {
		t.Fatal(err)
	}
	if again := Append(nil, CmdSubmitSM, ESME_ROK, 7, &q); !bytes.Equal(again, want) {
		t.Fatalf("read and wrote\n%x, want\n%x", again, want)
	}
}

func TestBindIsReadAsWritten(t *testing.T) {
	p := &Bind{SystemID: []byte("moi"), Password: []byte("secret"), SystemType: []byte("VMS"),
		InterfaceVersion: 0x34, AddrTON: 1, AddrNPI: 1, AddressRange: []byte("966.*")}
	q := NewBody(CmdBindTransceiver)
	if err := q.Decode(p.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(q, p) {
		t.Fatalf("read %+v, want %+v", q, p)
	}
}

func TestResponsesAreReadAsCarriersSendThem(t *testing.T) {
	for _, row := range []struct {
		name, body, id, tlvs string
	}{
		{"as specified", "abc\x00", "abc", ""},
		{"no body", "", "", ""},
		{"empty message_id", "\x00", "", ""},
		{"no NUL", "abc", "abc", ""},
		{"one octet too many", "abc\x00\x37", "abc", ""},
		{"three octets too many", "abc\x00\x37\x00\x00", "abc", ""},
		{"TLV", "abc\x00\x04\x25\x00\x01\x02", "abc", "\x04\x25\x00\x01\x02"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var p MessageResp
			if err := p.Decode([]byte(row.body)); err != nil {
				t.Fatal(err)
			}
			if string(p.MessageID) != row.id || string(p.TLVs) != row.tlvs {
				t.Fatalf("read %q %q", p.MessageID, p.TLVs)
			}
		})
	}
	var fe *FieldError
	if err := new(MessageResp).Decode(bytes.Repeat([]byte("x"), 65)); !errors.As(err, &fe) || fe.Status != ESME_RINVMSGID {
		t.Fatalf("message_id of 65 octets: %v", err)
	}
}

func TestStatusIsReadInEveryFormPeopleWrite(t *testing.T) {
	for _, s := range []string{"ESME_RTHROTTLED", "RTHROTTLED", "rthrottled", "0x58", "88"} {
		if st, err := ParseStatus(s); err != nil || st != ESME_RTHROTTLED {
			t.Errorf("%s: %v, %v", s, st, err)
		}
	}
	if st, err := ParseStatus("ESME_RTROTTLED"); err == nil {
		t.Errorf("a misspelt status is read as %v", st)
	}
}
