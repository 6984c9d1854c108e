package text

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2025, 3, 12, 10, 15, 0, 0, time.UTC)

// add expects the part to be kept, and want joined if the message is whole with it.
func add(t *testing.T, r *Reassembler, at time.Duration, key string, c Concat, part, want string) {
	t.Helper()
	whole, done, err := r.Add(start.Add(at), key, c, []byte(part))
	if err != nil {
		t.Fatalf("%+v %q: %v", c, part, err)
	}
	if got := string(bytes.Join(whole, nil)); got != want || done != (want != "") {
		t.Fatalf("%+v %q: %q, done %t, want %q", c, part, got, done, want)
	}
}

func TestPartsJoinInAnyOrder(t *testing.T) {
	for _, order := range [][]uint8{{1, 2, 3}, {3, 2, 1}, {2, 3, 1}, {3, 1, 2}} {
		r := NewReassembler(10, 1<<16, time.Minute)
		for i, seq := range order {
			want := ""
			if i == 2 {
				want = "abc"
			}
			add(t, r, 0, "k", Concat{Ref: 7, Total: 3, Seq: seq}, string('a'+rune(seq-1)), want)
		}
		if r.Len() != 0 || r.Octets() != 0 {
			t.Errorf("%v: %d sets and %d octets remain", order, r.Len(), r.Octets())
		}
	}
}

func TestMessagesOfOnePartAreWholeAtOnce(t *testing.T) {
	r := NewReassembler(1, 1, time.Minute) // no room for anything
	add(t, r, 0, "k", Concat{}, strings.Repeat("payload", 1000), strings.Repeat("payload", 1000))
	add(t, r, 0, "k", Concat{Ref: 1, Total: 1, Seq: 1}, "one", "one")
}

func TestReferencesOfDifferentKindsDoNotMix(t *testing.T) {
	r := NewReassembler(10, 1<<16, time.Minute)
	kinds := []struct {
		key string
		c   Concat
	}{
		{"a", Concat{Ref: 7, Total: 2}},
		{"a", Concat{Ref: 7, Total: 2, Wide: true}},
		{"a", Concat{Ref: 7, Total: 2, Wide: true, SAR: true}},
		{"a", Concat{Ref: 8, Total: 2}},
		{"b", Concat{Ref: 7, Total: 2}},
	}
	for seq := uint8(1); seq <= 2; seq++ {
		for i, k := range kinds {
			k.c.Seq = seq
			want := ""
			if seq == 2 {
				want = strings.Repeat(string('0'+rune(i)), 2)
			}
			add(t, r, 0, k.key, k.c, string('0'+rune(i)), want)
		}
	}
	// Another total is another message.
	add(t, r, 0, "a", Concat{Ref: 9, Total: 2, Seq: 1}, "x", "")
	add(t, r, 0, "a", Concat{Ref: 9, Total: 3, Seq: 2}, "y", "")
	if r.Len() != 2 {
		t.Errorf("%d sets, want 2", r.Len())
	}
}

func TestDuplicatesAreToldAndChangeNothing(t *testing.T) {
	r := NewReassembler(10, 1<<16, time.Minute)
	c1, c2 := Concat{Ref: 7, Total: 2, Seq: 1}, Concat{Ref: 7, Total: 2, Seq: 2}
	duplicate := func(at time.Duration, c Concat, part string) {
		t.Helper()
		before := r.Octets()
		if _, done, err := r.Add(start.Add(at), "k", c, []byte(part)); !errors.Is(err, ErrDuplicatePart) || done || r.Octets() != before {
			t.Fatalf("%+v: done %t, %v, %d octets after %d", c, done, err, r.Octets(), before)
		}
	}
	add(t, r, 0, "k", c1, "one", "")
	duplicate(time.Second, c1, "one")
	add(t, r, 2*time.Second, "k", c2, "two", "onetwo")
	duplicate(3*time.Second, c2, "two")
	duplicate(3*time.Second, c1, "one")
	// The reference used again, with another text: a new message.
	add(t, r, 4*time.Second, "k", c1, "new", "")
	add(t, r, 4*time.Second, "k", c2, "two", "newtwo")
	// Past the age the same octets are a new message, too.
	add(t, r, 4*time.Second+time.Minute, "k", c1, "new", "")
	if gone := r.Expire(start.Add(time.Hour)); len(gone) != 1 || r.Octets() != 0 {
		t.Errorf("%d expired, %d octets remain", len(gone), r.Octets())
	}
}

func TestAReferenceUsedAgainGivesUpTheOldMessage(t *testing.T) {
	r := NewReassembler(2, 1<<16, time.Minute)
	add(t, r, 0, "k", Concat{Ref: 7, Total: 2, Seq: 1}, "old", "")
	add(t, r, time.Second, "k", Concat{Ref: 7, Total: 2, Seq: 1}, "new", "")
	// Until it is told of, the old one takes its room.
	if _, _, err := r.Add(start, "k", Concat{Ref: 8, Total: 2, Seq: 1}, nil); !errors.Is(err, ErrReassemblyFull) {
		t.Errorf("third set: %v", err)
	}
	if at, ok := r.Next(); !ok || at.After(start) {
		t.Errorf("Next = %v, %t, want at once", at, ok)
	}
	gone := r.Expire(start.Add(2 * time.Second))
	if len(gone) != 1 || string(gone[0].Parts[0]) != "old" || gone[0].Parts[1] != nil {
		t.Fatalf("%+v", gone)
	}
	add(t, r, 2*time.Second, "k", Concat{Ref: 7, Total: 2, Seq: 2}, "two", "newtwo")
}

