package text

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// FuzzDecode: no octets panic; what decodes is valid text, encodes again where the
// encoding is one to one, and is refused only as ErrBadText.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x06\x2a\x06\x46"), uint8(UCS2))
	f.Add([]byte("\xfe\xff\x06\x45\xd8\x3d\xde\x00"), uint8(UCS2))
	f.Add([]byte("\xd8\x3d"), uint8(UCS2))
	f.Add([]byte("\x1b\x65\x1b\x1b\x00"), uint8(GSM7))
	f.Add([]byte("For\xeat"), uint8(Latin1))
	f.Add([]byte("a\x80"), uint8(ASCII))
	f.Fuzz(func(t *testing.T, octets []byte, enc uint8) {
		e := Encoding(enc % 5)
		s, err := Decode(octets, e)
		if err != nil {
			var bad *BadText
			if !errors.As(err, &bad) || bad.Offset < 0 || bad.Offset >= len(octets) || s != "" {
				t.Fatalf("%q, %v", s, err)
			}
			return
		}
		if e == UCS2 && ValidUCS2(octets) != nil {
			t.Fatal("decoded, but not valid")
		}
		if e != Binary && !utf8.ValidString(s) {
			t.Fatalf("%q is not UTF-8", s)
		}
		again, err := Encode(nil, s, e)
		if err != nil {
			t.Fatalf("%q does not encode: %v", s, err)
		}
		want := octets
		switch e {
		case UCS2:
			want = TrimBOM(octets)
		case GSM7: // several octets may mean one character: compare the texts
			back, err := Decode(again, e)
			if back != s || err != nil {
				t.Fatalf("%q came back as %q, %v", s, back, err)
			}
			return
		}
		if !bytes.Equal(again, want) {
			t.Fatalf("%x encodes as %x", want, again)
		}
	})
}

// FuzzSplit: parts join to the text, fit, are what the rules alone make of it, and none
// starts with a mark unless a cluster is oversize or the mark has nothing to hold on to.
func FuzzSplit(f *testing.F) {
	f.Add(strings.Repeat("تنتهي صلاحية هويتكم الوطنية ", 6), uint8(UDH8), uint8(0))
	f.Add(strings.Repeat("سُجِّلت ", 20), uint8(UDH16), uint8(5))
	f.Add(strings.Repeat("👨‍👩‍👧🇸🇦👍🏽", 20), uint8(SAR), uint8(0))
	f.Add(strings.Repeat("a€\r\n", 60), uint8(UDH8), uint8(0))
	f.Add("ب"+strings.Repeat("َ", 150)+strings.Repeat("ا", 80), uint8(UDH8), uint8(0))
	f.Add(strings.Repeat("ا", 65)+"لله\u200d\u0600123"+strings.Repeat("क्षि", 30), uint8(UDH8), uint8(9))
	f.Add(strings.Repeat("각한", 70), uint8(UDH8), uint8(0))
	f.Fuzz(func(t *testing.T, s string, style, space uint8) {
		st := Style(style % 3)
		e := Choose(s)
		parts, err := Split(s, e, st)
		switch {
		case errors.Is(err, ErrBadText):
			if utf8.ValidString(s) {
				t.Fatal("refused good text")
			}
			return
		case errors.Is(err, ErrTooManyParts):
			if _, room := Limits(e, st); Units(s, e) <= 200*room-200 { // clusters may waste, but not that much
				if n := len(slowSplit(s, e, st)); n <= MaxParts {
					t.Fatalf("refused %d parts", n)
				}
			}
			return
		case err != nil:
			t.Fatal(err)
		}
		if want := slowSplit(s, e, st); !slices.Equal(parts, want) {
			t.Fatalf("%q\nwant %q", parts, want)
		}
		checkParts(t, s, e, st, parts)
		spaced, err := Splitter{Encoding: e, Style: st, PreferSpace: int(space % 20)}.Append(nil, s)
		if err != nil && !errors.Is(err, ErrTooManyParts) {
			t.Fatal(err)
		}
		if err == nil {
			checkParts(t, s, e, st, spaced)
		}
		octets, err := Encode(nil, s, e)
		if err != nil {
			return // NUL
		}
		pieces, err := SplitOctets(nil, octets, e, st)
		if err != nil || len(pieces) != len(parts) {
			t.Fatalf("%d pieces of octets, %v, want %d", len(pieces), err, len(parts))
		}
		for i, p := range parts {
			if want, _ := Encode(nil, p, e); !bytes.Equal(want, pieces[i]) {
				t.Fatalf("piece %d: %x, want %x", i, pieces[i], want)
			}
		}
	})
}

