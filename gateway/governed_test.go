package gateway

import (
	"context"
	"testing"

	"masar/queue"
	"masar/service"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// TestWhatAGovernedAccountMaySend asks admission one thing after the other.
func TestWhatAGovernedAccountMaySend(t *testing.T) {
	reg := newSubscribers()
	reg.enrol(ali, aliNo, "IDREN")
	cat := catalogueOf(t, func(o *service.Options) { o.Services[1].Text.StripTatweel = true })
	bubble(t, func(t *testing.T) {
		var got arrivals
		r := governedRig(t, reg, cat, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a")}})
		r.carrierUp("a")
		p := r.transceiver()
		for _, row := range []struct {
			name   string
			submit func(p *pdu.SubmitSM)
			status pdu.Status
			want   arrival // source and text, and coding
		}{
			{"an opt-in service to somebody enrolled", of("IDREN"), 0, arrival{source: "AHWAL", text: "hello"}},
			{"the service's sender for none", both(of("IDREN"), func(p *pdu.SubmitSM) { p.Source = pdu.Address{} }), 0, arrival{source: "AHWAL", text: "hello"}},
			{"a mandatory one to a stranger", both(of("IDNEW"), func(p *pdu.SubmitSM) { p.Dest.Addr = []byte("966509999999") }), 0, arrival{source: "AHWAL", text: "hello"}},
			{"an opt-in one to a stranger", both(of("IDREN"), func(p *pdu.SubmitSM) { p.Dest.Addr = []byte("966509999999") }), StatusNotEnrolled, arrival{}},
			{"a service in small letters", of("idren"), pdu.ESME_RINVSERTYP, arrival{}},
			{"a link to the service's domain", both(of("IDREN"), func(p *pdu.SubmitSM) { p.ShortMessage = []byte("see https://www.moi.gov.sa/x.") }), 0, arrival{source: "AHWAL", text: "see https://www.moi.gov.sa/x."}},
			{"a link elsewhere", both(of("IDREN"), func(p *pdu.SubmitSM) { p.ShortMessage = []byte("see evil.com/x") }), StatusForeignLink, arrival{}},
			{"a link without a point", both(of("IDREN"), func(p *pdu.SubmitSM) { p.ShortMessage = []byte("see http://3232235777/") }), StatusForeignLink, arrival{}},
			{"a link elsewhere in UCS-2", both(of("IDREN"), func(p *pdu.SubmitSM) {
				p.DataCoding, p.ShortMessage = 8, []byte("\x06\x45\x00 \x00e\x00v\x00i\x00l\x00.\x00c\x00o\x00m")
			}), StatusForeignLink, arrival{}},
			{"a link elsewhere in a client's own part", both(of("IDREN"), func(p *pdu.SubmitSM) {
				p.ESMClass, p.ShortMessage = pdu.ESMClassUDHI, []byte("\x05\x00\x03\x07\x02\x01see evil.com")
			}), StatusForeignLink, arrival{}},
			{"and behind half of a character", both(of("IDREN"), func(p *pdu.SubmitSM) {
				p.ESMClass, p.DataCoding, p.ShortMessage = pdu.ESMClassUDHI, 8, []byte("\x05\x00\x03\x07\x02\x01\xde\x00\x00 \x00e\x00v\x00i\x00l\x00.\x00c\x00o\x00m")
			}), StatusForeignLink, arrival{}},
			{"and before one", both(of("IDREN"), func(p *pdu.SubmitSM) {
				p.ESMClass, p.DataCoding, p.ShortMessage = pdu.ESMClassUDHI, 8, []byte("\x05\x00\x03\x07\x02\x01\x00e\x00v\x00i\x00l\x00.\x00c\x00o\x00m\x00 \xd8\x3d")
			}), StatusForeignLink, arrival{}},
			{"what is no text is not read", both(of("IDREN"), func(p *pdu.SubmitSM) { p.DataCoding, p.ShortMessage = 4, []byte("evil.com") }), 0, arrival{source: "AHWAL", text: "evil.com", coding: 4}},
			{"presentation forms are folded", both(of("IDREN"), func(p *pdu.SubmitSM) { p.DataCoding, p.ShortMessage = 8, []byte("\xfe\xe3\x06\x40") }), 0, arrival{source: "AHWAL", text: "\x06\x45\x06\x40", coding: 8}},
			{"but not in a client's own part", both(of("IDREN"), func(p *pdu.SubmitSM) {
				p.ESMClass, p.DataCoding, p.ShortMessage = pdu.ESMClassUDHI, 8, []byte("\x05\x00\x03\x07\x02\x01\xfe\xe3")
			}), 0, arrival{source: "AHWAL", text: "\x05\x00\x03\x07\x02\x01\xfe\xe3", coding: 8}},
			{"the service's own options", both(of("IDNEW"), func(p *pdu.SubmitSM) { p.DataCoding, p.ShortMessage = 0x18, []byte("\xfe\xe3\x06\x40") }), 0, arrival{source: "AHWAL", text: "\x06\x45", coding: 0x18}},
			{"what then is GSM goes as GSM", both(of("IDNEW"), func(p *pdu.SubmitSM) { p.DataCoding, p.ShortMessage = 8, []byte("\x00a\x06\x40") }), 0, arrival{source: "AHWAL", text: "a"}},
		} {
			n := len(got.list())
			if st := p.submitted(both(row.submit, func(p *pdu.SubmitSM) { p.RegisteredDelivery = 0 })); st != row.status {
				t.Errorf("%s: %v, want %v", row.name, st, row.status)
				continue
			}
			if row.status != pdu.ESME_ROK {
				continue
			}
			r.wait(row.name, func() bool { return len(got.list()) > n })
			if a := got.list()[n]; a.source != row.want.source || a.text != row.want.text || a.coding != row.want.coding {
				t.Errorf("%s: sent %q from %s as %#x", row.name, a.text, a.source, a.coding)
			}
		}
	})
}

func TestAForeignServiceHasItsOwnStatusOnAV50Bind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := governedRig(t, newSubscribers(), catalogueOf(t, nil), rigOptions{})
		for version, want := range map[uint8]pdu.Status{0x33: pdu.ESME_RINVSERTYP, 0x34: pdu.ESME_RINVSERTYP, 0x50: pdu.ESME_RSERTYPUNAUTH} {
			p := r.connect("")
			p.send(pdu.CmdBindTransmitter, &pdu.Bind{SystemID: []byte("acme"), Password: []byte("secret"), InterfaceVersion: version})
			p.expect(pdu.CmdBindTransmitter.Resp())
			if st := p.submitted(of("TRAFF")); st != want {
				t.Errorf("version %#x: %v, want %v", version, st, want)
			}
			if st := p.submitted(of("NONE")); st != pdu.ESME_RINVSERTYP {
				t.Errorf("version %#x, unknown: %v", version, st)
			}
		}
	})
}

