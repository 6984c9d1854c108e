//go:build race

package gateway

// raceEnabled: everything takes several times as long.
const raceEnabled = true