func TestWhatIsMissingExpires(t *testing.T) {
	r := NewReassembler(10, 1<<16, time.Minute)
	if _, ok := r.Next(); ok {
		t.Error("Next of an empty one")
	}
	add(t, r, 0, "a", Concat{Ref: 1, Total: 3, Seq: 3}, "3", "")
	add(t, r, 10*time.Second, "b", Concat{Ref: 2, Total: 2, Seq: 1}, "1", "")
	add(t, r, 50*time.Second, "a", Concat{Ref: 1, Total: 3, Seq: 1}, "1", "") // does not put it off
	if at, ok := r.Next(); !ok || !at.Equal(start.Add(time.Minute)) {
		t.Errorf("Next = %v, %t", at, ok)
	}
	if gone := r.Expire(start.Add(59 * time.Second)); gone != nil {
		t.Errorf("too early: %+v", gone)
	}
	gone := r.Expire(start.Add(time.Minute))
	if len(gone) != 1 || gone[0].Key != "a" || gone[0].Concat.Seq != 3 || !gone[0].Since.Equal(start) ||
		string(gone[0].Parts[0]) != "1" || gone[0].Parts[1] != nil || string(gone[0].Parts[2]) != "3" {
		t.Fatalf("%+v", gone)
	}
	if gone = r.Expire(start.Add(70 * time.Second)); len(gone) != 1 || gone[0].Key != "b" {
		t.Fatalf("%+v", gone)
	}
	if r.Len() != 0 || r.Octets() != 0 {
		t.Errorf("%d sets and %d octets remain", r.Len(), r.Octets())
	}
}

func TestRoomIsBoundedBySetsAndOctets(t *testing.T) {
	r := NewReassembler(3, 1<<20, time.Minute)
	for ref := range uint16(3) {
		add(t, r, 0, "k", Concat{Ref: ref, Total: 2, Seq: 1}, "x", "")
	}
	if _, _, err := r.Add(start, "k", Concat{Ref: 99, Total: 2, Seq: 1}, nil); !errors.Is(err, ErrReassemblyFull) {
		t.Errorf("fourth set: %v", err)
	}
	add(t, r, 0, "k", Concat{Ref: 1, Total: 2, Seq: 2}, "y", "xy") // what is there may still be completed

	const limit = 4000
	r = NewReassembler(1000, limit, time.Minute)
	full := 0
	for ref := range uint16(100) {
		for seq := uint8(1); seq <= 2; seq++ {
			_, _, err := r.Add(start, "k", Concat{Ref: ref, Total: 3, Seq: seq}, make([]byte, 134))
			if errors.Is(err, ErrReassemblyFull) {
				full++
			} else if err != nil {
				t.Fatal(err)
			}
			if r.Octets() > limit {
				t.Fatalf("%d octets", r.Octets())
			}
		}
	}
	if full == 0 {
		t.Error("never full")
	}
	// Empty parts of many parts each are bounded, too.
	r = NewReassembler(1000, limit, time.Minute)
	for ref := range uint16(1000) {
		_, _, _ = r.Add(start, "k", Concat{Ref: ref, Total: 255, Seq: 1}, nil)
	}
	if r.Len() > limit/(255*24) {
		t.Errorf("%d sets of 255 slots", r.Len())
	}
}

func TestPartsAreCopied(t *testing.T) {
	r := NewReassembler(3, 1<<20, time.Minute)
	frame := []byte("one")
	_, _, _ = r.Add(start, "k", Concat{Ref: 1, Total: 2, Seq: 1}, frame)
	copy(frame, "XXX")
	add(t, r, 0, "k", Concat{Ref: 1, Total: 2, Seq: 2}, "two", "onetwo")
}

func TestImpossiblePartsAreRefused(t *testing.T) {
	r := NewReassembler(3, 1<<20, time.Minute)
	for _, c := range []Concat{{Total: 2, Seq: 0}, {Total: 2, Seq: 3}, {Total: 0, Seq: 2}, {Total: 1, Seq: 2}} {
		if _, _, err := r.Add(start, "k", c, nil); !errors.Is(err, ErrBadConcat) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestWholeMessagesAreForgottenWithTheOldest(t *testing.T) {
	r := NewReassembler(2, 1<<20, time.Minute)
	for ref := range uint16(5) {
		add(t, r, 0, "k", Concat{Ref: ref, Total: 2, Seq: 1}, "x", "")
		add(t, r, 0, "k", Concat{Ref: ref, Total: 2, Seq: 2}, "y", "xy")
	}
	if len(r.done) != 2 || len(r.doneFifo) != 2 {
		t.Errorf("%d remembered, %d in line, want 2", len(r.done), len(r.doneFifo))
	}
	add(t, r, 0, "k", Concat{Ref: 0, Total: 2, Seq: 1}, "x", "") // no longer known
	if _, _, err := r.Add(start, "k", Concat{Ref: 4, Total: 2, Seq: 1}, []byte("x")); !errors.Is(err, ErrDuplicatePart) {
		t.Errorf("the newest: %v", err)
	}
}
