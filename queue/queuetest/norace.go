//go:build !race

package queuetest

const underRace = false
