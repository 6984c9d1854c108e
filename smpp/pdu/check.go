package pdu

import (
	"bytes"
	"fmt"
)

// Check says which value of a submit_sm is not allowed, nil if all are. It holds
// for requests to an SMSC: a deliver_sm may break it (its destination may be an
// alphanumeric sender's name) and is still to be taken.
//
// Left to the caller, who knows the account and the clock: which source may be
// used, esm_class's mode, data_coding, sm_default_msg_id, and the times beyond
// their length (ParseTime).
func (p *SubmitSM) Check() *FieldError {
	if e := checkText(p.ServiceType, &fServiceType); e != nil {
		return e
	}
	if e := checkSource(&p.Source, &fSource); e != nil {
		return e
	}
	if e := checkDest(&p.Dest, &fDest); e != nil {
		return e
	}
	return checkMessage(p.ESMClass, p.PriorityFlag, p.ScheduleDeliveryTime, p.ValidityPeriod,
		p.RegisteredDelivery, p.ReplaceIfPresent, p.ShortMessage, p.TLVs)
}

// Check says which value of a submit_multi is not allowed, nil if all are. The
// destinations are judged one by one, by Destination.Check: a bad one belongs
// into the response's unsuccess_sme beside the good ones.
func (p *SubmitMulti) Check() *FieldError {
	if e := checkText(p.ServiceType, &fServiceType); e != nil {
		return e
	}
	if e := checkSource(&p.Source, &fSource); e != nil {
		return e
	}
	if n := len(p.Dests); n == 0 || n > MaxDestinations {
		return refuse("number_of_dests", ESME_RINVNUMDESTS, "is %d, 1 to %d are allowed", n, MaxDestinations)
	}
	return checkMessage(p.ESMClass, p.PriorityFlag, p.ScheduleDeliveryTime, p.ValidityPeriod,
		p.RegisteredDelivery, p.ReplaceIfPresent, p.ShortMessage, p.TLVs)
}

// Check says what is wrong with one destination, nil if nothing is.
func (d *Destination) Check() *FieldError {
	switch d.Flag {
	case DestSME:
		return checkDest(&d.Address, &fDest)
	case DestList:
		if len(d.List) == 0 {
			return &FieldError{"dl_name", "is empty", ESME_RINVDLNAME}
		}
		return checkText(d.List, &fListName)
	}
	return refuse("dest_flag", ESME_RINVDESTFLAG, "is %d, 1 or 2 is allowed", d.Flag)
}

// Check says which value of a data_sm is not allowed, nil if all are.
func (p *DataSM) Check() *FieldError {
	if e := checkText(p.ServiceType, &fServiceType); e != nil {
		return e
	}
	if e := checkSource(&p.Source, &fLongSource); e != nil {
		return e
	}
	if e := checkDest(&p.Dest, &fLongDest); e != nil {
		return e
	}
	if e := checkRegistered(p.RegisteredDelivery); e != nil {
		return e
	}
	return checkClass(p.ESMClass, p.Content())
}

// Check says which value of a query_sm is not allowed, nil if all are.
func (p *QuerySM) Check() *FieldError {
	if e := checkID(p.MessageID); e != nil {
		return e
	}
	return checkSource(&p.Source, &fSource)
}

// Check says which value of a cancel_sm is not allowed, nil if all are. With a
// message_id the destination is not looked at (SMPP v3.4 section 4.9.1).
func (p *CancelSM) Check() *FieldError {
	if e := checkText(p.ServiceType, &fServiceType); e != nil {
		return e
	}
	if e := checkSource(&p.Source, &fSource); e != nil {
		return e
	}
	if len(p.MessageID) > 0 {
		return checkText(p.MessageID, &fMessageID)
	}
	return checkDest(&p.Dest, &fDest)
}

// Check says which value of a replace_sm is not allowed, nil if all are.
func (p *ReplaceSM) Check() *FieldError {
	if e := checkID(p.MessageID); e != nil {
		return e
	}
	if e := checkSource(&p.Source, &fSource); e != nil {
		return e
	}
	if e := checkTimes(p.ScheduleDeliveryTime, p.ValidityPeriod); e != nil {
		return e
	}
	if e := checkRegistered(p.RegisteredDelivery); e != nil {
		return e
	}
	return checkLength(p.ShortMessage, p.TLVs)
}

// checkMessage looks at what submit_sm and submit_multi have in common.
func checkMessage(class, priority uint8, schedule, validity []byte, registered, replace uint8, message []byte, tlvs TLVs) *FieldError {
	if priority > MaxPriority {
		return refuse("priority_flag", ESME_RINVPRTFLG, "is %d, at most %d is allowed", priority, MaxPriority)
	}
	if e := checkTimes(schedule, validity); e != nil {
		return e
	}
	if e := checkRegistered(registered); e != nil {
		return e
	}
	if replace > 1 {
		return refuse("replace_if_present_flag", ESME_RINVREPFLAG, "is %d, 0 or 1 is allowed", replace)
	}
	if e := checkLength(message, tlvs); e != nil {
		return e
	}
	if len(message) == 0 {
		message, _ = tlvs.Get(TagMessagePayload)
	}
	return checkClass(class, message)
}

