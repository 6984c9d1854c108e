package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"sync/atomic"

	"masar/config"
	"masar/gateway"
)

// carrierTLS is the client side of TLS; nil: plain TCP.
func carrierTLS(t *config.CarrierTLS) (*tls.Config, error) {
	if t == nil || !t.Enabled {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CA != "" {
		pool, err := certPool(t.CA)
		if err != nil {
			return nil, err
		}
		out.RootCAs = pool
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, err
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// listenTLS is the server side of TLS.
func listenTLS(t *config.ListenTLS) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if t.ClientCA != "" {
		pool, err := certPool(t.ClientCA)
		if err != nil {
			return nil, err
		}
		out.ClientCAs, out.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	return out, nil
}

func certPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

// certificates are what the listeners show to clients, each listener's by its address. The
// map is made at the start and never changes; a reload swaps what its pointers point to,
// and the next handshake sees it.
type certificates map[string]*atomic.Pointer[tls.Config]

// listeners translates the listeners, and gives the certificates of those that speak TLS.
func listeners(c *config.Config) ([]gateway.Listener, certificates, error) {
	var out []gateway.Listener
	certs := certificates{}
	next, err := certs.prepare(c)
	if err != nil {
		return nil, nil, err
	}
	for _, l := range c.Listen {
		g := gateway.Listener{Addr: l.Addr, Allow: l.Allow, MaxSessions: l.MaxSessions}
		if now := next[l.Addr]; now != nil {
			current := new(atomic.Pointer[tls.Config])
			current.Store(now)
			certs[l.Addr] = current
			g.TLS = &tls.Config{
				MinVersion:         tls.VersionTLS12,
				GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.Load(), nil },
			}
		}
		out = append(out, g)
	}
	return out, certs, nil
}

// prepare reads the files of every listener that speaks TLS.
func (certificates) prepare(c *config.Config) (map[string]*tls.Config, error) {
	next := map[string]*tls.Config{}
	for i, l := range c.Listen {
		if l.TLS == nil {
			continue
		}
		t, err := listenTLS(l.TLS)
		if err != nil {
			return nil, fmt.Errorf("listen[%d] %s: %w", i, l.Addr, err)
		}
		next[l.Addr] = t
	}
	return next, nil
}

// swap puts what prepare has read into use, where there is a listener for it.
func (certs certificates) swap(next map[string]*tls.Config) {
	for addr, t := range next {
		if current := certs[addr]; current != nil {
			current.Store(t)
		}
	}
}

// tlsFiles are the sums of what the files of each TLS block hold, by the block's path: a
// certificate that is renewed under its old name is no difference of two configurations.
func tlsFiles(c *config.Config) (map[string]string, error) {
	sums := map[string]string{}
	add := func(block string, paths ...string) error {
		sum, err := fileSum(paths...)
		sums[block] = sum
		return err
	}
	for _, l := range c.Listen {
		if t := l.TLS; t != nil {
			if err := add("listen["+l.Addr+"].tls", t.Cert, t.Key, t.ClientCA); err != nil {
				return nil, err
			}
		}
	}
	for _, k := range c.Carriers {
		if t := k.TLS; t != nil && t.Enabled {
			if err := add("carriers["+k.Name+"].tls", t.Cert, t.Key, t.CA); err != nil {
				return nil, err
			}
		}
	}
	return sums, nil
}

func fileSum(paths ...string) (string, error) {
	h := sha256.New()
	for _, path := range paths {
		if path == "" {
			h.Write([]byte{0})
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%d:", len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
