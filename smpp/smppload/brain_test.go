package smppload

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/text"
)

func TestADestinationLeadsBackToItsNumber(t *testing.T) {
	for _, prefix := range []string{"9665", "96650", "9"} {
		n := newNumbering(prefix)
		seen := make(map[string]bool)
		for _, number := range []uint64{0, 1, 2, 9_999, n.space / 2, n.space - 1} {
			dest := append([]byte(prefix), make([]byte, n.digits)...)
			n.put(dest[len(prefix):], number)
			if back, ok := n.number(dest); !ok || back != number || len(dest) != destinationDigits || seen[string(dest)] {
				t.Fatalf("prefix %s: number %d -> %s -> %d, %v", prefix, number, dest, back, ok)
			}
			seen[string(dest)] = true
		}
		for _, wrong := range []string{"", prefix, "966512345", "1234567890123", "96651234567x", "861234567890"} {
			if got, ok := n.number([]byte(wrong)); ok {
				t.Errorf("prefix %s: %q is number %d", prefix, wrong, got)
			}
		}
	}
}

func TestNeighbouringNumbersGoToAllPrefixes(t *testing.T) {
	n := newNumbering("9665")
	seen := make(map[byte]int)
	for number := range uint64(1_000) {
		var d [8]byte
		n.put(d[:], number)
		seen[d[0]]++
	}
	for digit := byte('0'); digit <= '9'; digit++ {
		if seen[digit] < 50 {
			t.Errorf("of 1000 destinations %d begin 9665%c", seen[digit], digit)
		}
	}
}

func TestATemplateIsAWholeSubmitSMWithItsNumber(t *testing.T) {
	long := "تذكير "
	for len(long) < 900 {
		long += "بموعدكم "
	}
	for _, row := range []struct {
		name, text, want string
		payload          bool
	}{
		{"gsm", "Reference {n}.", "Reference 00123456.", false},
		{"ucs2", "رقم {n} شكرا", "رقم 00123456 شكرا", false},
		{"no place for the number", "Hello", "Hello 00123456", false},
		{"extension table", "[€] {n}", "[€] 00123456", false},
		{"message_payload", long + "{n}", long + "00123456", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			o, err := Options{Addr: "x", Count: 1, From: "AHWAL", ServiceType: "IDREN", Receipts: true}.withDefaults()
			if err != nil {
				t.Fatal(err)
			}
			tmpl, err := newTemplate(o, row.text)
			if err != nil {
				t.Fatal(err)
			}
			n := newNumbering(o.Prefix)
			octets := tmpl.append([]byte("before"), &n, 123456, 77)[len("before"):]
			h := pdu.ParseHeader(octets)
			if int(h.Length) != len(octets) || h.Command != pdu.CmdSubmitSM || h.Sequence != 77 {
				t.Fatalf("header %+v of %d octets", h, len(octets))
			}
			var sm pdu.SubmitSM
			if err := sm.Decode(octets[pdu.HeaderLen:]); err != nil {
				t.Fatal(err)
			}
			if number, ok := n.number(sm.Dest.Addr); !ok || number != 123456 {
				t.Errorf("destination %s is number %d, %v", sm.Dest.Addr, number, ok)
			}
			e, _ := text.Codings{Default: text.GSM7}.Encoding(sm.DataCoding)
			if got, err := text.Decode(sm.Content(), e); err != nil || got != row.want {
				t.Errorf("text %q, %v; want %q", got, err, row.want)
			}
			if (len(sm.ShortMessage) == 0) != row.payload || sm.RegisteredDelivery != pdu.RegisteredFinal || string(sm.ServiceType) != "IDREN" {
				t.Errorf("%+v", sm)
			}
		})
	}
}

func TestPercentilesAreWithinTwoPercent(t *testing.T) {
	var h histogram
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]time.Duration, 100_000)
	for i := range all {
		all[i] = time.Duration(r.ExpFloat64()*3e6) * time.Nanosecond
		h.add(all[i])
	}
	slices.Sort(all)
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999} {
		want := all[int(q*float64(len(all)))]
		if got := h.quantile(q); float64(got) < 0.98*float64(want) || float64(got) > 1.02*float64(want)+1000 {
			t.Errorf("quantile %v: %s, want %s", q, got, want)
		}
	}
	if h.max != all[len(all)-1] || h.quantile(1) != h.max {
		t.Errorf("max %s, quantile(1) %s; want %s", h.max, h.quantile(1), all[len(all)-1])
	}
}

func TestEachBucketEndsWhereTheNextBegins(t *testing.T) {
	for i := range histogramLen - 1 {
		if top := bucketTop(i); bucketOf(top) != i || bucketOf(top+1) != i+1 {
			t.Fatalf("bucket %d ends at %d µs, which is in %d; the next is in %d", i, top, bucketOf(top), bucketOf(top+1))
		}
	}
}

func TestAReceiptThatCameFirstIsJudgedByTheResponse(t *testing.T) {
	l := newLedger(10, 1_000, false)
	l.sent(10, 0)
	l.sent(11, 0)
	if v, _, _ := l.receipt(10, []byte("a")); v != receiptFirst {
		t.Fatalf("verdict %d", v)
	}
	if before, strange := l.accepted(10, []byte("a")); strange || !before.Has(Receipted) {
		t.Fatalf("before %s, strange %v", before, strange)
	}
	l.receipt(11, []byte("b"))
	if _, strange := l.accepted(11, []byte("c")); !strange || l.Outcome(11).Has(Receipted) {
		t.Fatalf("a receipt for b was taken for c: %s", l.Outcome(11))
	}
	if v, _, _ := l.receipt(11, []byte("c")); v != receiptFirst {
		t.Fatalf("its own receipt is verdict %d", v)
	}
	if v, _, _ := l.receipt(11, []byte("c")); v != receiptAgain || !l.Outcome(11).Has(ReceiptTwin) {
		t.Fatalf("verdict %d, %s", v, l.Outcome(11))
	}
	for _, number := range []uint64{0, 12, 1 << 40} {
		if v, _, _ := l.receipt(number, []byte("x")); v != receiptUnsought {
			t.Errorf("receipt of %d, never sent: verdict %d", number, v)
		}
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	good := Options{Addr: "x", Count: 1}
	if _, err := good.withDefaults(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"no address":       func(o *Options) { o.Addr = "" },
		"no end":           func(o *Options) { o.Count = 0 },
		"window too large": func(o *Options) { o.Window = 1 << 16 },
		"rate below 0":     func(o *Options) { o.Rate = -1 },
		"letters":          func(o *Options) { o.Prefix = "96a" },
		"prefix too long":  func(o *Options) { o.Prefix = "966512345" },
		"too many":         func(o *Options) { o.Prefix, o.Count = "96651234", 10_001 },
		"binds below 0":    func(o *Options) { o.Binds = -1 },
	} {
		o := good
		change(&o)
		if _, err := o.withDefaults(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
