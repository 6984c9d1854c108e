package route

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Rule sends what fulfils all its conditions to a group of carriers. An empty
// condition holds for everything.
type Rule struct {
	Name         string
	Prefixes     []string // of the destination, digits; empty: every destination
	Accounts     []uint32
	Senders      []string // exact as written, or "ABC*" for all that begin with ABC
	ServiceTypes []string
	Classes      []uint8 // below 64
	Group        uint16
}

// A Query is what a rule's conditions are held against.
type Query struct {
	Dest, Source, ServiceType string
	Account                   uint32
	Class                     uint8
}

// RuleError says what is wrong with one rule.
type RuleError struct {
	Rule  int    // index
	Name  string // the rule's, may be empty
	Field string // "prefixes", "senders", "service_types", "classes"
	What  string // `"96x" is not digits`
}

func (e *RuleError) Error() string {
	name := fmt.Sprintf("rule %d", e.Rule)
	if e.Name != "" {
		name = fmt.Sprintf("rule %q", e.Name)
	}
	return name + ": " + e.Field + ": " + e.What
}

// maxDigits is how long a prefix may be: destination_addr holds 20 characters (SMPP v3.4
// section 5.2.9).
const maxDigits = 20

// A few entries are compared one by one faster than they are hashed.
const few = 8

// A Table finds the rule for a message. It never changes once made, so any number of
// goroutines may ask it.
type Table struct {
	nodes []node // a trie on digits; 0 is the root
	conds []conditions
	named map[string]int
}

type node struct {
	next  [10]int32 // 0: none
	rules []int32   // by conditions, most first, then in order of the file

	// byAccount is set where many rules share a prefix and some name accounts: for each
	// account named, the rules that may hold for it, in the order above. Other accounts
	// use rules, which then has only those that name none.
	byAccount map[uint32][]int32
}

// conditions are a rule's, ready to be asked.
type conditions struct {
	accounts     []uint32 // sorted
	exact        []string
	exactSet     map[string]struct{} // instead of exact when there are more than few
	prefixes     []string
	serviceTypes []string
	classes      uint64 // bit a class; 0: any
	count        int    // how many of the four are set
}