// checkLength refuses a message that is too long or there twice.
func checkLength(message []byte, tlvs TLVs) *FieldError {
	if len(message) > MaxShortMessage {
		return refuse("sm_length", ESME_RINVMSGLEN, "is %d, at most %d is allowed", len(message), MaxShortMessage)
	}
	if len(message) == 0 || len(tlvs) == 0 {
		return nil
	}
	if _, twice := tlvs.Get(TagMessagePayload); twice {
		return &FieldError{"message_payload", "is there beside a short_message", ESME_RINVMSGLEN}
	}
	return nil
}

// checkClass refuses esm_class types that no request to an SMSC has, and a user
// data header that is not whole.
func checkClass(class uint8, message []byte) *FieldError {
	switch class & ESMClassTypeMask {
	case 0, ESMClassDeliveryAck, ESMClassUserAck:
	default:
		return refuse("esm_class", ESME_RINVESMCLASS, "is 0x%02x, whose type a request does not have", class)
	}
	if class&ESMClassUDHI != 0 && !wholeUDH(message) {
		return &FieldError{"esm_class", "announces a user data header, and the message begins with none that is whole", ESME_RINVESMCLASS}
	}
	return nil
}

// wholeUDH reports whether b begins with a user data header whose elements fill
// it exactly (3GPP TS 23.040 section 9.2.3.24).
func wholeUDH(b []byte) bool {
	if len(b) == 0 || int(b[0]) >= len(b) {
		return false
	}
	for h := b[1 : 1+int(b[0])]; len(h) > 0; {
		if len(h) < 2 || len(h) < 2+int(h[1]) {
			return false
		}
		h = h[2+int(h[1]):]
	}
	return true
}

func checkRegistered(v uint8) *FieldError {
	if v&registeredUndefined != 0 {
		return refuse("registered_delivery", ESME_RINVREGDLVFLG, "is 0x%02x, bits 7 to 5 have no meaning", v)
	}
	return nil
}

func checkTimes(schedule, validity []byte) *FieldError {
	if n := len(schedule); n != 0 && n != timeLen {
		return refuse(fSchedule.name, fSchedule.status, "has %d octets, 16 or none are allowed", n)
	}
	if n := len(validity); n != 0 && n != timeLen {
		return refuse(fValidity.name, fValidity.status, "has %d octets, 16 or none are allowed", n)
	}
	return nil
}

func checkID(id []byte) *FieldError {
	if len(id) == 0 {
		return &FieldError{"message_id", "is empty", ESME_RINVMSGID}
	}
	return checkText(id, &fMessageID)
}

// checkText refuses what does not fit its parameter; a body that was decoded
// always does, one we have made ourselves may not.
func checkText(s []byte, f *spec) *FieldError {
	if len(s) >= f.size {
		return refuse(f.name, f.status, "has %d octets, at most %d are allowed", len(s), f.size-1)
	}
	if bytes.IndexByte(s, 0) >= 0 {
		return &FieldError{f.name, "has a NUL inside", f.status}
	}
	return nil
}

// checkSource refuses a source's TON, NPI or length. An empty source stands for
// the SMSC's default, and letters with a TON other than alphanumeric are too
// usual to refuse here.
func checkSource(a *Address, f *spec) *FieldError {
	if a.TON > TONAbbreviated {
		return refuse("source_addr_ton", ESME_RINVSRCTON, "is %d, at most %d is allowed", a.TON, TONAbbreviated)
	}
	if !knownNPI(a.NPI) {
		return refuse("source_addr_npi", ESME_RINVSRCNPI, "is %d, which no numbering plan has", a.NPI)
	}
	return checkText(a.Addr, f)
}

// checkDest refuses a destination's TON, NPI or length, an empty one and one
// that is not a number.
func checkDest(a *Address, f *spec) *FieldError {
	if a.TON > TONAbbreviated {
		return refuse("dest_addr_ton", ESME_RINVDSTTON, "is %d, at most %d is allowed", a.TON, TONAbbreviated)
	}
	if !knownNPI(a.NPI) {
		return refuse("dest_addr_npi", ESME_RINVDSTNPI, "is %d, which no numbering plan has", a.NPI)
	}
	if len(a.Addr) == 0 {
		return &FieldError{f.name, "is empty", f.status}
	}
	if e := checkText(a.Addr, f); e != nil {
		return e
	}
	digits := 0
	for i, c := range a.Addr {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '+' && i == 0, c == '*', c == '#':
		default:
			return &FieldError{f.name, "is not a number: digits, * and #, and one + in front, are allowed", f.status}
		}
	}
	if digits == 0 {
		return &FieldError{f.name, "has no digit", f.status}
	}
	return nil
}

// knownNPI reports whether v3.4 section 5.2.6 has v.
func knownNPI(v uint8) bool {
	const known = 1<<NPIUnknown | 1<<NPIISDN | 1<<NPIData | 1<<NPITelex | 1<<NPILandMobile |
		1<<NPINational | 1<<NPIPrivate | 1<<NPIERMES | 1<<NPIInternet | 1<<NPIWAP
	return v < 32 && known>>v&1 == 1
}

func refuse(field string, st Status, rule string, args ...any) *FieldError {
	return &FieldError{field, fmt.Sprintf(rule, args...), st}
}
