package route

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestFindTakesTheLongestPrefixWhoseConditionsHold(t *testing.T) {
	rules := []Rule{
		0:  {Name: "default"},
		1:  {Name: "saudi", Prefixes: []string{"966"}},
		2:  {Name: "stc", Prefixes: []string{"96650", "96653"}},
		3:  {Name: "stc for 7", Prefixes: []string{"96650"}, Accounts: []uint32{7}},
		4:  {Name: "stc otp", Prefixes: []string{"96650"}, ServiceTypes: []string{"OTP"}, Classes: []uint8{0}},
		5:  {Name: "stc for 7 again", Prefixes: []string{"96650"}, Accounts: []uint32{7}},
		6:  {Name: "longer for 9 only", Prefixes: []string{"966505"}, Accounts: []uint32{9}},
		7:  {Name: "bank", Senders: []string{"BANK", "AB*"}},
		8:  {Name: "bulk anywhere", Classes: []uint8{2}},
		9:  {Name: "short", Prefixes: []string{"1900"}},
		10: {Name: "one number", Prefixes: []string{"966531234567"}},
	}
	table, err := NewTable(rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		q    Query
		want int
	}{
		{"nothing else fits", Query{Dest: "15551234", Class: 1}, 0},
		{"country", Query{Dest: "966541234567"}, 1},
		{"longest prefix", Query{Dest: "966501234567", Class: 1}, 2},
		{"second prefix of a rule", Query{Dest: "966539999999"}, 2},
		{"same prefix: the condition first, of two equal the first in the file", Query{Dest: "966501234567", Account: 7, Class: 1}, 3},
		{"same prefix: two conditions before one", Query{Dest: "966501234567", Account: 7, ServiceType: "OTP"}, 4},
		{"one of two conditions does not hold", Query{Dest: "966501234567", ServiceType: "OTP", Class: 1}, 2},
		{"a longer prefix whose account does not fit is passed over", Query{Dest: "966505234567", Account: 8, Class: 1}, 2},
		{"a longer prefix wins over more conditions", Query{Dest: "966505234567", Account: 9, ServiceType: "OTP"}, 6},
		{"sender", Query{Dest: "447700900123", Source: "BANK"}, 7},
		{"sender by its beginning", Query{Dest: "447700900123", Source: "ABSHER"}, 7},
		{"a sender is exact", Query{Dest: "447700900123", Source: "BANKX", Class: 1}, 0},
		{"case counts", Query{Dest: "447700900123", Source: "bank", Class: 1}, 0},
		{"class", Query{Dest: "447700900123", Class: 2}, 8},
		{"a prefix wins over a condition", Query{Dest: "966541234567", Class: 2}, 1},
		{"short code", Query{Dest: "1900"}, 9},
		{"shorter than its prefix", Query{Dest: "190"}, 0},
		{"whole number", Query{Dest: "966531234567"}, 10},
		{"longer than the whole number", Query{Dest: "9665312345678"}, 10},
		{"empty", Query{}, 0},
		{"not digits", Query{Dest: "9665x"}, 1},
		{"longer than any", Query{Dest: strings.Repeat("9", 60)}, 0},
		{"class out of range", Query{Dest: "1", Class: 200}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, ok := table.Find(row.q)
			if !ok || got != row.want {
				t.Errorf("found %d %q (%v), want %d %q", got, rules[got].Name, ok, row.want, rules[row.want].Name)
			}
		})
	}
	if i, ok := table.Named("bank"); !ok || i != 7 {
		t.Errorf("Named(bank) is %d, %v", i, ok)
	}
	if _, ok := table.Named(""); ok {
		t.Error("a rule without a name was found by it")
	}
}

