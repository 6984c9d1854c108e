package reminder

import (
	"encoding/binary"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"

	"masar/service"
)

// everything is a series with all fields set.
func everything() *Series {
	return &Series{
		Reminder: Reminder{
			Key: "وثيقة 1", Person: service.Person{1, 2, 3}, Expires: day("2027-06-20"), Calendar: UmmAlQura, Lead: []int{60, 7},
			Params: map[string]string{"document": "****3005", "place": "الرياض"}, Channel: "portal", By: "clerk 7",
			Created: time.UnixMilli(1790000000123).UTC(), Changed: time.UnixMilli(1790000000456).UTC(),
		},
		State: Pending, Run: 3, Step: 1, Next: time.Unix(1790000100, 0).UTC(),
		Steps: []Step{
			{Lead: 60, State: Failed, Try: 3, Due: time.Unix(1780000000, 0).UTC(), Message: 1 << 63, Err: "UNDELIV 001", At: time.Unix(1780000060, 0).UTC()},
			{Lead: 7, State: Coming, Due: time.Unix(1790000100, 0).UTC()},
		},
		Told: []Told{{day("2027-06-19"), 7, 1<<63 + 9}},
	}
}

func TestASeriesIsReadAsItWasWritten(t *testing.T) {
	plain := &Series{Reminder: Reminder{Key: "k", Number: 966500000001, Expires: day("2027-06-20"), Created: milli(1), Changed: milli(2)}, Steps: []Step{}}
	for name, s := range map[string]*Series{"everything": everything(), "the least": plain} {
		t.Run(name, func(t *testing.T) {
			got, account, code, err := readSeries(appendSeries(nil, s, 7, 9))
			if err != nil || account != 7 || code != 9 || !reflect.DeepEqual(got, s) {
				t.Fatalf("%+v\nwant %+v: %d %d %v", got, s, account, code, err)
			}
		})
	}
}

// What is on disk stays readable: the octets of a series as each version wrote it.
func TestASeriesOfEveryVersionIsRead(t *testing.T) {
	const first = "0107090cd988d8abd98ad982d8a920310301020300000000000000000000000000fac702023c070208646f63756d656e74082a2a2a2a3330303505706c6163650c" +
		"d8a7d984d8b1d98ad8a7d8b606706f7274616c07636c65726b2037f6b183c5986890b783c59868000301c8ef89ab0d023c03038094c5a10d80808080808080808001" +
		"0b554e44454c495620303031f894c5a10d070000c8ef89ab0d00000001f8c70207"
	const second = "02" + "07090cd988d8abd98ad982d8a920310301020300000000000000000000000000fac702023c070208646f63756d656e74082a2a2a2a3330303505706c6163650c" +
		"d8a7d984d8b1d98ad8a7d8b606706f7274616c07636c65726b2037f6b183c5986890b783c59868000301c8ef89ab0d023c03038094c5a10d80808080808080808001" +
		"0b554e44454c495620303031f894c5a10d070000c8ef89ab0d00000001f8c7020789808080808080808001"
	s := everything()
	if got := hex.EncodeToString(appendSeries(nil, s, 7, 9)); got != second {
		t.Errorf("%s\nwant %s", got, second)
	}
	for name, text := range map[string]string{"first": first, "second": second} {
		want := everything()
		if name == "first" {
			want.Told[0].Message = 0 // it was of another date, and not kept
		}
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		got, _, _, err := readSeries(append(b, "a newer program's field"...))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %+v %v", name, got, err)
		}
	}
}

// A step that is out as the first version wrote it: its message stands with the step.
func TestOfTheFirstVersionTheMessageOfTheStepThatIsOutIsKnown(t *testing.T) {
	s := everything()
	s.Steps[1].State, s.Steps[1].Message, s.Told = Out, 77, nil
	b := appendSeries(nil, s, 7, 9)
	b[0] = 1
	b = append(b[:len(b)-1], 1) // one told
	b = binary.AppendVarint(b, int64(dayNumber(s.Expires)))
	b = append(b, 7)
	got, _, _, err := readSeries(b)
	if want := []Told{{s.Expires, 7, 77}}; err != nil || !reflect.DeepEqual(got.Told, want) {
		t.Fatalf("%+v %v", got, err)
	}
}

