//go:build race

package queuetest

// underRace: the race detector makes a move ten times as long and finds in few moves what
// it finds in many.
const underRace = true
