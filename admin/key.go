package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Scopes is a set of what a key may do.
type Scopes uint32

// The scopes.
const (
	ScopeEnrol       Scopes = 1 << iota
	ScopeWithdraw           // and erase
	ScopeRead               // subscribers, history, totals
	ScopeNumber             // change of number, recycled numbers
	ScopeBulk               // files; what they do asks for its own scope beside it
	ScopeExport             // every subscriber in one answer
	ScopeBlocklist          // numbers that get nothing
	ScopeNotices            // sending
	ScopeCatalogue          // services
	ScopeAllChannels        // sees and changes what other channels made
	ScopeReminders          // series of reminders before something expires
	ScopeCampaigns          // bulk sending: making, starting, stopping
	ScopeRelease            // the second person's word for a large campaign
	ScopeHalt               // holding back what waits or arrives, and ending it
	scopeOperator           // the gateway's own operation: never a key's

	everyScope = scopeOperator<<1 - 1
)

var scopeNames = [...]string{"enrol", "withdraw", "read", "number", "bulk", "export", "blocklist", "notices", "catalogue", "all-channels",
	"reminders", "campaigns", "release", "halt", "operator"}

// ParseScopes reads names of scopes; the error names the one that is none.
func ParseScopes(names []string) (s Scopes, err error) {
next:
	for _, name := range names {
		for i, n := range scopeNames[:len(scopeNames)-1] {
			if n == name {
				s |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("%q is no scope; there are %s", name, strings.Join(scopeNames[:len(scopeNames)-1], ", "))
	}
	return s, nil
}

// names are the scopes of s.
func (s Scopes) names() []string {
	all := []string{}
	for i, n := range scopeNames {
		if s&(1<<i) != 0 {
			all = append(all, n)
		}
	}
	return all
}

func (s Scopes) String() string { return strings.Join(s.names(), ", ") }

// KeyHash is the SHA-256 of a key, which is all that is kept of it. A key is 256 random
// bits, so there is nothing to guess at and a slow hash (bcrypt) would only slow the
// gateway: those exist for passwords that people choose.
type KeyHash [sha256.Size]byte

const keyHashPrefix = "sha256:"

var errKeyHash = errors.New("a key_hash is sha256: and 64 hex digits")

// ParseKeyHash reads "sha256:<64 hex digits>".
func ParseKeyHash(s string) (h KeyHash, err error) {
	digits, ok := strings.CutPrefix(s, keyHashPrefix)
	if !ok {
		return KeyHash{}, errKeyHash
	}
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != len(h) {
		return KeyHash{}, errKeyHash
	}
	copy(h[:], b)
	return h, nil
}

// String is what ParseKeyHash reads.
func (h KeyHash) String() string { return keyHashPrefix + hex.EncodeToString(h[:]) }

// HashKey is the hash of a key.
func HashKey(key string) KeyHash { return sha256.Sum256([]byte(key)) }

// NewKey makes a key of 256 random bits, and its hash.
func NewKey() (key string, h KeyHash) {
	var b [32]byte
	rand.Read(b[:]) // never fails
	key = "masar_" + base64.RawURLEncoding.EncodeToString(b[:])
	return key, HashKey(key)
}

// An APIKey lets one partner use the API.
type APIKey struct {
	Name     string // tells it apart in logs and refusals
	Hash     KeyHash
	Channel  string // what it makes is this channel's; without ScopeAllChannels it sees nothing else
	Scopes   Scopes
	Account  string    // system_id its notices, reminders and campaigns are sent under, and the only one whose it sees; empty: it sends none
	Services []string  // codes it may name; empty: all
	Expires  time.Time // zero: never
}

// Keys is every key in force. It never changes: a reload makes a new one, and a key that it
// lacks is revoked.
type Keys struct{ byHash map[KeyHash]*APIKey }

// NewKeys refuses two keys of one name or one hash, keys without a channel, and the names
// under which the operator himself is recorded.
func NewKeys(all []APIKey) (*Keys, error) {
	k := &Keys{byHash: make(map[KeyHash]*APIKey, len(all))}
	names := map[string]bool{}
	var errs []error
	for i := range all {
		key := all[i]
		switch {
		case key.Name == "" || key.Channel == "":
			errs = append(errs, fmt.Errorf("api.keys[%d]: a key needs a name and a channel", i))
		case ofOperator(key.Name):
			errs = append(errs, fmt.Errorf("api.keys[%d]: a key cannot be called %q: admin, cli and cli:NAME are the operator's own", i, key.Name))
		case names[key.Name]:
			errs = append(errs, fmt.Errorf("api.keys[%d]: a second key is called %q", i, key.Name))
		case k.byHash[key.Hash] != nil:
			errs = append(errs, fmt.Errorf("api.keys[%d]: %s has the key_hash of %s", i, key.Name, k.byHash[key.Hash].Name))
		default:
			names[key.Name] = true
			k.byHash[key.Hash] = &key
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return k, nil
}

// find is the key that hashes to h; nil: none. The map is looked up by a hash that a
// caller cannot steer, so how long that takes tells nothing of a key; the comparison is
// constant in time all the same.
func (k *Keys) find(h KeyHash) *APIKey {
	if k == nil {
		return nil
	}
	key := k.byHash[h]
	if key == nil || subtle.ConstantTimeCompare(key.Hash[:], h[:]) != 1 {
		return nil
	}
	return key
}

// A caller is whoever sends a request, once that is known.
type caller struct {
	name     string // the key's; "admin" with the token, "cli" over the socket
	user     string // who is answerable: name, but over the socket cli:NAME with the header Masar-User
	channel  string
	scopes   Scopes
	account  string
	services []string // nil: all
}

// sees tells whether something that a channel made is c's to see.
func (c *caller) sees(channel string) bool {
	return c.scopes&ScopeAllChannels != 0 || channel == c.channel
}

// only is what Change.Only is for c.
func (c *caller) only() string {
	if c.scopes&ScopeAllChannels != 0 {
		return ""
	}
	return c.channel
}
