package campaign

import (
	"time"

	"masar/number"
)

// A View is a campaign and how it comes along.
type View struct {
	Campaign
	NeedsRelease bool          // a second person has to release it before it starts
	Checked      int64         // rows that the check under way has done
	Progress     float64       // 0 to 1: of the check while it is checked, else the rows that have their end
	PerSecond    float64       // rows that ended, on the average of the last seconds
	Takes        time.Duration // at that rate, until the last; below 0: not known
}

// Tested is what became of a test send to one number.
type Tested struct {
	Number  number.E164
	Message uint64 // queue.ID; 0: refused
	Text    string
	Parts   int
	Err     error // why it was refused
}
