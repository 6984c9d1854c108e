package service

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// A FileError is why a file was refused whole: nothing of it was applied.
type FileError struct {
	Line   int64  // from 1; 0: the file as such
	Column string // as its header has it; "" where it is no single one
	Rule   string // what is wrong, and what to do
}

func (e *FileError) Error() string {
	switch {
	case e.Line == 0:
		return e.Rule
	case e.Column == "":
		return fmt.Sprintf("line %d: %s", e.Line, e.Rule)
	}
	return fmt.Sprintf("line %d, column %s: %s", e.Line, e.Column, e.Rule)
}

// The encodings of files.
const (
	UTF8        = "utf-8"
	Windows1256 = "windows-1256"
)

const (
	maxLine  = 64 << 10 // octets of a line; a longer one is a bad row
	keptLine = 1 << 10  // of which so much is kept, to show
)

var (
	byteOrderMark = []byte("\xef\xbb\xbf")
	newline       = []byte("\n")
)

// checkEncoding reads a whole file for what shows that it was written in another encoding
// than it is to be read in. It is done before the first row is applied: a file half of
// which went in as garbage is worse than none.
func checkEncoding(r io.Reader, encoding string) error {
	buf := make([]byte, 256<<10)
	line, kept, foreign := int64(1), 0, false
	for first := true; ; first = false {
		n, err := io.ReadFull(r, buf[kept:])
		end := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !end {
			return err
		}
		chunk := buf[:kept+n]
		if first && (bytes.HasPrefix(chunk, []byte("\xff\xfe")) || bytes.HasPrefix(chunk, []byte("\xfe\xff"))) {
			return &FileError{Line: 1, Rule: "the file is UTF-16 (Excel: Unicode text); save it as CSV UTF-8"}
		}
		if !end {
			chunk = wholeRunes(chunk)
		}
		valid := utf8.Valid(chunk)
		switch {
		case encoding == UTF8 && !valid:
			at := firstBad(chunk)
			line += int64(bytes.Count(chunk[:at], newline))
			return &FileError{Line: line, Rule: fmt.Sprintf("is not UTF-8 (octet %02X); if Excel wrote the file in Arabic, set the encoding windows-1256", chunk[at])}
		case encoding == Windows1256 && !valid:
			return nil // as it should be
		}
		foreign = foreign || encoding == Windows1256 && !ascii(chunk)
		line += int64(bytes.Count(chunk, newline))
		kept = copy(buf, buf[len(chunk):kept+n])
		if end {
			break
		}
	}
	if foreign {
		return &FileError{Line: 1, Rule: "the file is UTF-8, not windows-1256; leave the encoding out"}
	}
	return nil
}

// wholeRunes is b without a character at its end that goes on behind it.
func wholeRunes(b []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if at := len(b) - n; utf8.RuneStart(b[at]) {
			if !utf8.FullRune(b[at:]) {
				return b[:at]
			}
			break
		}
	}
	return b
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// firstBad is where the first octet is that is no UTF-8.
func firstBad(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// lines reads a file row by row. A row is a line: a quoted line end is not taken, so that
// one forgotten quote costs its own row and not the rest of the file, and a job can go on
// at any line.
type lines struct {
	br     *bufio.Reader
	csv    *csv.Reader
	latin  bool // windows-1256
	line   int64
	offset int64 // octets of the file up to the end of the line

	raw  []byte // the line as given, as UTF-8 without its end; kept till the next
	long bool   // it is only the start
	feed []byte // what csv has not read of it
	head []byte // of a long line
	dec  []byte // of a line in windows-1256
}

func newLines(r io.Reader, encoding string) *lines {
	return &lines{br: bufio.NewReaderSize(r, maxLine), latin: encoding == Windows1256}
}

// Read hands the line at hand, and no other, to csv.
func (l *lines) Read(p []byte) (int, error) {
	if len(l.feed) == 0 {
		return 0, io.EOF
	}
	n := copy(p, l.feed)
	l.feed = l.feed[n:]
	return n, nil
}

func (l *lines) delimit(comma rune) {
	l.csv = csv.NewReader(l)
	l.csv.Comma, l.csv.FieldsPerRecord, l.csv.ReuseRecord = comma, -1, true
	l.csv.TrimLeadingSpace = comma != '\t' // it would trim the tabs of empty fields
}

// next goes to the next line that is not blank; false at the end of the file.
func (l *lines) next() (bool, error) {
	for {
		b, err := l.br.ReadSlice('\n')
		octets := len(b)
		l.long = false
		if err == bufio.ErrBufferFull {
			l.long = true
			l.head = append(l.head[:0], b[:keptLine]...)
			for err == bufio.ErrBufferFull {
				b, err = l.br.ReadSlice('\n')
				octets += len(b)
			}
			b = l.head
			if !l.latin {
				b = wholeRunes(b)
			}
		}
		if err != nil && err != io.EOF {
			return false, err
		}
		if len(b) == 0 && err == io.EOF {
			return false, nil
		}
		// Not before: a line that a read error tore is read again by who goes on.
		l.offset += int64(octets)
		l.line++
		if l.line == 1 {
			b = bytes.TrimPrefix(b, byteOrderMark)
		}
		if l.raw = bytes.TrimRight(b, "\r\n"); len(bytes.TrimSpace(l.raw)) == 0 {
			continue
		}
		if l.latin && !ascii(l.raw) {
			l.dec = l.dec[:0]
			for _, c := range l.raw {
				l.dec = utf8.AppendRune(l.dec, charmap.Windows1256.DecodeByte(c))
			}
			l.raw = l.dec
		}
		l.feed = l.raw
		return true, nil
	}
}

// fields splits the line. The slice is kept till the next call, the strings for good.
func (l *lines) fields() ([]string, *badRow) {
	switch {
	case l.long:
		return nil, &badRow{"", fmt.Sprintf("too_long: the line has more than %d octets", maxLine)}
	case bytes.IndexByte(l.raw, 0) >= 0:
		return nil, &badRow{"", "bad_character: the line holds a NUL"}
	}
	f, err := l.csv.Read()
	l.feed = nil
	if err != nil {
		return nil, &badRow{"", `bad_quotes: a quote stands within a field or is not closed; a quoted field has its own quotes doubled, and no line end`}
	}
	return f, nil
}

// A badRow is what is wrong with a row.
type badRow struct{ column, rule string }

// delimiter is the one of , ; and tab that the header has most often.
func delimiter(header []byte) rune {
	best, most := ',', 0
	for _, d := range ",;\t" {
		if n := strings.Count(string(header), string(d)); n > most {
			best, most = d, n
		}
	}
	return best
}
