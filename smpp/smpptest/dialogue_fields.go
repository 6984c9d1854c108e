package smpptest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"masar/smpp/pdu"
)

// paths are where the specification's names are in the structs of package pdu.
var paths = map[string]string{
	"system_id": "SystemID", "password": "Password", "system_type": "SystemType", "interface_version": "InterfaceVersion",
	"addr_ton": "AddrTON", "addr_npi": "AddrNPI", "address_range": "AddressRange",
	"service_type": "ServiceType", "esm_class": "ESMClass", "protocol_id": "ProtocolID", "priority_flag": "PriorityFlag",
	"schedule_delivery_time": "ScheduleDeliveryTime", "validity_period": "ValidityPeriod",
	"registered_delivery": "RegisteredDelivery", "replace_if_present_flag": "ReplaceIfPresent", "data_coding": "DataCoding",
	"sm_default_msg_id": "DefaultMsgID", "short_message": "ShortMessage", "message_id": "MessageID",
	"source_addr": "Source.Addr", "source_addr_ton": "Source.TON", "source_addr_npi": "Source.NPI",
	"destination_addr": "Dest.Addr", "dest_addr_ton": "Dest.TON", "dest_addr_npi": "Dest.NPI",
	"esme_addr": "ESME.Addr", "esme_addr_ton": "ESME.TON", "esme_addr_npi": "ESME.NPI",
	"final_date": "FinalDate", "message_state": "MessageState", "error_code": "ErrorCode",
}

func fieldOf(form pdu.Body, name string) (reflect.Value, error) {
	if form == nil {
		return reflect.Value{}, errors.New("the command has no body")
	}
	path, known := paths[name]
	if !known {
		return reflect.Value{}, errors.New("no such field")
	}
	v := reflect.ValueOf(form).Elem()
	for step := range strings.SplitSeq(path, ".") {
		if v = v.FieldByName(step); !v.IsValid() {
			return v, errors.New("the command has no such field")
		}
	}
	return v, nil
}

func tagOf(key string) (pdu.Tag, bool, error) {
	s, is := strings.CutPrefix(key, "tlv.")
	if !is {
		return 0, false, nil
	}
	u, err := strconv.ParseUint(s, 16, 16)
	return pdu.Tag(u), true, err
}

func setField(form pdu.Body, f Field) error {
	tag, isTLV, err := tagOf(f.Key)
	if err != nil {
		return err
	}
	if isTLV {
		if form == nil {
			return errors.New("the command has no TLVs")
		}
		octets, err := hex.DecodeString(f.Value)
		if err != nil {
			return err
		}
		v := reflect.ValueOf(form).Elem().FieldByName("TLVs")
		if !v.IsValid() {
			return errors.New("the command has no TLVs")
		}
		v.SetBytes(pdu.TLVs(v.Bytes()).Append(tag, octets))
		return nil
	}
	v, err := fieldOf(form, f.Key)
	if err != nil {
		return err
	}
	if v.Kind() == reflect.Slice {
		v.SetBytes([]byte(f.Value))
		return nil
	}
	u, err := strconv.ParseUint(f.Value, 0, 8)
	if err != nil {
		return err
	}
	v.SetUint(u)
	return nil
}

// Match compares a frame with what a line awaits; nil when all fields named agree.
func Match(l Line, seq uint32, h pdu.Header, body []byte) error {
	cmd, err := command(l.Name)
	if err != nil {
		return err
	}
	if h.Command != cmd {
		return fmt.Errorf("came %s", Describe(h, body))
	}
	form := pdu.NewBody(cmd)
	if form != nil {
		if err := form.Decode(body); err != nil {
			return fmt.Errorf("came an unreadable %s: %w", Describe(h, body), err)
		}
	}
	for _, f := range l.Fields {
		want, got := f.Value, ""
		switch f.Key {
		case "times", "within":
			continue
		case "seq":
			want, got = fmt.Sprint(seq), fmt.Sprint(h.Sequence)
		case "status":
			st, err := pdu.ParseStatus(f.Value)
			if err != nil {
				return err
			}
			want, got = st.String(), h.Status.String()
		case "body":
			got = hex.EncodeToString(body)
		default:
			if got, err = fieldText(form, f.Key); err != nil {
				return fmt.Errorf("%s: %w", f.Key, err)
			}
			if n, err := strconv.ParseUint(want, 0, 32); err == nil && strings.HasPrefix(want, "0x") {
				want = fmt.Sprint(n)
			}
		}
		if got != want {
			return fmt.Errorf("%s is %q, awaited %q, in %s", f.Key, got, want, Describe(h, body))
		}
	}
	return nil
}

func fieldText(form pdu.Body, key string) (string, error) {
	tag, isTLV, err := tagOf(key)
	if err != nil {
		return "", err
	}
	if isTLV {
		v := reflect.ValueOf(form).Elem().FieldByName("TLVs")
		if !v.IsValid() {
			return "", errors.New("the command has no TLVs")
		}
		octets, ok := pdu.TLVs(v.Bytes()).Get(tag)
		if !ok {
			return "none", nil
		}
		return hex.EncodeToString(octets), nil
	}
	v, err := fieldOf(form, key)
	if err != nil {
		return "", err
	}
	if v.Kind() == reflect.Slice {
		return string(v.Bytes()), nil
	}
	return fmt.Sprint(v.Uint()), nil
}

// Describe is a frame in a few words: "submit_sm_resp seq=7 status=ESME_RTHROTTLED body=".
func Describe(h pdu.Header, body []byte) string {
	return fmt.Sprintf("%v seq=%d status=%v body=%x", h.Command, h.Sequence, h.Status, body)
}
