package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"masar/admin"
	"masar/config"
	"masar/number"
	"masar/service"
	subscribers "masar/service/pebble"
)

// wantsRegistry reports whether a configuration has anything to do with subscribers. A
// plain gateway keeps none: no folder, no memory.
func wantsRegistry(c *config.Config) bool {
	return c.Catalogue != nil || c.Blocklist.File != "" || c.Subscribers.Dir != "" || c.Subscribers.KeyFile != ""
}

// standingOctets is what a number in the registry's cache takes, people and enrolments
// included.
const standingOctets = 700

// openRegistry opens the subscribers, and their key.
func openRegistry(ctx context.Context, c *config.Config, o subscribers.Options) (service.Registry, *service.Key, error) {
	key, err := registryKey(c)
	if err != nil {
		return nil, nil, err
	}
	if err := checkKey(c.SubscribersDir(), c.SubscribersKeyFile(), key); err != nil {
		return nil, nil, fmt.Errorf("subscribers.key_file: %w", err)
	}
	r, err := subscribers.Open(ctx, o)
	if err != nil {
		return nil, nil, fmt.Errorf("subscribers: %w", err)
	}
	return r, key, nil
}

// registryOptions are what a configuration says about the registry.
func registryOptions(c *config.Config) subscribers.Options {
	s := &c.Subscribers
	return subscribers.Options{
		Dir: c.SubscribersDir(), Cache: max(s.Cache, 1), MinFree: given(int64(c.Store.MinFree)),
		Limits: service.Limits{
			UnknownTimes: s.Unknown.Times, UnknownDays: s.Unknown.Days, CodeTries: s.Code.Tries,
			People: s.People, Keep: c.API.Bulk.Keep,
		},
	}
}

// registryKey is the key that references are hashed with. It is made where the registry
// is: beside one that holds people already a new key would find none of them.
func registryKey(c *config.Config) (*service.Key, error) {
	if !c.Subscribers.Key.IsZero() { // config has read the file that was named
		key, err := service.ParseKey(c.Subscribers.Key.Reveal())
		if err != nil {
			return nil, fmt.Errorf("subscribers.key_file: %s: %w", c.Subscribers.KeyFile, err)
		}
		return &key, nil
	}
	dir, path := c.SubscribersDir(), c.SubscribersKeyFile()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeKey(dir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribers.key_file: %w", err)
	}
	key, err := service.ParseKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("subscribers.key_file: %s: %w", path, err)
	}
	return &key, nil
}

// makeKey writes a new key for a registry that is new itself.
func makeKey(dir, path string) ([]byte, error) {
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return nil, fmt.Errorf("%s is missing, and %s holds people whom no other key finds: bring the file back", path, dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	var random [32]byte
	rand.Read(random[:]) // never fails
	text := []byte(hex.EncodeToString(random[:]) + "\n")
	return text, writeWhole(path, text)
}

// keyMark is the file of the registry's folder that tells its key from another one.
const keyMark = "key.check"

// checkKey refuses another key than the registry's people were hashed with: with it nobody
// is found, withdrawals included, and who withdrew would be enrolled again by the next file.
// A registry without the mark gets that of the key it is opened with.
func checkKey(dir, path string, key *service.Key) error {
	sum := key.Person("masar: which key is this?")
	want := hex.EncodeToString(sum[:])
	mark := filepath.Join(dir, keyMark)
	have, err := os.ReadFile(mark)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		return writeWhole(mark, []byte(want+"\n"))
	case err != nil:
		return err
	case strings.TrimSpace(string(have)) != want:
		return fmt.Errorf("%s is not the key that the people of %s were hashed with (%s): bring that one back", path, dir, keyMark)
	}
	return nil
}

// writeWhole writes a file whole or not at all, and on the disk before anything is done
// with what it says.
func writeWhole(path string, text []byte) error {
	made := path + ".new"
	file, err := os.OpenFile(made, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(made, path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// apiKeys are the keys of the HTTP API.
func apiKeys(c *config.Config) (*admin.Keys, error) {
	var all []admin.APIKey
	for i := range c.API.Keys {
		k := &c.API.Keys[i]
		scopes, err := admin.ParseScopes(k.Scopes)
		if err != nil {
			return nil, fmt.Errorf("api.keys[%d] %s: %w", i, k.Name, err)
		}
		hash, err := admin.ParseKeyHash(k.KeyHash.Reveal())
		if err != nil {
			return nil, fmt.Errorf("api.keys[%d] %s: %w", i, k.Name, err)
		}
		one := admin.APIKey{Name: k.Name, Hash: hash, Channel: k.Channel, Scopes: scopes, Account: k.Account}
		if len(k.Services) > 0 {
			one.Services = k.Services
		}
		if !k.Expires.IsZero() {
			one.Expires = k.Expires.End(c.TimeZone.Location())
		}
		all = append(all, one)
	}
	return admin.NewKeys(all)
}

// verification is how numbers are verified.
func verification(c *config.Config) admin.Codes {
	return admin.Codes{
		Service: c.Subscribers.Code.Service, Account: c.Subscribers.Account,
		TTL: c.Subscribers.Code.TTL, Digits: c.Subscribers.Code.Digits,
	}
}

// testRanges are the test numbers.
func testRanges(c *config.Config) []testRange {
	var all []testRange
	for i := range c.TestNumbers {
		t := &c.TestNumbers[i]
		from, _ := number.Of(t.Range.From)
		to, _ := number.Of(t.Range.To)
		one := testRange{From: from, To: to, Delay: t.Delay, Outcomes: map[int]string{}}
		for digit, name := range t.Outcomes {
			if len(digit) == 1 {
				one.Outcomes[int(digit[0]-'0')] = name
			}
		}
		all = append(all, one)
	}
	return all
}
