package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"masar/gateway"
	"masar/number"
	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/receipt"
	"masar/smpp/smpptest"
	"masar/smpp/text"
)

// testNumbersName is the carrier, its address and the route of test numbers.
const testNumbersName = "test-numbers"

// A testRange is numbers that never leave this process and end as their last digit says.
type testRange struct {
	From, To number.E164
	Delay    time.Duration  // from the simulated carrier's answer to its receipt
	Outcomes map[int]string // by last digit; a digit that is absent: testOutcomes'
}

// testOutcomes are the names of what may become of a message to a test number.
var testOutcomes = map[string]smpptest.Outcome{
	"DELIVRD":            {State: pdu.StateDelivered},
	"UNDELIV":            {State: pdu.StateUndeliverable},
	"EXPIRED":            {State: pdu.StateExpired},
	"REJECTD":            {State: pdu.StateRejected},
	"unknown-subscriber": {State: pdu.StateUndeliverable, Err: "001"},
	"never":              {NoReceipt: true},
}

// usualOutcomes are those of the last digits 0 to 9, where a range says nothing else.
var usualOutcomes = [10]string{
	"DELIVRD", "DELIVRD", "DELIVRD", "DELIVRD", "DELIVRD",
	"UNDELIV", "EXPIRED", "REJECTD", "unknown-subscriber", "never",
}

// What the simulated carrier of test numbers is like: as a real one in all but its fate.
const (
	testLatency = 20 * time.Millisecond
	testWindow  = 100
)

// testNumbers plays the carrier of test numbers. It begins with the daemon and lives
// until it ends, whether there are any: a reload may bring some.
//
//	t, err := newTestNumbers()           // once, before gateway.Start
//	swap, err := t.into(&setup, ranges)  // for each Setup, before gateway.Start and Reload
//	swap()                               // once nothing may fail any more
//	t.close()                            // after Gateway.Close
type testNumbers struct {
	smsc   *smpptest.SMSC
	ranges atomic.Pointer[testTable]
}

// testTable is the ranges by From, none of which overlaps another.
type testTable []testSpan

type testSpan struct {
	from, to number.E164
	outcomes [10]smpptest.Outcome
}

func newTestNumbers() (*testNumbers, error) {
	t := new(testNumbers)
	t.ranges.Store(new(testTable))
	smsc, err := smpptest.NewSMSC(smpptest.SMSCOptions{
		SystemID: testNumbersName, Latency: testLatency, Jitter: testLatency / 2,
		// What is still on its way when its range leaves the configuration is delivered.
		Outcome: func(dest []byte) (smpptest.Outcome, bool) { return t.ranges.Load().outcome(dest) },
	})
	t.smsc = smsc
	return t, err
}

// into puts the simulated carrier, its route and the function that tells test numbers into
// a Setup; without ranges nothing. The error names every range or name that is wrong. The
// simulated carrier goes by the new ranges from swap on.
func (t *testNumbers) into(s *gateway.Setup, ranges []testRange) (swap func(), err error) {
	table, err := newTestTable(ranges)
	if err != nil {
		return nil, err
	}
	swap = func() { t.ranges.Store(&table) }
	if len(ranges) == 0 {
		return swap, nil
	}
	for i := range s.Carriers {
		if s.Carriers[i].Name == testNumbersName {
			return nil, fmt.Errorf("carriers[%d]: the name %s is taken by the carrier of test_numbers; choose another", i, testNumbersName)
		}
	}
	for i := range s.Routes {
		if s.Routes[i].Name == testNumbersName {
			return nil, fmt.Errorf("routes[%d]: the name %s is taken by the route of test_numbers; choose another", i, testNumbersName)
		}
	}
	s.Carriers = append(s.Carriers, gateway.Carrier{
		Name: testNumbersName, Addrs: []string{testNumbersName}, Dial: t.dial, Identity: testNumbersName,
		SystemID: "masar", Transceivers: 1, Window: testWindow, Timers: smpp.DefaultTimers,
		Codings: text.Codings{Default: text.GSM7, One: text.ASCII},
		// Asked for always: how a message ended is then known even where its client did not ask.
		Receipts: gateway.CarrierReceipts{Ask: gateway.AlwaysAsk, Options: receipt.Options{Zone: time.UTC}},
	})
	s.Routes = append(s.Routes, gateway.Route{
		Name: testNumbersName, Carriers: []gateway.RouteCarrier{{Name: testNumbersName}},
		// Nothing but Setup.Test leads here: there is no such account.
		Accounts: []string{""},
	})
	s.Test = func(dest string) (string, bool) {
		_, is := table.find(dest)
		return testNumbersName, is
	}
	return swap, nil
}

// dial connects the gateway to the simulated carrier in memory.
func (t *testNumbers) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := smpptest.Pipe(64<<10, netip.MustParseAddrPort("127.0.0.1:1"))
	t.smsc.ServeConn(theirs)
	return ours, nil
}

func (t *testNumbers) close() error { return t.smsc.Close() }

func newTestTable(ranges []testRange) (testTable, error) {
	var all testTable
	var errs []error
	for i, r := range ranges {
		s := testSpan{from: r.From, to: r.To}
		if r.From == 0 || r.To < r.From || len(r.From.String()) != len(r.To.String()) {
			errs = append(errs, fmt.Errorf("test_numbers[%d]: %s-%s is no range: two numbers of as many digits, the lower first", i, r.From, r.To))
			continue
		}
		names := usualOutcomes
		for digit, name := range r.Outcomes {
			if digit < 0 || digit > 9 {
				errs = append(errs, fmt.Errorf("test_numbers[%d].outcomes: %d is no last digit: 0 to 9", i, digit))
				continue
			}
			names[digit] = name
		}
		for digit, name := range names {
			out, known := testOutcomes[name]
			if !known {
				errs = append(errs, fmt.Errorf("test_numbers[%d].outcomes.%d: %q is none of DELIVRD, UNDELIV, EXPIRED, REJECTD, unknown-subscriber, never", i, digit, name))
			}
			out.Delay = r.Delay
			s.outcomes[digit] = out
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b testSpan) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(all); i++ {
		if all[i].from <= all[i-1].to {
			errs = append(errs, fmt.Errorf("test_numbers: %s-%s and %s-%s overlap", all[i-1].from, all[i-1].to, all[i].from, all[i].to))
		}
	}
	return all, errors.Join(errs...)
}

// find is the range that a number is in.
func (t testTable) find(dest string) (*testSpan, bool) {
	n, ok := number.Of(dest)
	if !ok || len(t) == 0 {
		return nil, false
	}
	i, at := slices.BinarySearchFunc(t, n, func(s testSpan, n number.E164) int { return cmp.Compare(s.from, n) })
	if !at {
		i--
	}
	if i < 0 || n > t[i].to {
		return nil, false
	}
	return &t[i], true
}

// outcome is what the simulated carrier does.
func (t *testTable) outcome(dest []byte) (smpptest.Outcome, bool) {
	s, ok := t.find(string(dest))
	if !ok {
		return smpptest.Outcome{}, false
	}
	return s.outcomes[dest[len(dest)-1]-'0'], true
}
