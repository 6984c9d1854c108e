package pdu

// DataSM is the body of data_sm (SMPP v3.4 section 4.7.1). The message is in
// the TLV message_payload.
type DataSM struct {
	ServiceType        []byte  // at most 5 octets
	Source, Dest       Address // addresses of at most 64 octets
	ESMClass           uint8
	RegisteredDelivery uint8
	DataCoding         uint8
	TLVs               TLVs
}

// Append implements Body.
func (p *DataSM) Append(dst []byte) []byte {
	dst = appendC(dst, p.ServiceType)
	dst = p.Source.append(dst)
	dst = p.Dest.append(dst)
	dst = append(dst, p.ESMClass, p.RegisteredDelivery, p.DataCoding)
	return append(dst, p.TLVs...)
}

// Decode implements Body.
func (p *DataSM) Decode(src []byte) error {
	c := cursor{rest: src}
	p.ServiceType = c.cstring(&fServiceType)
	p.Source = c.address(&fLongSource)
	p.Dest = c.address(&fLongDest)
	p.ESMClass = c.octet("esm_class")
	p.RegisteredDelivery = c.octet("registered_delivery")
	p.DataCoding = c.octet("data_coding")
	p.TLVs = c.tlvs()
	return c.done()
}

// Content returns the octets of message_payload.
func (p *DataSM) Content() []byte {
	v, _ := p.TLVs.Get(TagMessagePayload)
	return v
}

// AlertNotification is the body of alert_notification (SMPP v3.4 section
// 4.12.1): Source can be reached again, and ESME had asked to be told.
type AlertNotification struct {
	Source, ESME Address // of at most 64 octets
	TLVs         TLVs    // ms_availability_status
}

// Append implements Body.
func (p *AlertNotification) Append(dst []byte) []byte {
	dst = p.Source.append(dst)
	dst = p.ESME.append(dst)
	return append(dst, p.TLVs...)
}

// Decode implements Body.
func (p *AlertNotification) Decode(src []byte) error {
	c := cursor{rest: src}
	p.Source = c.address(&fLongSource)
	p.ESME = c.address(&fESME)
	p.TLVs = c.tlvs()
	return c.done()
}
