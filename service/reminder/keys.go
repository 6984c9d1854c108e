package reminder

import (
	"encoding/binary"
	"time"

	"masar/service"
)

// A key is one octet of kind and then fixed fields, big-endian, so that keys sort as their
// fields do. Moments are seconds since 1970.
const (
	kindBookmark = 'B' // job -> bookmark of a bulk file
	kindDue      = 'D' // next u64, series u64 -> hash of its key u64: what is to be done when
	kindKey      = 'K' // account u32, key -> series u64
	kindMove     = 'M' // id u64 -> a move of all dates that is not done yet
	kindName     = 'N' // kind u8, name -> number u32
	kindSeries   = 'S' // series u64 -> Series
	kindTotal    = 'T' // name -> u64
	kindUnreach  = 'U' // account u32, day u32, series u64, run u32, step u8 -> Unreached
	kindComing   = 'V' // account u32, due u64, series u64 -> service u32: messages that are to come
)

// Names of totals.
const (
	totalNumber  = "number"  // the highest number of a series that may be in use
	totalPending = "pending" // series that are not over
)

// Kinds of names.
const (
	accountName = 'a'
	serviceName = 's'
)

// Format is the version of the rows; a folder of a newer one is refused, an older one is
// read, and is of this one from then on.
const Format = 2

var be = binary.BigEndian

func seriesKey(k []byte, number uint64) []byte {
	return be.AppendUint64(append(k[:0], kindSeries), number)
}

func nameKey(k []byte, kind byte, name string) []byte {
	return append(append(k[:0], kindName, kind), name...)
}

func keyKey(k []byte, account uint32, key string) []byte {
	return append(be.AppendUint32(append(k[:0], kindKey), account), key...)
}

func dueKey(k []byte, at int64, number uint64) []byte {
	return be.AppendUint64(be.AppendUint64(append(k[:0], kindDue), uint64(max(at, 0))), number)
}

func comingKey(k []byte, account uint32, due int64, number uint64) []byte {
	return be.AppendUint64(be.AppendUint64(be.AppendUint32(append(k[:0], kindComing), account), uint64(max(due, 0))), number)
}

func unreachKey(k []byte, account uint32, day service.Day, number uint64, run uint32, step int) []byte {
	k = be.AppendUint32(append(k[:0], kindUnreach), account)
	k = be.AppendUint32(k, uint32(max(dayNumber(day), 0)))
	return append(be.AppendUint32(be.AppendUint64(k, number), run), byte(step))
}

func totalKey(k []byte, name string) []byte { return append(append(k[:0], kindTotal), name...) }

func bookmarkKey(k []byte, job string) []byte { return append(append(k[:0], kindBookmark), job...) }

func moveKey(k []byte, id uint64) []byte { return be.AppendUint64(append(k[:0], kindMove), id) }

// after is the first key behind all that begin with prefix. REQUIRES: not all of it is 0xFF.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; ; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
}

// Hash is of an account and a key (FNV-1a): what holds a series while it is changed.
func Hash(account, key string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [2]string{account, key} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xFF) * 1099511628211 // no octet of UTF-8
	}
	return h
}

// unix is t in seconds; zero for the zero time.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func moment(sec int64) time.Time {
	if sec == 0 {
		return time.Time{}
	}
	return time.Unix(sec, 0).UTC()
}

func milli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
