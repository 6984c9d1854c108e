package admin

import (
	"context"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	lru "github.com/hashicorp/golang-lru/v2"

	"masar/ratelimit"
)

// Wrong keys are answered 401 so often for one address, and then 429: who tries keys gets
// no more work out of us than that. A right key is always let in, so that behind a proxy
// one partner's mistake does not lock the others out; 256 bits are not found by trying.
const (
	wrongPerSecond = 1.0 / 5
	wrongBurst     = 10
	wrongAddresses = 4096 // remembered at a time
)

// doorman knows who knocks.
type doorman struct {
	token string
	keys  func() *Keys
	now   func() time.Time
	log   *slog.Logger
	met   *metrics

	mu    sync.Mutex
	wrong *lru.Cache[netip.Addr, *ratelimit.Bucket]
}

func newDoorman(o *Options, met *metrics) *doorman {
	wrong, err := lru.New[netip.Addr, *ratelimit.Bucket](wrongAddresses)
	if err != nil {
		panic(err) // the size is a constant
	}
	return &doorman{token: o.Token, keys: o.Keys, now: o.Now, log: o.Log, met: met, wrong: wrong}
}

// caller is who sends a request over TCP; nil: nobody we know, and refused says why.
func (d *doorman) caller(authorization string) (c *caller, refused string) {
	given, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok || given == "" {
		return nil, "a key is needed: Authorization: Bearer KEY (api.keys, or the token of admin.token_file)"
	}
	if d.token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(d.token)) == 1 {
		return &caller{name: "admin", user: "admin", channel: "admin", scopes: everyScope}, ""
	}
	var key *APIKey
	if d.keys != nil {
		key = d.keys().find(HashKey(given))
	}
	switch {
	case key == nil:
		return nil, "the key is unknown or has been revoked"
	case !key.Expires.IsZero() && !d.now().Before(key.Expires):
		return nil, fmt.Sprintf("key %s has expired on %s", key.Name, key.Expires.Format(time.DateOnly))
	}
	return &caller{name: key.Name, user: key.Name, channel: key.Channel, scopes: key.Scopes &^ scopeOperator, account: key.Account, services: key.Services}, ""
}

// refuse counts a wrong key and tells how long its sender should leave us alone; 0: this
// one is answered like any other.
func (d *doorman) refuse(r string, authorization, why string) (wait time.Duration) {
	d.met.refused.Inc()
	from := remote(r)
	d.mu.Lock()
	b, ok := d.wrong.Get(from)
	if !ok {
		fresh := ratelimit.NewBucket(wrongPerSecond, wrongBurst)
		b = &fresh
		d.wrong.Add(from, b)
	}
	wait = b.Take(d.now(), 1)
	d.mu.Unlock()
	if wait == 0 { // so the log is limited with it
		d.log.Warn("API key refused", slog.String("from", from.String()), slog.String("key", maskedKey(authorization)), slog.String("why", why))
	}
	return wait
}

// remote is whom a wrong key counts for: the address, of IPv6 the network of one site.
func remote(addr string) netip.Addr {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.Addr{} // no network: one bucket for all of those
	}
	a := ap.Addr().Unmap()
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// maskedKey tells two wrong keys apart without telling them: the beginning of the hash.
func maskedKey(authorization string) string {
	given, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok || given == "" {
		return "none"
	}
	return HashKey(given).String()[:len(keyHashPrefix)+8] + "..."
}

// UserHeader names who uses the command line, so that a campaign may be released by a
// second person there too. It counts over the socket file alone, which only the gateway's
// own user may open: over TCP the key says who it is.
const UserHeader = "Masar-User"

const userMost = 64 // characters of UserHeader

// localUser is who asks over the socket.
func localUser(header string) (user string, ok bool) {
	if header == "" {
		return "cli", true
	}
	if utf8.RuneCountInString(header) > userMost || strings.ContainsFunc(header, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", false
	}
	return "cli:" + header, true
}

// ofOperator tells whether a caller's user is the gateway's operator's. No key has such a
// name: see NewKeys.
func ofOperator(user string) bool {
	return user == "admin" || user == "cli" || strings.HasPrefix(user, "cli:")
}

type callerKey struct{}

// guard is the middleware of an operation that needs all of these scopes.
func (d *doorman) guard(api huma.API, local bool, need Scopes) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		c := &caller{name: "cli", user: "cli", channel: "cli", scopes: everyScope}
		if local {
			user, ok := localUser(ctx.Header(UserHeader))
			if !ok {
				huma.WriteErr(api, ctx, http.StatusUnprocessableEntity, "validation failed",
					mistake("header."+UserHeader, nil, fmt.Sprintf("has 1 to %d printable characters", userMost)))
				return
			}
			c.user = user
		} else {
			var why string
			if c, why = d.caller(ctx.Header("Authorization")); c == nil {
				status := http.StatusUnauthorized
				if wait := d.refuse(ctx.RemoteAddr(), ctx.Header("Authorization"), why); wait > 0 {
					status, why = http.StatusTooManyRequests, "too many wrong keys from this address"
					ctx.SetHeader("Retry-After", seconds(wait))
				} else {
					ctx.SetHeader("WWW-Authenticate", `Bearer realm="masar"`)
				}
				huma.WriteErr(api, ctx, status, why)
				return
			}
		}
		if lacks := need &^ c.scopes; lacks != 0 {
			d.met.forbidden.Inc()
			huma.WriteErr(api, ctx, http.StatusForbidden, fmt.Sprintf("key %s lacks the scope %s", c.name, lacks))
			return
		}
		next(huma.WithValue(ctx, callerKey{}, c))
	}
}

// from is the caller of a request that guard let in.
func from(ctx context.Context) *caller { return ctx.Value(callerKey{}).(*caller) }
