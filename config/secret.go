package config

import (
	"fmt"
	"io"
	"log/slog"
)

const masked = "***"

// Secret is a value that no print, log line or marshaller shows: only Reveal does.
// The zero Secret is empty and prints nothing.
//
// It holds a pointer so that even fmt's walk over an unexported field, where no method
// is called, prints an address.
type Secret struct{ text *string }

// NewSecret hides s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{&s}
}

// Reveal returns what is hidden. Whoever calls it must not print it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether nothing is hidden.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal compares what is hidden.
func (s Secret) Equal(o Secret) bool { return s.Reveal() == o.Reveal() }

// String is "***", or "" for an empty secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return masked
}

// Format masks the secret under every verb, %#v and %x included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue masks the secret in slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText masks the secret in JSON and in everything else that knows text marshallers.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML masks the secret in YAML.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }
