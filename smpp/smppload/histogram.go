package smppload

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets whose width grows with them: 64 for each
// doubling, so a percentile is at most 1.6% off. From 1 µs to an hour. Not for
// concurrent use; each bind has its own and Run merges them.
type histogram struct {
	counts [histogramLen]uint64
	n      uint64
	max    time.Duration
}

const (
	histogramFine = 6 // log2 of the buckets of one doubling
	histogramLen  = (32 - histogramFine + 2) << histogramFine
)

func bucketOf(us uint64) int {
	if us < 1<<histogramFine {
		return int(us)
	}
	shift := bits.Len64(us) - histogramFine - 1
	return min((shift<<histogramFine)+int(us>>shift), histogramLen-1)
}

// bucketTop is the greatest value in bucket i, in µs.
func bucketTop(i int) uint64 {
	if i < 1<<histogramFine {
		return uint64(i)
	}
	shift := i>>histogramFine - 1
	return uint64(i-shift<<histogramFine+1)<<shift - 1
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(uint64(max(0, d)/time.Microsecond))]++
	h.n++
	h.max = max(h.max, d)
}

func (h *histogram) merge(o *histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}

// quantile returns the duration that the share q of all is not above; 0 of none.
func (h *histogram) quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(q * float64(h.n))
	seen := uint64(0)
	for i, c := range h.counts {
		if seen += c; seen > rank || seen == h.n {
			return min(h.max, time.Duration(bucketTop(i))*time.Microsecond)
		}
	}
	return h.max
}