func TestDamagedRowsAreRefused(t *testing.T) {
	whole := appendSeries(nil, everything(), 7, 9)
	for n := range whole {
		if _, _, _, err := readSeries(whole[:n]); err == nil {
			t.Errorf("%d of %d octets are read", n, len(whole))
		}
	}
	if _, _, _, err := readSeries(append([]byte{3}, whole[1:]...)); err == nil {
		t.Error("another version is read")
	}
	u := Unreached{Key: "A", Number: 966500000001, Service: "IDR", Expires: day("2027-06-20"), Lead: 7, Reason: "not_enrolled", Tries: 3, At: moment(1790000000)}
	row := appendUnreached(nil, &u, 9)
	u.Service = ""
	if got, code, err := readUnreached(row); err != nil || code != 9 || got != u {
		t.Errorf("%+v %d %v", got, code, err)
	}
	for n := range row {
		if _, _, err := readUnreached(row[:n]); err == nil {
			t.Errorf("%d of %d octets are read", n, len(row))
		}
	}
	m := Move{Days: -30, By: "clerk", Began: milli(1790000000456), Next: 77, MoveResult: MoveResult{Moved: 5, Past: 3}}
	row = m.append(nil, 7, 9)
	if got, account, code, err := readMove(row); err != nil || account != 7 || code != 9 || got != m {
		t.Errorf("%+v %v", got, err)
	}
	for n := range row {
		if _, _, _, err := readMove(row[:n]); err == nil {
			t.Errorf("%d of %d octets are read", n, len(row))
		}
	}
}

// A move that a program of the first version has begun.
func TestAMoveOfTheFirstVersionIsRead(t *testing.T) {
	m := Move{Days: -30, By: "clerk", Began: milli(1790000000456), Next: 77, MoveResult: MoveResult{Moved: 5}}
	row := m.append(nil, 7, 9)
	row[0] = 1
	if got, account, code, err := readMove(row[:len(row)-1]); err != nil || account != 7 || code != 9 || got != m {
		t.Errorf("%+v %v", got, err)
	}
	row[0] = 3
	if _, _, _, err := readMove(row); err == nil {
		t.Error("one of a newer version is read")
	}
}

func TestWhatOthersSayIsKeptShort(t *testing.T) {
	if got := bounded(strings.Repeat("ش", 200)); len(got) != 100 || !strings.HasPrefix(strings.Repeat("ش", 200), got) {
		t.Errorf("%d octets", len(got))
	}
	if got := bounded("x" + strings.Repeat("ش", 200)); len(got) != 99 {
		t.Errorf("%d octets", len(got))
	}
}

func FuzzReadSeries(f *testing.F) {
	f.Add(appendSeries(nil, everything(), 7, 9))
	f.Add([]byte{recordVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, account, code, err := readSeries(b)
		if err != nil {
			return
		}
		again, account2, code2, err := readSeries(appendSeries(nil, s, account, code))
		if err != nil || account2 != account || code2 != code {
			t.Fatalf("%+v: %v", s, err)
		}
		if !reflect.DeepEqual(again, s) && s.Expires == again.Expires && s.Created.Equal(again.Created) {
			// A Person of zeros is written as a number.
			if s.Person != (service.Person{}) || s.Reminder.Number != 0 {
				t.Fatalf("%+v\nis %+v", s, again)
			}
		}
	})
}

func FuzzReadUnreached(f *testing.F) {
	f.Add(appendUnreached(nil, &Unreached{Key: "A", Number: 1, Expires: day("2027-06-20"), Lead: 7, Reason: "x", Tries: 3}, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, code, err := readUnreached(b)
		if err != nil {
			return
		}
		if again, code2, err := readUnreached(appendUnreached(nil, &u, code)); err != nil || again != u || code2 != code {
			t.Fatalf("%+v\nis %+v: %v", u, again, err)
		}
	})
}

func FuzzReadMove(f *testing.F) {
	f.Add((&Move{Days: -30, By: "clerk", Next: 77, MoveResult: MoveResult{Moved: 5, Past: 3}}).append(nil, 7, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, account, code, err := readMove(b)
		if err != nil {
			return
		}
		if again, _, _, err := readMove(m.append(nil, account, code)); err != nil || again != m {
			t.Fatalf("%+v\nis %+v: %v", m, again, err)
		}
	})
}