// NewTable reports every mistake, each a *RuleError, joined.
func NewTable(rules []Rule) (*Table, error) {
	t := &Table{nodes: make([]node, 1, 64), conds: make([]conditions, len(rules)), named: map[string]int{}}
	var wrong []error
	for i := range rules {
		r := &rules[i]
		bad := func(field, what string, v ...any) {
			wrong = append(wrong, &RuleError{Rule: i, Name: r.Name, Field: field, What: fmt.Sprintf(what, v...)})
		}
		t.conds[i] = newConditions(r, bad)
		if _, taken := t.named[r.Name]; r.Name != "" && !taken {
			t.named[r.Name] = i
		}
		if len(r.Prefixes) == 0 {
			t.add("", i)
		}
		for _, p := range r.Prefixes {
			switch {
			case strings.Trim(p, "0123456789") != "":
				bad("prefixes", "%q is not digits; write a country code and number without plus", p)
			case len(p) > maxDigits:
				bad("prefixes", "%q has %d digits, at most %d allowed", p, len(p), maxDigits)
			default:
				t.add(p, i)
			}
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	for i := range t.nodes {
		t.arrange(&t.nodes[i])
	}
	return t, nil
}

func newConditions(r *Rule, bad func(field, what string, v ...any)) conditions {
	c := conditions{accounts: slices.Clone(r.Accounts), serviceTypes: slices.Clone(r.ServiceTypes)}
	slices.Sort(c.accounts)
	for _, s := range r.Senders {
		switch at := strings.IndexByte(s, '*'); {
		case s == "":
			bad("senders", "an empty sender matches nothing; leave senders out to allow all")
		case at < 0:
			c.exact = append(c.exact, s)
		case at == len(s)-1:
			c.prefixes = append(c.prefixes, s[:at])
		default:
			bad("senders", "%q has its * inside; only one at the end is understood", s)
		}
	}
	if len(c.exact) > few {
		c.exactSet = make(map[string]struct{}, len(c.exact))
		for _, s := range c.exact {
			c.exactSet[s] = struct{}{}
		}
		c.exact = nil
	}
	for _, class := range r.Classes {
		if class > 63 {
			bad("classes", "%d is no class", class)
			continue
		}
		c.classes |= 1 << class
	}
	for _, set := range []bool{len(r.Accounts) > 0, len(r.Senders) > 0, len(r.ServiceTypes) > 0, len(r.Classes) > 0} {
		if set {
			c.count++
		}
	}
	return c
}

func (t *Table) add(prefix string, rule int) {
	at := int32(0)
	for i := range len(prefix) {
		d := prefix[i] - '0'
		if t.nodes[at].next[d] == 0 {
			t.nodes = append(t.nodes, node{})
			t.nodes[at].next[d] = int32(len(t.nodes) - 1)
		}
		at = t.nodes[at].next[d]
	}
	n := &t.nodes[at]
	if last := len(n.rules) - 1; last < 0 || n.rules[last] != int32(rule) { // a prefix written twice
		n.rules = append(n.rules, int32(rule))
	}
}

func (t *Table) arrange(n *node) {
	slices.SortStableFunc(n.rules, func(a, b int32) int { return cmp.Compare(t.conds[b].count, t.conds[a].count) })
	if len(n.rules) <= few {
		return
	}
	var anyone []int32
	for _, r := range n.rules {
		if len(t.conds[r].accounts) == 0 {
			anyone = append(anyone, r)
		}
	}
	if len(anyone) == len(n.rules) {
		return
	}
	n.byAccount = map[uint32][]int32{}
	for _, r := range n.rules {
		for _, a := range t.conds[r].accounts {
			n.byAccount[a] = nil
		}
	}
	for a := range n.byAccount {
		var list []int32
		for _, r := range n.rules {
			if t.conds[r].allowsAccount(a) {
				list = append(list, r)
			}
		}
		n.byAccount[a] = list
	}
	n.rules = anyone
}

// Find returns the index of the rule for q: of those whose conditions all hold the one
// with the longest prefix, among equal prefixes the one with most conditions, then the
// first in the file. It does not allocate.
func (t *Table) Find(q Query) (rule int, ok bool) {
	var path [maxDigits + 1]int32 // nodes with rules on q.Dest's way, the root first
	depth := 0
	at := int32(0)
	for i := 0; ; i++ {
		n := &t.nodes[at]
		if len(n.rules) > 0 || n.byAccount != nil {
			path[depth] = at
			depth++
		}
		if i == len(q.Dest) {
			break
		}
		d := q.Dest[i] - '0'
		if d > 9 {
			break // not a number: prefixes shorter than this still hold
		}
		if at = n.next[d]; at == 0 {
			break
		}
	}
	for depth > 0 {
		depth--
		n := &t.nodes[path[depth]]
		list := n.rules
		if n.byAccount != nil {
			if own, named := n.byAccount[q.Account]; named {
				list = own
			}
		}
		for _, r := range list {
			if t.conds[r].hold(&q) {
				return int(r), true
			}
		}
	}
	return 0, false
}

// Named is the index of the first rule of that name.
func (t *Table) Named(name string) (rule int, ok bool) {
	rule, ok = t.named[name]
	return rule, ok
}

func (c *conditions) hold(q *Query) bool {
	if c.count == 0 {
		return true
	}
	return c.allowsAccount(q.Account) &&
		(c.classes == 0 || q.Class < 64 && c.classes>>q.Class&1 == 1) &&
		(len(c.serviceTypes) == 0 || slices.Contains(c.serviceTypes, q.ServiceType)) &&
		c.allowsSender(q.Source)
}

func (c *conditions) allowsAccount(a uint32) bool {
	if len(c.accounts) == 0 {
		return true
	}
	if len(c.accounts) <= few {
		return slices.Contains(c.accounts, a)
	}
	_, found := slices.BinarySearch(c.accounts, a)
	return found
}

func (c *conditions) allowsSender(s string) bool {
	if len(c.exact) == 0 && c.exactSet == nil && len(c.prefixes) == 0 {
		return true
	}
	if slices.Contains(c.exact, s) {
		return true
	}
	if _, found := c.exactSet[s]; found {
		return true
	}
	for _, p := range c.prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