func checkParts(t *testing.T, s string, e Encoding, st Style, parts []string) {
	t.Helper()
	if strings.Join(parts, "") != s {
		t.Fatalf("%q do not join to %q", parts, s)
	}
	single, room := Limits(e, st)
	if len(parts) == 1 {
		room = single
	}
	for i, p := range parts {
		if Units(p, e) > room || !utf8.ValidString(p) {
			t.Fatalf("part %d: %d units of %d, %q", i, Units(p, e), room, p)
		}
		if i == 0 || p == "" {
			continue
		}
		first, _ := utf8.DecodeRuneInString(p)
		last, _ := utf8.DecodeLastRuneInString(parts[i-1])
		if last == '\r' && first == '\n' {
			t.Fatalf("cut between CR and LF before part %d", i)
		}
		if unicode.Is(unicode.Mn, first) && !unicode.IsControl(last) && !unicode.Is(unicode.Cf, last) && !unicode.In(last, unicode.Zl, unicode.Zp) {
			// Only a cluster larger than a part may be cut before a mark.
			joined := strings.Join(parts[:i], "")
			if !oversizeAt(s, len(joined), e, room) {
				t.Fatalf("part %d starts with the mark %U", i, first)
			}
		}
	}
}

// oversizeAt says whether the cluster around the offset at is larger than room.
func oversizeAt(s string, at int, e Encoding, room int) bool {
	c := cutter{s: s, e: e}
	for from := 0; from < at; {
		n := c.clusterLen(from)
		if from+n > at {
			return Units(s[from:from+n], e) > room
		}
		from += n
	}
	return false
}

// FuzzUDH: no octets panic; a header read is inside the octets and a part is in range.
func FuzzUDH(f *testing.F) {
	f.Add([]byte("\x05\x00\x03\xab\x02\x01hello"))
	f.Add([]byte("\x06\x08\x04\xab\xcd\x03\x03"))
	f.Add([]byte("\x0b\x05\x04\x15\x82\x00\x00\x00\x03\x11\x02\x01"))
	f.Add([]byte("\x00"))
	f.Add([]byte("\xff\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, has, n, err := ParseUDH(b)
		if err != nil {
			var u *UDHError
			if !errors.As(err, &u) || u.Offset > len(b) || has || n != 0 || c != (Concat{}) {
				t.Fatalf("%+v, %t, %d, %v", c, has, n, err)
			}
			return
		}
		if n < 1 || n > len(b) || n != int(b[0])+1 {
			t.Fatalf("header of %d octets in %d", n, len(b))
		}
		if has != c.valid() || !has && c != (Concat{}) {
			t.Fatalf("%+v, %t", c, has)
		}
	})
}

// FuzzReassemble plays octets as parts, clock steps and expiries, and checks the bounds,
// the account of octets and that a whole message is the parts that were given.
func FuzzReassemble(f *testing.F) {
	f.Add([]byte{0, 1, 2, 1, 5, 0, 1, 2, 2, 5})
	f.Add([]byte{0, 1, 2, 1, 5, 0, 1, 2, 1, 6, 0, 1, 2, 2, 5, 7, 200, 0, 0, 0})
	f.Add([]byte{1, 9, 255, 255, 255, 2, 9, 3, 4, 0, 3, 9, 3, 3, 0, 7, 255, 0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		const maxSets, maxOctets = 4, 3000
		r := NewReassembler(maxSets, maxOctets, time.Minute)
		now := start
		for len(script) >= 5 {
			op, ref, total, seq, fill := script[0], script[1], script[2], script[3], script[4]
			script = script[5:]
			if op%8 == 7 {
				now = now.Add(time.Duration(ref) * time.Second)
				for _, gone := range r.Expire(now) {
					if len(gone.Parts) != int(gone.Concat.Total) || gone.Since.After(now) || !slices.ContainsFunc(gone.Parts, func(p []byte) bool { return p == nil }) {
						t.Fatalf("%+v", gone)
					}
				}
			} else {
				c := Concat{Ref: uint16(ref), Wide: op&1 != 0, SAR: op&2 != 0, Total: total, Seq: seq}
				part := bytes.Repeat([]byte{seq, fill}, int(fill))
				whole, done, err := r.Add(now, "key", c, part)
				if err != nil && (done || whole != nil) {
					t.Fatalf("done with %v", err)
				}
				if done && len(whole) != max(1, int(total)) {
					t.Fatalf("%d parts of %d", len(whole), total)
				}
				for i, p := range whole {
					if len(p) > 0 && total > 1 && p[0] != byte(i+1) {
						t.Fatalf("part %d is %x", i+1, p)
					}
				}
			}
			if r.Len()+len(r.dropped) > maxSets || r.Octets() > maxOctets || len(r.done) > maxSets {
				t.Fatalf("%d sets, %d dropped, %d octets, %d done", r.Len(), len(r.dropped), r.Octets(), len(r.done))
			}
		}
		r.Expire(now.Add(time.Hour))
		if r.Len() != 0 || r.Octets() != 0 || len(r.done) != 0 || r.first != nil || r.last != nil {
			t.Fatalf("%d sets, %d octets, %d done remain", r.Len(), r.Octets(), len(r.done))
		}
		if _, ok := r.Next(); ok {
			t.Fatal("Next of an empty one")
		}
	})
}
