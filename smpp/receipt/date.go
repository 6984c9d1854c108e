package receipt

import "time"

// parseDate reads the digits of submit date or done date in the carrier's zone: 10 are
// YYMMDDhhmm, 14 YYYYMMDDhhmmss, 12 YYMMDDhhmmss where that is a real date and time, else
// YYYYMMDDhhmm. Separators are skipped; a letter that is no T between digits ends it (a
// vendor's field follows). Zeros, blanks, impossible dates and other lengths: the zero
// time. By hand: time.Parse costs more than all the rest of a receipt.
func parseDate(b []byte, zone *time.Location) time.Time {
	var d [14]byte
	n := 0
digits:
	for i, c := range b {
		switch {
		case '0' <= c && c <= '9':
			if n == len(d) {
				return time.Time{}
			}
			d[n] = c - '0'
			n++
		case (c|0x20) == 't' && n > 0 && i+1 < len(b) && '0' <= b[i+1] && b[i+1] <= '9':
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			break digits
		}
	}
	two := func(i int) int { return int(d[i])*10 + int(d[i+1]) }
	switch n {
	case 10:
		return date(2000+two(0), two(2), two(4), two(6), two(8), 0, zone)
	case 12:
		if t := date(2000+two(0), two(2), two(4), two(6), two(8), two(10), zone); !t.IsZero() {
			return t
		}
		return date(two(0)*100+two(2), two(4), two(6), two(8), two(10), 0, zone)
	case 14:
		return date(two(0)*100+two(2), two(4), two(6), two(8), two(10), two(12), zone)
	}
	return time.Time{}
}

// date is time.Date for what exists, the zero time for what does not.
func date(year, month, day, hour, minute, second int, zone *time.Location) time.Time {
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, zone)
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}
