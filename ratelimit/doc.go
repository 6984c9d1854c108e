// Package ratelimit says when the next part may go.
//
//	bucket.go  Bucket: a token bucket, for an account's throughput
//	pace.go    Pace: a carrier's bucket that gives way when the carrier throttles
//	ramp.go    its climb after an outage; Climb: how long so much will take then
//	meter.go   what went in the last second, and in the busiest one
//
// Both are brains: the time is a parameter, there is no lock, no timer and no
// goroutine. Whoever owns one guards it, reads the clock once a turn and sleeps for the
// wait it is told. The package knows neither accounts nor carriers nor statuses.
package ratelimit