func TestFindNothing(t *testing.T) {
	table, err := NewTable([]Rule{{Prefixes: []string{"966"}, Accounts: []uint32{1}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []Query{{Dest: "966501234567", Account: 2}, {Dest: "971", Account: 1}, {Account: 1}} {
		if got, ok := table.Find(q); ok {
			t.Errorf("%+v found %d", q, got)
		}
	}
	empty, _ := NewTable(nil)
	if _, ok := empty.Find(Query{Dest: "966"}); ok {
		t.Error("a table without rules found one")
	}
}

func TestNewTableReportsEveryMistake(t *testing.T) {
	_, err := NewTable([]Rule{
		{Name: "a", Prefixes: []string{"+966", "966", strings.Repeat("1", 21)}},
		{Senders: []string{"A*B", "", "ok*"}},
		{Name: "c", Classes: []uint8{64}},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`rule "a": prefixes: "+966" is not digits; write a country code and number without plus`,
		`rule "a": prefixes: "111111111111111111111" has 21 digits, at most 20 allowed`,
		`rule 1: senders: "A*B" has its * inside; only one at the end is understood`,
		`rule 1: senders: an empty sender matches nothing; leave senders out to allow all`,
		`rule "c": classes: 64 is no class`,
	} {
		if !strings.Contains(err.Error()+"\n", want+"\n") {
			t.Errorf("missing %q in\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 5 {
		t.Errorf("%d mistakes, want 5", n)
	}
}

// plainFind is the rule as it is written: all rules, one by one.
func plainFind(rules []Rule, q Query) (best int, ok bool) {
	bestLen, bestConds := -1, -1
	for i, r := range rules {
		length := -1
		for _, p := range r.Prefixes {
			if strings.HasPrefix(q.Dest, p) {
				length = max(length, len(p))
			}
		}
		if len(r.Prefixes) == 0 {
			length = 0
		}
		sender := len(r.Senders) == 0 || slices.ContainsFunc(r.Senders, func(s string) bool {
			p, cut := strings.CutSuffix(s, "*")
			return s == q.Source || cut && strings.HasPrefix(q.Source, p)
		})
		if length < 0 || !sender || len(r.Accounts) > 0 && !slices.Contains(r.Accounts, q.Account) ||
			len(r.ServiceTypes) > 0 && !slices.Contains(r.ServiceTypes, q.ServiceType) || len(r.Classes) > 0 && !slices.Contains(r.Classes, q.Class) {
			continue
		}
		conds := 0
		for _, n := range []int{len(r.Senders), len(r.Accounts), len(r.ServiceTypes), len(r.Classes)} {
			conds += min(n, 1)
		}
		if length > bestLen || length == bestLen && conds > bestConds {
			best, bestLen, bestConds, ok = i, length, conds, true
		}
	}
	return best, ok
}

func TestFindAgreesWithTheRulesReadOneByOne(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = '0' + byte(r.IntN(3))
		}
		return string(b)
	}
	some := func(n int, f func()) {
		if r.IntN(3) == 0 {
			for range 1 + r.IntN(n) {
				f()
			}
		}
	}
	senders := []string{"A", "AB", "ABC", "B", "BA", "X1"}
	for round := range 300 {
		rules := make([]Rule, r.IntN(60))
		for i := range rules {
			rule := &rules[i]
			for range r.IntN(3) {
				rule.Prefixes = append(rule.Prefixes, digits(1+r.IntN(4)))
			}
			some(12, func() { rule.Accounts = append(rule.Accounts, uint32(r.IntN(20))) })
			some(12, func() {
				rule.Senders = append(rule.Senders, senders[r.IntN(6)]+[]string{"", "*"}[r.IntN(2)])
			})
			some(2, func() { rule.ServiceTypes = append(rule.ServiceTypes, senders[r.IntN(3)]) })
			some(2, func() { rule.Classes = append(rule.Classes, uint8(r.IntN(3))) })
		}
		table, err := NewTable(rules)
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			q := Query{Dest: digits(r.IntN(7)), Source: senders[r.IntN(6)], ServiceType: senders[r.IntN(4)], Account: uint32(r.IntN(22)), Class: uint8(r.IntN(3))}
			got, ok := table.Find(q)
			want, wantOK := plainFind(rules, q)
			if ok != wantOK || ok && got != want {
				t.Fatalf("round %d: %+v found %d %v, want %d %v", round, q, got, ok, want, wantOK)
			}
		}
	}
}

func TestFindDoesNotAllocate(t *testing.T) {
	table, dests := thousandRules(t)
	i := 0
	if n := testing.AllocsPerRun(1000, func() { table.Find(Query{Dest: dests[i%len(dests)], Account: uint32(i), Source: "BANK"}); i++ }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// thousandRules are prefixes of 3 to 8 digits, a fifth of them with conditions.
func thousandRules(t testing.TB) (*Table, []string) {
	r := rand.New(rand.NewPCG(31, 32))
	rules, dests := []Rule{{}}, []string{}
	for i := 1; i < 1000; i++ {
		p := fmt.Sprintf("%d", 100_000_000+r.IntN(900_000_000))[:3+r.IntN(6)]
		rule := Rule{Prefixes: []string{p}}
		if i%5 == 0 {
			rule.Accounts = []uint32{uint32(i), uint32(i + 1)}
			rule.Senders = []string{"BANK", "AB*"}
		}
		rules = append(rules, rule)
		dests = append(dests, (p + "1234567890")[:12])
	}
	table, err := NewTable(rules)
	if err != nil {
		t.Fatal(err)
	}
	return table, dests
}

func BenchmarkFindAmongThousandRules(b *testing.B) {
	table, dests := thousandRules(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		table.Find(Query{Dest: dests[i%len(dests)], Source: "AHWAL", Account: uint32(i)})
	}
}

func BenchmarkFindAmongThousandRulesOfOnePrefix(b *testing.B) {
	rules := []Rule{{}}
	for i := range 1000 {
		rules = append(rules, Rule{Accounts: []uint32{uint32(i)}})
	}
	table, err := NewTable(rules)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		table.Find(Query{Dest: "966501234567", Account: uint32(i % 1000)})
	}
}
