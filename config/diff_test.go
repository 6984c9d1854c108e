package config

import (
	"strings"
	"testing"
)

const before = `
listen: [{addr: "127.0.0.1:2775"}]
accounts:
  - {system_id: a, password_hash: "$2a$10$...", throughput: 500/s}
  - {system_id: b, password_hash: "$2a$10$...", validity: {default: 1h}}
carriers:
  - {name: stc, addr: "h:1", system_id: m, password: one}
  - {name: zain, addr: "h:2", system_id: m, password: one, hours: {from: 08:00, to: 20:00}}
routes:
  - {name: x, prefix: [96650], carriers: [stc]}
  - {carriers: [stc, {failover: zain}]}
`

func TestDiffTellsWhatAReloadChanges(t *testing.T) {
	swap := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(before) }
	for _, tc := range []struct {
		name, after string
		want        []string
	}{
		{"nothing", before, nil},
		{"a rate", swap("500/s", "600/m"), []string{"~ accounts[a].throughput: 500/s -> 10/s"}},
		{"a secret", swap("addr: \"h:1\", system_id: m, password: one", "addr: \"h:1\", system_id: m, password: two"), []string{"~ carriers[stc].password: *** -> ***"}},
		{"the top that accounts follow", "validity: {default: 24h}" + before, []string{"~ validity.default: 48h -> 24h"}},
		{"an account's own", swap("default: 1h", "default: 2h"), []string{"~ accounts[b].validity.default: 1h -> 2h"}},
		{"own becomes the top's", swap(", validity: {default: 1h}", ""), []string{"~ accounts[b].validity.default: 1h -> 48h"}},
		{"a window that park follows", swap("throughput: 500/s", "throughput: 500/s, window: 7"), []string{"~ accounts[a].window: 1000 -> 7"}},
		{"one carrier for another", swap("name: zain", "name: mobily", "failover: zain", "failover: mobily"),
			[]string{"- carriers[zain]", "+ carriers[mobily]", "- routes[any to stc,zain]", "+ routes[any to stc,mobily]"}},
		{"a named route's carriers", swap("carriers: [stc]}", "carriers: [{carrier: stc, weight: 2}]}"),
			[]string{"~ routes[x].carriers: [{carrier: stc}] -> [{carrier: stc, weight: 2}]"}},
		{"a block that is gone", swap(", hours: {from: 08:00, to: 20:00}", ""), []string{"- carriers[zain].hours"}},
		{"a key inside a block", swap("to: 20:00", "to: 21:00"), []string{"~ carriers[zain].hours.to: 20:00 -> 21:00"}},
		{"a list from nothing", swap("throughput: 500/s", "throughput: 500/s, senders: [A, B]"), []string{"~ accounts[a].senders: (none) -> [A, B]"}},
		{"accounts in another order", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "accounts in another order" {
				lines := strings.Split(before, "\n")
				lines[3], lines[4] = lines[4], lines[3]
				tc.after = strings.Join(lines, "\n")
			}
			old, _ := mustParse(t, ParseOptions{}, before)
			now, _ := mustParse(t, ParseOptions{}, tc.after)
			var got []string
			for _, c := range Diff(old, now) {
				got = append(got, c.String())
			}
			if strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

func TestRoutesInAnotherOrderAreAChange(t *testing.T) {
	old, _ := mustParse(t, ParseOptions{}, before)
	lines := strings.Split(before, "\n")
	lines[9], lines[10] = lines[10], lines[9]
	now, _ := mustParse(t, ParseOptions{}, strings.Join(lines, "\n"))
	got := Diff(old, now)
	if len(got) != 1 || got[0].String() != "~ routes: x; any to stc,zain -> any to stc,zain; x" {
		t.Errorf("got %v", got)
	}
}
