package pdu

// Bind is the body of bind_receiver, bind_transmitter and bind_transceiver
// (SMPP v3.4 sections 4.1.1 to 4.1.5).
type Bind struct {
	SystemID         []byte // at most 15 octets
	Password         []byte // at most 8 octets
	SystemType       []byte // at most 12 octets
	InterfaceVersion uint8  // 0x33, 0x34, 0x50
	AddrTON, AddrNPI uint8
	AddressRange     []byte // at most 40 octets
}

// Append implements Body.
func (p *Bind) Append(dst []byte) []byte {
	dst = appendC(dst, p.SystemID)
	dst = appendC(dst, p.Password)
	dst = appendC(dst, p.SystemType)
	dst = append(dst, p.InterfaceVersion, p.AddrTON, p.AddrNPI)
	return appendC(dst, p.AddressRange)
}

// Decode implements Body.
func (p *Bind) Decode(src []byte) error {
	c := cursor{rest: src}
	p.SystemID = c.cstring(&fSystemID)
	p.Password = c.cstring(&fPassword)
	p.SystemType = c.cstring(&fSystemType)
	p.InterfaceVersion = c.octet("interface_version")
	p.AddrTON = c.octet("addr_ton")
	p.AddrNPI = c.octet("addr_npi")
	p.AddressRange = c.cstring(&fAddressRange)
	c.end()
	return c.done()
}

// BindResp is the body of the three bind responses. With a status other than
// ESME_ROK peers leave it out.
type BindResp struct {
	SystemID []byte
	TLVs     TLVs // sc_interface_version
}

// Append implements Body.
func (p *BindResp) Append(dst []byte) []byte {
	return append(appendC(dst, p.SystemID), p.TLVs...)
}

// Decode implements Body. It takes a missing body, a system_id without NUL and
// an octet too many behind it.
func (p *BindResp) Decode(src []byte) error {
	c := cursor{rest: src}
	p.SystemID = c.leniently(&fSystemID)
	p.TLVs = c.tlvs()
	return c.done()
}

// Outbind is the body of outbind (SMPP v3.4 section 4.1.7).
type Outbind struct {
	SystemID, Password []byte
}

// Append implements Body.
func (p *Outbind) Append(dst []byte) []byte {
	return appendC(appendC(dst, p.SystemID), p.Password)
}

// Decode implements Body.
func (p *Outbind) Decode(src []byte) error {
	c := cursor{rest: src}
	p.SystemID = c.cstring(&fSystemID)
	p.Password = c.cstring(&fPassword)
	c.end()
	return c.done()
}
