package pdu

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

var update = flag.Bool("update", false, "write the golden PDUs and what tshark prints for them")

var (
	moi    = Address{TON: TONAlphanumeric, NPI: NPIUnknown, Addr: []byte("MOI")}
	person = Address{TON: TONInternational, NPI: NPIISDN, Addr: []byte("966500000001")}
	other  = Address{TON: TONNational, NPI: NPINational, Addr: []byte("0500000002")}
)

// golden has each kind of PDU, with the fields that tshark has to find in it.
var golden = []struct {
	name   string
	cmd    Command
	status Status
	seq    uint32
	body   Body
	fields string // tshark's name=value, those of the header left out
}{
	{"bind_receiver", CmdBindReceiver, 0, 1, &Bind{SystemID: []byte("moi.traffic"), Password: []byte("secret08"), SystemType: []byte("VMS"),
		InterfaceVersion: Version33, AddrTON: TONInternational, AddrNPI: NPIISDN, AddressRange: []byte("^96650")},
		"system_id=moi.traffic password=secret08 system_type=VMS interface_version=51 addr_ton=0x01 addr_npi=0x01 address_range=^96650"},
	{"bind_transmitter", CmdBindTransmitter, 0, 2, &Bind{SystemID: []byte("moi"), Password: []byte("pw"), InterfaceVersion: Version34},
		"system_id=moi password=pw interface_version=52 addr_ton=0x00 addr_npi=0x00"},
	{"bind_transceiver", CmdBindTransceiver, 0, 3, &Bind{SystemID: []byte("moi.passports.x"), Password: []byte("12345678"), InterfaceVersion: Version50},
		"system_id=moi.passports.x password=12345678 interface_version=80"},
	{"bind_receiver_resp", CmdBindReceiverResp, 0, 1, &BindResp{SystemID: []byte("masar")}, "system_id=masar"},
	{"bind_transmitter_resp", CmdBindTransmitterResp, ESME_RINVPASWD, 2, nil, ""},
	{"bind_transceiver_resp", CmdBindTransceiverResp, 0, 3, &BindResp{SystemID: []byte("masar"),
		TLVs: TLVs(nil).AppendUint8(TagSCInterfaceVersion, Version34)}, "system_id=masar SC_interface_version=52"},
	{"outbind", CmdOutbind, 0, 4, &Outbind{SystemID: []byte("carrier"), Password: []byte("secret")}, "system_id=carrier password=secret"},
	{"unbind", CmdUnbind, 0, 5, nil, ""},
	{"unbind_resp", CmdUnbindResp, 0, 5, nil, ""},
	{"enquire_link", CmdEnquireLink, 0, MaxSequence, nil, ""},
	{"enquire_link_resp", CmdEnquireLinkResp, 0, MaxSequence, nil, ""},
	{"generic_nack", CmdGenericNack, ESME_RINVCMDLEN, 0, nil, ""},
	{"submit_sm_ucs2", CmdSubmitSM, 0, 6, &SubmitSM{ServiceType: []byte("VRREN"), Source: moi, Dest: person, PriorityFlag: 1,
		ScheduleDeliveryTime: []byte("261124093015312+"), ValidityPeriod: []byte("000002030000000R"),
		RegisteredDelivery: RegisteredFinal | RegisteredIntermediate, DataCoding: CodingUCS2,
		ShortMessage: ucs2("تم تجديد رخصة السير")},
		"service_type=VRREN source_addr_ton=0x05 source_addr_npi=0x00 source_addr=MOI dest_addr_ton=0x01 dest_addr_npi=0x01 " +
			"destination_addr=966500000001 esm.submit.msg_mode=0x00 esm.submit.msg_type=0x00 esm.submit.features=0x00 protocol_id=0x00 " +
			"priority_flag=0x01 regdel.receipt=0x01 regdel.notif=0x01 replace_if_present_flag=0x00 " +
			"data_coding=0x08 sm_default_msg_id=0 sm_length=38"},
	{"submit_sm_udh", CmdSubmitSM, 0, 7, &SubmitSM{Source: moi, Dest: person, ESMClass: ESMClassUDHI | ESMClassStoreForward, ProtocolID: 0x40,
		RegisteredDelivery: RegisteredFailure, ReplaceIfPresent: 1, DefaultMsgID: 7,
		ShortMessage: append([]byte{5, 0, 3, 0xA7, 2, 1}, "first part"...)},
		"esm.submit.msg_mode=0x03 esm.submit.features=0x01 protocol_id=0x40 regdel.receipt=0x02 replace_if_present_flag=0x01 sm_default_msg_id=7 sm_length=16"},
	{"submit_sm_sar", CmdSubmitSM, 0, 8, &SubmitSM{Source: moi, Dest: other, ShortMessage: []byte("second part"),
		TLVs: TLVs(nil).AppendUint16(TagSARMsgRefNum, 0xA7B8).AppendUint8(TagSARTotalSegments, 2).AppendUint8(TagSARSegmentSeqnum, 2)},
		"dest_addr_ton=0x02 dest_addr_npi=0x08 sar_msg_ref_num=42936 sar_total_segments=2 sar_segment_seqnum=2"},
	{"submit_sm_payload", CmdSubmitSM, 0, 9, &SubmitSM{Source: moi, Dest: person,
		TLVs: TLVs(nil).Append(TagMessagePayload, bytes.Repeat([]byte("0123456789"), 30)).AppendUint16(TagUserMessageReference, 513).Append(0x1401, []byte{1, 2, 3})},
		"sm_length=0 message_payload=" + strings.Repeat("30313233343536373839", 30) + " user_message_reference=513 vendor_op=010203"},
	{"submit_sm_254", CmdSubmitSM, 0, 10, &SubmitSM{Source: moi, Dest: person, DataCoding: CodingBinary, ShortMessage: bytes.Repeat([]byte{0xFF}, 254)},
		"sm_length=254 data_coding=0x04 message=" + strings.Repeat("ff", 254)},
	{"submit_sm_tlvs", CmdSubmitSM, 0, 11, &SubmitSM{Source: moi, Dest: person, TLVs: TLVs(nil).
		AppendUint8(TagDestAddrSubunit, 1).AppendUint8(TagDestNetworkType, 1).AppendUint8(TagDestBearerType, 1).AppendUint16(TagDestTelematicsID, 9).
		AppendUint8(TagSourceAddrSubunit, 2).AppendUint8(TagSourceNetworkType, 2).AppendUint8(TagSourceBearerType, 2).AppendUint8(TagSourceTelematicsID, 8).
		AppendUint32(TagQoSTimeToLive, 3600).AppendUint8(TagPayloadType, 0).AppendUint8(TagPrivacyIndicator, 3).
		AppendUint8(TagUserResponseCode, 4).AppendUint16(TagSourcePort, 5000).AppendUint16(TagDestPort, 5001).AppendUint8(TagLanguageIndicator, 2).
		AppendUint8(TagNumberOfMessages, 99).AppendUint8(TagMoreMessagesToSend, 1).AppendUint8(TagSetDPF, 1).
		AppendUint8(TagUSSDServiceOp, 2).AppendUint8(TagDisplayTime, 1).AppendUint16(TagSMSSignal, 258).AppendUint8(TagMSValidity, 3).
		Append(TagAlertOnMessageDelivery, nil).AppendUint8(TagITSReplyType, 5).Append(TagSourceSubaddress, []byte{0xA0, 1, 2})},
		"dest_addr_subunit=0x01 dest_network_type=0x01 dest_bearer_type=0x01 dest_telematics_id=0x0009 source_addr_subunit=0x02 source_network_type=0x02 " +
			"source_bearer_type=0x02 source_telematics_id=0x08 qos_time_to_live=3600 payload_type=0x00 privacy_indicator=0x03 user_response_code=0x04 " +
			"source_port=0x1388 destination_port=0x1389 language_indicator=0x02 number_of_messages=99 more_messages_to_send=0x01 set_dpf=0x01 " +
			"ussd_service_op=0x02 display_time=0x01 sms_signal=0x0102 ms_validity=0x03 its_reply_type=0x05 source_subaddress=a00102"},
	{"submit_sm_resp", CmdSubmitSMResp, 0, 6, &MessageResp{MessageID: []byte("0194c1f2a3b4c5d6")}, "message_id=0194c1f2a3b4c5d6"},
	{"submit_sm_resp_refused", CmdSubmitSMResp, ESME_RTHROTTLED, 7, nil, ""},
	{"submit_sm_resp_v5", CmdSubmitSMResp, 0, 8, &MessageResp{MessageID: []byte("7"), TLVs: TLVs(nil).AppendUint8(TagCongestionState, 42)},
		"message_id=7 congestion_state=42"},
	{"deliver_sm_receipt", CmdDeliverSM, 0, 12, &DeliverSM{Source: person, Dest: moi, ESMClass: ESMClassReceipt,
		ShortMessage: []byte("id:0194c1f2a3b4c5d6 sub:001 dlvrd:001 submit date:2611240930 done date:2611240931 stat:DELIVRD err:000 Text:abc"),
		TLVs:         TLVs(nil).AppendCString(TagReceiptedMessageID, []byte("0194c1f2a3b4c5d6")).AppendUint8(TagMessageState, uint8(StateDelivered)).Append(TagNetworkErrorCode, []byte{3, 1, 2})},
		"esm.submit.msg_type=0x01 receipted_message_id=0194c1f2a3b4c5d6 message_state=2 network_error.type=0x03 network_error.code=0x0102"},
	{"deliver_sm_resp", CmdDeliverSMResp, 0, 12, &MessageResp{}, ""},
	{"deliver_sm_resp_later", CmdDeliverSMResp, ESME_RX_T_APPN, 13, &MessageResp{}, ""},
	{"data_sm", CmdDataSM, 0, 14, &DataSM{ServiceType: []byte("CMT"), Source: moi, Dest: Address{TON: 1, NPI: 1, Addr: []byte(strings.Repeat("9", 64))},
		ESMClass: ESMClassTransaction, RegisteredDelivery: RegisteredSuccess | RegisteredDeliveryAck, DataCoding: CodingLatin1, TLVs: TLVs(nil).Append(TagMessagePayload, []byte("hi"))},
		"service_type=CMT destination_addr=" + strings.Repeat("9", 64) + " esm.submit.msg_mode=0x02 regdel.receipt=0x03 regdel.acks=0x01 data_coding=0x03 message_payload=6869"},
	// tshark reads no body beside a status that is not ESME_ROK.
	{"data_sm_resp_failed", CmdDataSMResp, ESME_RDELIVERYFAILURE, 13, &MessageResp{MessageID: []byte("9"), TLVs: TLVs(nil).Append(TagNetworkErrorCode, []byte{3, 0, 27})}, ""},
	{"data_sm_resp", CmdDataSMResp, 0, 14, &MessageResp{MessageID: []byte("9"), TLVs: TLVs(nil).AppendUint8(TagDeliveryFailureReason, 1).
		AppendCString(TagAdditionalStatusInfoText, []byte("absent")).AppendUint8(TagDPFResult, 1)},
		"message_id=9 delivery_failure_reason=0x01 additional_status_info_text=absent dpf_result=0x01"},
	{"submit_multi", CmdSubmitMulti, 0, 15, &SubmitMulti{Source: moi, Dests: []Destination{{Flag: DestSME, Address: person}, {Flag: DestList, List: []byte("drivers")}, {Flag: DestSME, Address: other}},
		PriorityFlag: 3, DataCoding: CodingASCII, RegisteredDelivery: RegisteredUserAck, ShortMessage: []byte("hello")},
		"destination_addr=966500000001|0500000002 dl_name=drivers priority_flag=0x03 data_coding=0x01 regdel.acks=0x02 sm_length=5 message=68656c6c6f"},
	{"submit_multi_resp", CmdSubmitMultiResp, 0, 15, &SubmitMultiResp{MessageID: []byte("11"), Unsuccess: []Unsuccess{{person, ESME_RINVDSTADR}, {other, ESME_RMSGQFUL}}},
		"message_id=11 destination_addr=966500000001|0500000002 error_status_code=0x0000000b|0x00000014"},
	{"query_sm", CmdQuerySM, 0, 16, &QuerySM{MessageID: []byte("0194c1f2a3b4c5d6"), Source: moi}, "message_id=0194c1f2a3b4c5d6 source_addr_ton=0x05 source_addr=MOI"},
	{"query_sm_resp", CmdQuerySMResp, 0, 16, &QuerySMResp{MessageID: []byte("0194c1f2a3b4c5d6"), FinalDate: []byte("261124093015700+"), MessageState: StateExpired, ErrorCode: 17},
		"message_id=0194c1f2a3b4c5d6 message_state=3 error_code=0x11"},
	{"cancel_sm", CmdCancelSM, 0, 17, &CancelSM{ServiceType: []byte("CMT"), Source: moi, Dest: person}, "service_type=CMT source_addr=MOI destination_addr=966500000001"},
	{"cancel_sm_resp", CmdCancelSMResp, ESME_RCANCELFAIL, 17, nil, ""},
	{"replace_sm", CmdReplaceSM, 0, 18, &ReplaceSM{MessageID: []byte("0194"), Source: moi, ValidityPeriod: []byte("000000010000000R"), RegisteredDelivery: 1, DefaultMsgID: 2, ShortMessage: []byte("new")},
		"message_id=0194 source_addr=MOI regdel.receipt=0x01 sm_default_msg_id=2 sm_length=3 message=6e6577"},
	{"replace_sm_resp", CmdReplaceSMResp, 0, 18, nil, ""},
	{"alert_notification", CmdAlertNotification, 0, 19, &AlertNotification{Source: person, ESME: moi, TLVs: TLVs(nil).AppendUint8(TagMSAvailabilityStatus, 0)},
		"source_addr=966500000001 esme_addr_ton=0x05 esme_addr=MOI ms_availability_status=0x00"},
}

