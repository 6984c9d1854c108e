package campaign

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"masar/service"
)

// Spool copies a file as UTF-8 and returns how many octets it read. It knows UTF-16 by its
// byte order mark. A file that mixes encodings, or is in another one than it is said to
// be, is a *service.FileError that names line, column and octet; one of more than most
// octets is ErrTooLarge.
func Spool(ctx context.Context, dst io.Writer, src io.Reader, f Format, most int64) (int64, error) {
	latin := false
	switch f.Encoding {
	case "", service.UTF8:
	case service.Windows1256:
		latin = true
	default:
		return 0, &service.FileError{Rule: fmt.Sprintf("encoding %q is not known; %s or %s", f.Encoding, service.UTF8, service.Windows1256)}
	}
	if latin && f.JSONLines {
		return 0, &service.FileError{Rule: "JSON Lines are UTF-8: leave the encoding out"}
	}
	count := &counted{ctx: ctx, r: src, most: most}
	in := bufio.NewReaderSize(count, spoolBlock)
	wide := false
	if mark, _ := in.Peek(2); len(mark) == 2 && (string(mark) == "\xff\xfe" || string(mark) == "\xfe\xff") {
		if latin {
			return 0, &service.FileError{Line: 1, Rule: "the file is UTF-16, not windows-1256; leave the encoding out"}
		}
		wide = true
		dec := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder()
		in = bufio.NewReaderSize(transform.NewReader(in, dec), spoolBlock)
	}
	out := bufio.NewWriterSize(dst, spoolBlock)
	s := spooler{in: in, out: out, latin: latin, wide: wide, csv: !f.JSONLines}
	if err := s.run(); err != nil {
		return count.n, err
	}
	if count.n == 0 {
		return 0, &service.FileError{Rule: "the file is empty"}
	}
	return count.n, out.Flush()
}

const spoolBlock = 256 << 10

// ErrTooLarge is what Spool answers a file of more octets than it may have.
var ErrTooLarge = errors.New("the file is too large")

// counted ends with its context, and where the file is too large.
type counted struct {
	ctx  context.Context
	r    io.Reader
	n    int64
	most int64 // 0: any
}

func (c *counted) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	if c.n += int64(n); c.most > 0 && c.n > c.most {
		return 0, ErrTooLarge
	}
	return n, err
}

type spooler struct {
	in                *bufio.Reader
	out               *bufio.Writer
	latin, wide, csv  bool
	line              int64
	header            []string
	comma             rune
	buf               []byte
	asUTF8, asForeign int64 // the first line of each kind, in a file said to be windows-1256
}

// run goes line by line. A line longer than the buffer is judged in pieces, cut where a
// character ends.
func (s *spooler) run() error {
	kept := 0 // octets of a character that was cut, at the start of buf
	for {
		b, err := s.in.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if kept > 0 {
			b = append(s.buf[:kept], b...)
			kept = 0
		}
		if err == bufio.ErrBufferFull && !s.latin {
			if whole := wholeRunes(b); len(whole) < len(b) {
				s.buf = append(s.buf[:0], b...)
				kept = copy(s.buf, b[len(whole):])
				b = append([]byte(nil), whole...)
			}
		}
		if wrong := s.judge(b); wrong != nil {
			return wrong
		}
		if werr := s.put(b); werr != nil {
			return werr
		}
		if err == io.EOF && s.asUTF8 > 0 {
			return &service.FileError{Line: s.asUTF8, Rule: "is UTF-8, not windows-1256; leave the encoding out"}
		}
		if err == io.EOF {
			return nil
		}
		if err == nil {
			s.line++
		}
	}
}

// judge says whether a line is in the file's encoding.
func (s *spooler) judge(b []byte) error {
	if s.header == nil && s.csv && len(bytes.TrimSpace(b)) > 0 {
		s.readHeader(b)
	}
	line := s.line + 1
	switch {
	case s.latin:
		if ascii(b) {
			return nil
		}
		if utf8.Valid(b) {
			if s.asUTF8 == 0 {
				s.asUTF8 = line
			}
		} else if s.asForeign == 0 {
			s.asForeign = line
		}
		if s.asUTF8 > 0 && s.asForeign > 0 {
			return s.wrong(max(s.asUTF8, s.asForeign), b, func(f []byte) bool { return !ascii(f) }, fmt.Sprintf("mixes encodings: line %d is windows-1256, line %d is UTF-8; save the whole file in one", s.asForeign, s.asUTF8))
		}
	case s.wide:
		// The decoder writes U+FFFD for half a character.
		if bytes.Contains(b, []byte("\uFFFD")) {
			return s.wrong(line, b, func(f []byte) bool { return bytes.Contains(f, []byte("\uFFFD")) }, "holds half a UTF-16 character: the file is damaged, or mixes encodings")
		}
	case !utf8.Valid(b):
		octet := byte(0)
		for i := 0; i < len(b); {
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n <= 1 {
				octet = b[i]
				break
			}
			i += n
		}
		return s.wrong(line, b, func(f []byte) bool { return !utf8.Valid(f) },
			fmt.Sprintf("is not UTF-8 (octet %02X): the file mixes encodings, or all of it is in another; if Excel wrote it in Arabic, set the encoding windows-1256", octet))
	}
	return nil
}

func (s *spooler) readHeader(b []byte) {
	b = bytes.TrimPrefix(bytes.TrimRight(b, "\r\n"), []byte("\xef\xbb\xbf"))
	s.comma = ','
	most := 0
	for _, d := range ",;\t" {
		if n := bytes.Count(b, []byte(string(d))); n > most {
			s.comma, most = d, n
		}
	}
	s.header = s.split(string(b))
}

func (s *spooler) split(line string) []string {
	r := csv.NewReader(strings.NewReader(line))
	r.Comma, r.LazyQuotes = s.comma, true
	f, err := r.Read()
	if err != nil {
		return []string{}
	}
	return f
}

// wrong names the column of the first field that is bad.
func (s *spooler) wrong(line int64, b []byte, bad func([]byte) bool, rule string) error {
	e := &service.FileError{Line: line, Rule: rule}
	if !s.csv || len(s.header) == 0 {
		return e
	}
	for i, f := range s.split(string(bytes.TrimRight(b, "\r\n"))) {
		if bad([]byte(f)) && i < len(s.header) && utf8.ValidString(s.header[i]) {
			e.Column = s.header[i]
			break
		}
	}
	return e
}

func (s *spooler) put(b []byte) error {
	if !s.latin || ascii(b) {
		_, err := s.out.Write(b)
		return err
	}
	s.buf = s.buf[:0]
	for _, c := range b {
		s.buf = utf8.AppendRune(s.buf, charmap.Windows1256.DecodeByte(c))
	}
	_, err := s.out.Write(s.buf)
	return err
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
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