func TestGrantsAreTheAccountsServicesElseItsAgencys(t *testing.T) {
	cat := catalogueOf(t, nil)
	for _, row := range []struct {
		name    string
		account func(a *Account)
		status  map[string]pdu.Status
	}{
		{"the agency's", nil, map[string]pdu.Status{"IDNEW": 0, "OTPEN": 0, "TRAFF": pdu.ESME_RINVSERTYP, "": pdu.ESME_RINVSERTYP}},
		{"some of them", func(a *Account) { a.Services = []string{"IDNEW"} }, map[string]pdu.Status{"IDNEW": 0, "OTPEN": pdu.ESME_RINVSERTYP}},
		{"some without an agency", func(a *Account) { a.Agency, a.Services = "", []string{"IDNEW", "TRAFF"} }, map[string]pdu.Status{"IDNEW": 0, "OTPEN": pdu.ESME_RINVSERTYP}},
		{"neither: the plain gateway", func(a *Account) { a.Agency = "" }, map[string]pdu.Status{"IDNEW": 0, "": 0, "XYZ": 0}},
	} {
		bubble(t, func(t *testing.T) {
			r := governedRig(t, newSubscribers(), cat, rigOptions{Setup: func(s *Setup) {
				if row.account != nil {
					row.account(&s.Accounts[0])
				}
			}})
			p := r.transmitter()
			for code, want := range row.status {
				if st := p.submitted(of(code)); st != want {
					t.Errorf("%s, %q: %v, want %v", row.name, code, st, want)
				}
			}
		})
	}
}

func TestTheServiceDecidesTheClass(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := governedRig(t, newSubscribers(), catalogueOf(t, nil), rigOptions{Setup: func(s *Setup) { s.Accounts[0].MaxClass = queue.Normal }})
		r.refuse("a:1", true)
		p := r.transmitter()
		for code, want := range map[string]queue.Class{"IDNEW": queue.Normal, "OTPEN": queue.Urgent} {
			for _, priority := range []uint8{0, 1, 3} {
				id := p.submit(both(of(code), func(p *pdu.SubmitSM) { p.PriorityFlag = priority }))
				if v := r.find(id); v.M.Class != want {
					t.Errorf("%s with priority %d: %v", code, priority, v.M.Class)
				}
			}
		}
	})
}

// find is a message by the id its client saw.
func (r *rig) find(shown string) queue.View {
	r.t.Helper()
	id, ok := new(Account).readID([]byte(shown))
	if !ok {
		r.t.Fatalf("no id: %q", shown)
	}
	v, err := r.store.Find(context.Background(), 0, id)
	if err != nil {
		r.t.Fatalf("%s: %v", shown, err)
	}
	return v
}
