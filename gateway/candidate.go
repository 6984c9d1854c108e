package gateway

import (
	"encoding/binary"
	"strconv"
	"time"
	"unicode/utf16"

	"masar/number"
	"masar/queue"
	"masar/route"
	"masar/service"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

// A candidate is a message on its way in, however it came: a client's submit_sm, or a
// Notice of the gateway's own. Who makes it has written into m what its sender chose:
// esm_class, protocol_id, priority, registered_delivery, the canonical data_coding, and
// Person, Personal, System and Template where they are known. admitMessage fills in the rest
// of m, or says why not; accept then makes the step that stores it.
type candidate struct {
	account *account
	o       *Account
	w       *world
	now     time.Time
	version uint8     // interface_version of the bind; 0: it came over none
	intern  *interner // of the session; nil: none

	m        *queue.Message
	source   pdu.Address // as written; octets of all these may alias a read buffer
	dest     pdu.Address
	service  []byte
	schedule []byte        // schedule_delivery_time; empty: due holds
	due      time.Time     // zero: at once
	validity []byte        // validity_period; empty: lasts holds
	lasts    time.Duration // 0: the service's or the account's default
	body     []byte
	tlvs     pdu.TLVs

	// Found on the way.
	rules   *rules    // nil: of no catalogue's service
	test    bool      // a test number
	dropped bool      // accepted to be ended: its service's choice for who is not enrolled
	leaves  time.Time // when it may leave; zero: now
	grp     *group    // its route
	lane    queue.Lane
}

// admitMessage asks all that does not depend on how the message came, in the order of the
// refusals' table. It does not allocate but for what the message keeps, and reads the disk
// at most for what is known of the number.
func (g *Gateway) admitMessage(q *candidate) refused {
	m := q.m
	m.Account = q.account.number
	m.Accepted = queue.At(q.now)
	if no := q.addresses(); no.why != Accepted {
		return no
	}
	if no := q.governed(); no.why != Accepted {
		return no
	}
	if no := g.mayReach(q); no.why != Accepted {
		return no
	}
	if no := q.times(); no.why != Accepted {
		return no
	}
	if no := q.text(); no.why != Accepted {
		return no
	}
	own(m, q.body, q.tlvs)
	if no := q.route(); no.why != Accepted {
		return no
	}
	if submits, _ := g.opt.Full(); submits {
		return refuse(DiskFull, "")
	}
	return refused{}
}

// accept makes the step that stores an admitted message.
func (q *candidate) accept(a *queue.Accept) {
	*a = queue.Accept{M: q.m, Short: q.o.MessageID == ShortID, Decimal: q.o.MessageID == DecimalID, Room: q.o.Room, Lane: q.lane}
	switch {
	case q.dropped:
		// Promotion ends it at once, as one whose enrolment ended while it waited.
		a.Due = q.m.Accepted
	case !q.leaves.IsZero():
		a.Due = queue.At(q.leaves)
	}
}

func (q *candidate) string(b []byte) string {
	if q.intern != nil {
		return q.intern.string(b)
	}
	return string(b)
}

// addresses sets the message's addresses: the sender allowed, the destination normalised,
// what the client wrote kept for its receipts. An empty source is settled by the service.
func (q *candidate) addresses() refused {
	m, o := q.m, q.o
	if source := q.source.Addr; len(source) > 0 || o.DefaultSender == "" && !q.w.governs(q.account.number) && !m.System {
		if !m.System && !o.maySendAs(source) {
			return refuse(SenderNotAllowed, printable(source))
		}
		m.Source = queue.Address{TON: q.source.TON, NPI: q.source.NPI, Addr: q.string(source)}
	} else if o.DefaultSender != "" {
		m.Source = alphanumericOrE164(o.DefaultSender)
	}
	written := &q.dest
	var buf [64]byte
	n, err := o.Numbers.read(buf[:0], written.Addr)
	if err != nil {
		return refuse(BadDestination, err.Error())
	}
	m.Dest = queue.Address{TON: written.TON, NPI: written.NPI, Addr: string(n)}
	if string(n) != string(written.Addr) {
		m.DestWritten = queue.Address{TON: written.TON, NPI: written.NPI, Addr: string(written.Addr)}
	}
	switch o.Numbers.TONNPI.Mode {
	case TONNPIFixed:
		m.Dest.TON, m.Dest.NPI = o.Numbers.TONNPI.TON, o.Numbers.TONNPI.NPI
	case TONNPIAuto:
		if len(n) > 6 {
			m.Dest.TON, m.Dest.NPI = pdu.TONInternational, pdu.NPIISDN
		}
	}
	if m.DestWritten.Addr == "" && (m.Dest.TON != written.TON || m.Dest.NPI != written.NPI) {
		m.DestWritten = queue.Address{TON: written.TON, NPI: written.NPI, Addr: m.Dest.Addr}
	}
	return refused{}
}

// governed finds the service and what follows from it: class and sender.
func (q *candidate) governed() refused {
	m := q.m
	m.Class = q.o.class(m.Priority)
	if !q.w.governs(q.account.number) && !m.System {
		if !q.o.maySendService(q.service) {
			return refuse(ServiceNotAllowed, printable(q.service))
		}
		m.ServiceType = q.string(q.service)
		return refused{}
	}
	r, why := q.w.granted(q.account.number, q.service, m.System)
	switch {
	case why == ForeignService && q.version >= 0x50:
		return refused{why, pdu.ESME_RSERTYPUNAUTH, printable(q.service)}
	case why != Accepted:
		return refuse(why, printable(q.service))
	case r == nil:
		return refused{} // the gateway's own, of no service
	}
	q.rules = r
	m.ServiceType = r.service.Code
	m.Class = queue.Class(r.service.Class)
	switch {
	case len(q.source.Addr) == 0 && r.sender.Addr != "":
		m.Source = r.sender
		return refused{}
	case m.System:
		return refused{} // answers come from the short code that was written to
	case m.Source.Addr == "":
		if !q.o.maySendAs(nil) {
			return refuse(SenderNotAllowed, "")
		}
		return refused{}
	}
	if reason := q.w.catalogue().MaySend(m.Source.Addr, r.service); reason != service.Allowed {
		return refuse(refusalOf(reason), m.Source.Addr)
	}
	return refused{}
}

// mayReach asks whether the number may be sent to: trial list, blocklist, enrolment.
func (g *Gateway) mayReach(q *candidate) refused {
	m := q.m
	m.World = q.w.generation
	if q.test = q.w.isTest(m.Dest.Addr); q.test {
		return refused{}
	}
	n, _ := number.Of(m.Dest.Addr)
	if !m.System && !q.o.mayTry(n) {
		return refuse(TrialNumber, "")
	}
	var st *service.Standing
	if reg := g.opt.Registry; reg != nil && n != 0 {
		var err error
		m.Checked = reg.Version(n)
		if st, err = reg.Lookup(g.ctx, n); err != nil {
			return refuse(RegistryFailed, err.Error())
		}
	}
	why, person := q.w.judge(m, q.rules, st, q.now)
	switch {
	case why == Accepted:
		m.Person = person
		return refused{}
	case (why == NotEnrolled || why == Unverified) && q.rules.service.Drop:
		q.dropped, m.World = true, 0 // whoever looks at it next asks again
		return refused{}
	}
	return refuse(why, "")
}

// times sets Due and Expires, and when the message may leave: not before the schedule that
// was asked for, and not outside the service's hours. A default validity counts from then.
func (q *candidate) times() refused {
	m, o, zone := q.m, q.o, q.o.Zone
	start, due := q.now, q.due
	if len(q.schedule) > 0 {
		asked, given, err := pdu.ParseTime(q.schedule, q.now, zone)
		if err != nil {
			return refuse(BadSchedule, err.Error())
		}
		if given {
			due = asked
		}
	}
	if !due.IsZero() {
		most := q.w.setup.MaxSchedule
		switch {
		case due.Before(q.now):
			return refuse(BadSchedule, "in the past")
		case due.After(q.now.Add(most)):
			return refuse(BadSchedule, "further ahead than "+most.String())
		}
		m.Due, start, q.leaves = queue.At(due), due, due
	}
	if q.rules != nil {
		if opens := q.w.catalogue().OpensAt(q.rules.service, start); opens.After(start) {
			start, q.leaves = opens, opens
		}
	}
	lasts := q.lasts
	if m.Stretch = lasts == 0; m.Stretch {
		if lasts = o.ValidityDefault; q.rules != nil && q.rules.service.Validity > 0 {
			lasts = q.rules.service.Validity
		}
	}
	end := start.Add(lasts)
	if len(q.validity) > 0 {
		until, given, err := pdu.ParseTime(q.validity, q.now, zone)
		switch {
		case err != nil:
			return refuse(BadValidity, err.Error())
		case given && !until.After(start):
			return refuse(BadValidity, "ends before the message may leave")
		case given:
			end, m.Stretch = until, false
		}
	}
	if most := start.Add(o.ValidityMax); end.After(most) {
		end = most
	}
	m.Expires = queue.At(end)
	return refused{}
}

// text judges the text and does to it what its service asks for.
func (q *candidate) text() refused {
	m := q.m
	if no := checkText(q.o, m.ESMClass, m.DataCoding, q.body, q.tlvs); no.why != Accepted {
		return no
	}
	if q.rules == nil || len(q.body) == 0 {
		return refused{}
	}
	e, known := storedCodings.Encoding(m.DataCoding)
	if !known || e == text.Binary {
		return refused{}
	}
	octets, parted := q.body, concatenated(m.ESMClass, q.tlvs)
	if m.ESMClass&pdu.ESMClassUDHI != 0 {
		_, _, n, err := text.ParseUDH(octets)
		if err != nil {
			return refuse(BrokenUDH, err.Error())
		}
		octets = octets[n:]
	}
	// A client's own parts are its own: their lengths are counted already.
	change := !parted && q.rules.text.MayChange(octets, e)
	links := mayLink(octets, e)
	if !change && !links {
		return refused{}
	}
	if parted && e == text.UCS2 {
		octets = octets[:len(octets)&^1]
	}
	txt, err := text.Decode(octets, e)
	if err != nil {
		// A client's own part may begin or end inside a surrogate pair; a link may stand
		// anywhere in it.
		txt = halves(octets)
	}
	if change {
		if changed := q.rules.text.Apply(txt); changed != txt {
			if err := q.rewrite(changed, e); err != nil {
				return refuse(BadText, err.Error())
			}
			txt = changed
		}
	}
	if links {
		if foreign, ok := q.w.catalogue().Links(txt, q.rules.service); !ok {
			return refuse(ForeignLink, printable([]byte(foreign)))
		}
	}
	return refused{}
}

// halves reads UCS-2 of which a surrogate pair may be cut: its half is U+FFFD.
func halves(octets []byte) string {
	units := make([]uint16, len(octets)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(octets[2*i:])
	}
	return string(utf16.Decode(units))
}

// rewrite makes another text the message's: in GSM 03.38 where that can write it, since
// that may be all the change was for.
func (q *candidate) rewrite(txt string, was text.Encoding) error {
	e := text.Choose(txt)
	body, err := text.Encode(nil, txt, e)
	if err != nil {
		return err
	}
	if e != was {
		coding := storedCodings.Coding(e)
		if class, has := text.Class(q.m.DataCoding); has {
			with, ok := text.WithClass(e, class)
			if !ok {
				return errNoClass
			}
			coding = with
		}
		q.m.DataCoding = coding
	}
	q.body = body
	return nil
}

// mayLink tells whether octets may hold a link: a point, or what is read as one in a host
// name, with something right behind it, or the ":/" of a scheme. It is wrong on one side only.
func mayLink(octets []byte, e text.Encoding) bool {
	if e != text.UCS2 {
		for i := 0; i+1 < len(octets); i++ {
			switch octets[i] {
			case '.':
				if next := octets[i+1]; next != ' ' && next != '\n' && next != '\r' { // é and its like are below the blank in GSM 03.38
					return true
				}
			case ':':
				if octets[i+1] == '/' {
					return true
				}
			}
		}
		return false
	}
	for i := 0; i+3 < len(octets); i += 2 {
		next := uint16(octets[i+2])<<8 | uint16(octets[i+3])
		switch uint16(octets[i])<<8 | uint16(octets[i+1]) {
		case '.', 0x3002, 0xFF0E, 0xFF61:
			if next > ' ' {
				return true
			}
		case ':':
			if next == '/' {
				return true
			}
		}
	}
	return false
}

// route finds the message's lane: the group its route leads to, less the carriers that may
// not carry it.
func (q *candidate) route() refused {
	m, w := q.m, q.w
	q.grp = w.route(route.Query{Dest: m.Dest.Addr, Source: m.Source.Addr, ServiceType: m.ServiceType, Account: m.Account, Class: uint8(m.Class)})
	if q.grp == nil {
		return refuse(NoRoute, "")
	}
	barred, why := w.bars(q.grp, q.rules, m, q.now)
	if why != Accepted {
		return refuse(why, q.grp.name+": "+whyBarred[why])
	}
	m.Barred = barred
	if !q.grp.takes(q.o, m, q.body, barred) {
		return refuse(TooLong, strconv.Itoa(len(q.body))+" octets")
	}
	q.lane = q.grp.lane(m, q.body)
	return refused{}
}
