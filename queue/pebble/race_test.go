//go:build race

package pebble

// raceEnabled: figures of time and memory mean nothing here.
const raceEnabled = true
