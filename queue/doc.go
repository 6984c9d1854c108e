// Package queue says what a message is and which durable moves its life has.
//
// Store is the interface that every station of the gateway speaks; it takes Steps,
// each one durable move of one message, and hands out Claims, each one waiting
// message in one owner's hands. It never shows keys, batches or iterators, so that an
// embedded engine (queue/pebble) and a cluster of nodes can stand behind it.
//
//	message.go  Message, Delivery, Class, Lane, ID: the plain values
//	record.go   how a Message, a Delivery and their kin are written as octets
//	job.go      Job: on whose behalf the gateway made a message
//	step.go     the Steps
//	store.go    Store, Claim, Ref, View and the errors
//
// queue/queuetest is the suite that every Store passes. The package decides nothing:
// who may pull a lane, when to retry and what a receipt means is the gateway's.
package queue
