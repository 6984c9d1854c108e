//go:build race

package interop

// The daemon is built as its test is: go test -race finds its races, too.
func init() { buildFlags = append(buildFlags, "-race") }