// ucs2 writes s, which has no character beyond U+FFFF, as UCS-2.
func ucs2(s string) []byte {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r>>8), byte(r))
	}
	return b
}

func TestGoldenHoldsEveryCommand(t *testing.T) {
	have := map[Command]bool{}
	for _, g := range golden {
		have[g.cmd] = true
	}
	for _, c := range Commands() {
		v5 := strings.Contains(c.String(), "broadcast")
		if !have[c] && !v5 {
			t.Errorf("no golden %v", c)
		}
	}
}

func TestGoldenPDUsAreWrittenAndReadOctetByOctet(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			frame := Append(nil, g.cmd, g.status, g.seq, g.body)
			file := filepath.Join("testdata", "pdu", g.name+".hex")
			if *update {
				if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, hexLines(frame), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want := readHex(t, file)
			if !bytes.Equal(frame, want) {
				t.Fatalf("wrote\n%x, want\n%x", frame, want)
			}
			h := ParseHeader(want)
			if h != (Header{uint32(len(want)), g.cmd, g.status, g.seq}) {
				t.Fatalf("header %+v", h)
			}
			if g.body == nil {
				return
			}
			body := NewBody(h.Command)
			if err := body.Decode(want[HeaderLen:]); err != nil {
				t.Fatal(err)
			}
			if a, b := fieldsOf(body), fieldsOf(g.body); !reflect.DeepEqual(a, b) {
				t.Fatalf("read %+v, want %+v", a, b)
			}
		})
	}
}

