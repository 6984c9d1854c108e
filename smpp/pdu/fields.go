package pdu

import (
	"bytes"
	"fmt"
)

// FieldError says which parameter of a PDU breaks which rule, and the status
// to answer it with.
type FieldError struct {
	Field  string // "destination_addr", as the specification spells it
	Rule   string // "has no NUL within 21 octets"
	Status Status // ESME_RINVDSTADR
}

// Error returns "destination_addr has no NUL within 21 octets (ESME_RINVDSTADR)".
func (e *FieldError) Error() string {
	return e.Field + " " + e.Rule + " (" + e.Status.String() + ")"
}

// spec is a C-octet string parameter: its name, its greatest size with the
// NUL, and the status that refuses it.
type spec struct {
	name   string
	size   int
	status Status
}

// The C-octet string parameters (SMPP v3.4 section 5.2).
var (
	fSystemID     = spec{"system_id", 16, ESME_RINVSYSID}
	fPassword     = spec{"password", 9, ESME_RINVPASWD}
	fSystemType   = spec{"system_type", 13, ESME_RINVSYSTYP}
	fAddressRange = spec{"address_range", 41, ESME_RBINDFAIL} // no status of its own
	fServiceType  = spec{"service_type", 6, ESME_RINVSERTYP}
	fSource       = spec{"source_addr", 21, ESME_RINVSRCADR}
	fDest         = spec{"destination_addr", 21, ESME_RINVDSTADR}
	fLongSource   = spec{"source_addr", 65, ESME_RINVSRCADR}
	fLongDest     = spec{"destination_addr", 65, ESME_RINVDSTADR}
	fESME         = spec{"esme_addr", 65, ESME_RINVDSTADR}
	fSchedule     = spec{"schedule_delivery_time", 17, ESME_RINVSCHED}
	fValidity     = spec{"validity_period", 17, ESME_RINVEXPIRY}
	fFinalDate    = spec{"final_date", 17, ESME_RINVEXPIRY}
	fMessageID    = spec{"message_id", 65, ESME_RINVMSGID}
	fListName     = spec{"dl_name", 21, ESME_RINVDLNAME}
)

// cursor reads the parameters of one body in order. After the first error it
// returns zero values and keeps that error: a body's Decode reads as the list
// of its parameters and asks once, at the end.
type cursor struct {
	rest []byte
	err  *FieldError
}

// done returns the error as an error, and nil as a nil interface.
func (c *cursor) done() error {
	if c.err != nil {
		return c.err
	}
	return nil
}

// octet reads a one-octet integer.
func (c *cursor) octet(name string) uint8 {
	if len(c.rest) == 0 {
		c.short(name)
		return 0
	}
	v := c.rest[0]
	c.rest = c.rest[1:]
	return v
}

// cstring reads a C-octet string and returns it without its NUL.
func (c *cursor) cstring(f *spec) []byte {
	rest := c.rest
	if len(rest) > f.size {
		rest = rest[:f.size]
	}
	// Most are empty: service_type, schedule_delivery_time, validity_period.
	if len(rest) > 0 && rest[0] == 0 {
		c.rest = c.rest[1:]
		return rest[:0:0]
	}
	n := bytes.IndexByte(rest, 0)
	if n < 0 {
		c.unended(f)
		return nil
	}
	c.rest = c.rest[n+1:]
	return rest[:n:n]
}

// unended records a C-octet string without NUL: its own status if the maximum
// passed without one, ESME_RINVCMDLEN if the body was over before.
func (c *cursor) unended(f *spec) {
	if len(c.rest) < f.size {
		c.short(f.name)
		return
	}
	c.fail(f.name, fmt.Sprintf("has no NUL within %d octets", f.size), f.status)
}

// octets reads n octets.
func (c *cursor) octets(name string, n int, st Status) []byte {
	if len(c.rest) < n {
		c.fail(name, fmt.Sprintf("is to have %d octets, %d are left", n, len(c.rest)), st)
		return nil
	}
	v := c.rest[:n:n]
	c.rest = c.rest[n:]
	return v
}

// address reads type_of_number, numbering_plan_indicator and the address.
func (c *cursor) address(f *spec) Address {
	if len(c.rest) < 3 {
		c.short(f.name)
		return Address{}
	}
	a := Address{TON: c.rest[0], NPI: c.rest[1]}
	c.rest = c.rest[2:]
	a.Addr = c.cstring(f)
	return a
}

// tlvs reads what is left as TLVs.
func (c *cursor) tlvs() TLVs {
	if len(c.rest) == 0 || c.err != nil {
		return nil
	}
	t, err := validTLVs(c.rest)
	c.rest = nil
	c.err = err
	return t
}

// end refuses octets behind the last parameter of a PDU that has no TLVs. A
// v5.0 peer may send TLVs with any PDU, so whole TLVs are let pass.
func (c *cursor) end() {
	c.tlvs()
}

func (c *cursor) short(name string) {
	c.fail(name, "is missing: the body ends before it is whole", ESME_RINVCMDLEN)
}

func (c *cursor) fail(name, rule string, st Status) {
	if c.err == nil {
		c.err = &FieldError{name, rule, st}
	}
	c.rest = nil
}

// appendC writes s and a NUL. A NUL inside s ends it.
func appendC(dst, s []byte) []byte {
	if n := bytes.IndexByte(s, 0); n >= 0 {
		s = s[:n]
	}
	return append(append(dst, s...), 0)
}

// Address is an address with its type_of_number and numbering_plan_indicator.
type Address struct {
	TON, NPI uint8
	Addr     []byte // without NUL
}

func (a *Address) append(dst []byte) []byte {
	return appendC(append(dst, a.TON, a.NPI), a.Addr)
}
