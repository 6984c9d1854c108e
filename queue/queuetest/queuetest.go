package queuetest

import (
	"testing"
	"time"

	"masar/queue"
)

// Env is what one test asks of the store it opens. A zero number leaves the
// implementation's default; Media and Now are always set.
type Env struct {
	Media *Media
	Now   func() time.Time // may stand still, leap and step back

	Room        int64         // messages that may wait in all
	AccountRoom int64         // messages that may wait of one account and class
	OutboxMax   int64         // deliveries that may wait in one account's outbox
	History     time.Duration // how long a final message is found
	InboxSteps  int           // steps that may be handed over and not yet be durable
	ReadAhead   int           // messages of one lane held in memory; a hint
}

// Media is what a store's data lies on. It outlives a store: opening with the same Media
// again must find what the last one left. The suite opens one store at a time on it.
type Media struct {
	// Dir is an empty folder of the test's own, for stores that keep files.
	Dir string
	// State is the opener's own, for stores that keep their data elsewhere (a file
	// system in memory, a server): nil at the first opening, then as the opener left it.
	State any
	// Cut is set by an opener that can show a power cut: it returns the State that would
	// be found if power failed now, with about keep percent (0 to 100) of what was written but
	// not yet synced. It is called from Done, too. While it is nil the tests of power cuts are skipped
	// and others close the store in order instead.
	Cut func(keep int) any
	// Hold is set by an opener that can make its media slow: from its return until release
	// is called nothing that is written becomes durable. While it is nil the tests of it
	// are skipped.
	Hold func() (release func())
}

// A test is one promise, named as a sentence.
type test struct {
	name string
	env  Env
	run  func(*rig)
}

// Run tests that stores opened by open keep every promise of queue.Store. open fails the
// test itself when it cannot open; the suite closes what it opened.
func Run(t *testing.T, open func(t *testing.T, e Env) queue.Store) {
	for _, group := range [][]test{
		acceptTests, jobTests, laneTests, claimTests, sideTests, haltedTests, partTests, finalTests, rerouteTests, correlateTests, outboxTests,
		sweepTests, findTests, surveyTests, mobileTests, nameTests, roomTests, closeTests, cutTests, crowdTests, modelTests,
	} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				c.run(newRig(t, open, c.env))
			})
		}
	}
}