func TestEveryPDUIsWrittenWithoutAllocation(t *testing.T) {
	dst := make([]byte, 0, 1024)
	for _, g := range golden {
		if n := testing.AllocsPerRun(20, func() { Append(dst, g.cmd, g.status, g.seq, g.body) }); n != 0 {
			t.Errorf("%s: %v allocations", g.name, n)
		}
	}
}

func TestEveryPDUIsReadWithoutAllocation(t *testing.T) {
	for _, g := range golden {
		if g.body == nil {
			continue
		}
		octets := g.body.Append(nil)
		body := NewBody(g.cmd)
		// A first reading makes the room for submit_multi's destinations.
		if n := testing.AllocsPerRun(20, func() { _ = body.Decode(octets) }); n != 0 {
			t.Errorf("%s: %v allocations", g.name, n)
		}
	}
}

// fieldsOf copies a body with nil for each empty slice, so that DeepEqual
// compares what is on the wire.
func fieldsOf(b Body) any {
	v := reflect.New(reflect.TypeOf(b).Elem()).Elem()
	v.Set(reflect.ValueOf(b).Elem())
	emptyToNil(v)
	return v.Interface()
}

func emptyToNil(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			emptyToNil(v.Field(i))
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.SetZero()
			return
		}
		if v.Type().Elem().Kind() == reflect.Struct {
			c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(c, v)
			for i := range c.Len() {
				emptyToNil(c.Index(i))
			}
			v.Set(c)
		}
	}
}

// hexLines writes the header on a line, then 32 octets a line.
func hexLines(b []byte) []byte {
	out := hex.AppendEncode(nil, b[:HeaderLen])
	for b = b[HeaderLen:]; len(b) > 0; b = b[min(32, len(b)):] {
		out = append(out, '\n')
		out = hex.AppendEncode(out, b[:min(32, len(b))])
	}
	return append(out, '\n')
}

func readHex(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	digits := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, string(text))
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return b
}
