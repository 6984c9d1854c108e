//go:build race

package main

// raceEnabled: the binary is built like the test.
const raceEnabled = true
