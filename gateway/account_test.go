package gateway

import (
	"net/netip"
	"testing"

	"masar/queue"
	"masar/smpp/pdu"
)

func TestSendersAnAccountMayUse(t *testing.T) {
	o := Account{Senders: []Sender{{Exact: "AHWAL"}, {Prefix: "MOI-"}, {From: 8000, To: 8099}, {Exact: "+966500000000"}}}
	for _, row := range []struct {
		source string
		want   bool
	}{
		{"AHWAL", true}, {"ahwal", false}, {"AHWAL2", false}, {"AHWA", false},
		{"MOI-PASS", true}, {"MOI-", true}, {"MOI", false},
		{"8000", true}, {"8050", true}, {"8099", true}, {"7999", false}, {"8100", false}, {"8050x", false},
		{"+966500000000", true}, {"966500000000", false}, {"", false},
	} {
		if got := o.maySendAs([]byte(row.source)); got != row.want {
			t.Errorf("%q: %v, want %v", row.source, got, row.want)
		}
	}
	if any := (&Account{}); !any.maySendAs([]byte("WHOEVER")) || !any.maySendAs(nil) {
		t.Error("an account without senders may use any")
	}
}

func TestServicesAnAccountMayUse(t *testing.T) {
	o := Account{Services: []string{"IDNEW", ""}}
	for service, want := range map[string]bool{"IDNEW": true, "": true, "IDREN": false, "idnew": false} {
		if got := o.maySendService([]byte(service)); got != want {
			t.Errorf("%q: %v, want %v", service, got, want)
		}
	}
	if only := (&Account{Services: []string{"IDNEW"}}); only.maySendService(nil) {
		t.Error("no service_type is not IDNEW")
	}
}

func TestClassByPriority(t *testing.T) {
	for _, row := range []struct {
		name       string
		class, max queue.Class
		priority   uint8
		want       queue.Class
	}{
		{"0 is the account's own", queue.Bulk, queue.Urgent, 0, queue.Bulk},
		{"1 is normal", queue.Bulk, queue.Urgent, 1, queue.Normal},
		{"1 is normal for an urgent account, too", queue.Urgent, queue.Urgent, 1, queue.Normal},
		{"2 is urgent", queue.Normal, queue.Urgent, 2, queue.Urgent},
		{"3 is urgent", queue.Normal, queue.Urgent, 3, queue.Urgent},
		{"never above the most", queue.Normal, queue.Normal, 3, queue.Normal},
		{"bulk stays bulk", queue.Bulk, queue.Bulk, 3, queue.Bulk},
		{"the own class is bounded as well", queue.Urgent, queue.Normal, 0, queue.Normal},
	} {
		o := Account{Class: row.class, MaxClass: row.max}
		if got := o.class(row.priority); got != row.want {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}

func TestBindsAnAccountMayMake(t *testing.T) {
	o := Account{
		BindTypes: []pdu.Command{pdu.CmdBindReceiver},
		Allow:     []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::/32")},
	}
	for _, row := range []struct {
		from string
		mode pdu.Command
		want bool
	}{
		{"10.1.2.3", pdu.CmdBindReceiver, true},
		{"::ffff:10.1.2.3", pdu.CmdBindReceiver, true},
		{"2001:db8::7", pdu.CmdBindReceiver, true},
		{"10.2.0.1", pdu.CmdBindReceiver, false},
		{"10.1.2.3", pdu.CmdBindTransceiver, false},
	} {
		if got := o.mayBind(netip.MustParseAddr(row.from), row.mode); got != row.want {
			t.Errorf("%v from %s: %v, want %v", row.mode, row.from, got, row.want)
		}
	}
	if any := (&Account{}); !any.mayBind(netip.MustParseAddr("192.0.2.1"), pdu.CmdBindTransmitter) {
		t.Error("without a list every address and bind is allowed")
	}
}
