package reminder

// PutStatus says what a Put did.
type PutStatus string

// What a Put does.
const (
	PutCreated   PutStatus = "created"
	PutMoved     PutStatus = "moved"     // its days are others now
	PutChanged   PutStatus = "changed"   // what it says, or to whom
	PutUnchanged PutStatus = "unchanged" // nothing was written
)

// A PutResult is what became of a Put.
type PutResult struct {
	Status    PutStatus
	Withdrawn bool // a message of it that waited was taken back
	Leaving   bool // one could not be: it is leaving, or has left
	View
}

// A PutOutcome is a PutResult of PutMany, or why there is none.
type PutOutcome struct {
	PutResult
	Err error // *FieldErrors, joined; else what failed
}

// A DeleteResult is what became of a Delete.
type DeleteResult struct {
	Withdrawn bool // a message of it that waited was taken back
	Leaving   bool // one could not be: it is leaving, or has left
}

// A MoveResult is what became of a Move, or would.
type MoveResult struct {
	Moved int64 `json:"moved"`
	Past  int64 `json:"past"` // their new date would be past: they stay as they are
}
