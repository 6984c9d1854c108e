package smpptest

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"masar/smpp/pdu"
)

// Dialogue is a conversation on the wire, written as text so that a list of them reads
// like the specification:
//
//	# the bind must be answered before anything else
//	: timers session_init=10s                   a setting, for the test that plays it
//	> bind_transceiver seq=1 system_id=civil    the script sends this
//	< bind_transceiver_resp seq=1 status=ESME_ROK
//	~ 5s                                        nothing comes for so long
//	! release                                   the test is asked to do something
//	< eof                                       the peer closes
//
// A PDU is a command's name (or 0x and its id) and fields as the specification spells
// them. What is not named is zero in a PDU that is sent, and anything in one that is
// awaited. tlv.0424=hex is a TLV; in an awaited PDU tlv.0210=none says that it is absent.
// Values with blanks stand in double quotes. More keys:
//
//	length=15    command_length is this, whatever it should be       (sent)
//	body=00ff    the octets of the body; no other field then         (both)
//	cut=2        the last octets of the body are missing             (sent)
//	extra=00     octets behind the body, counted by command_length   (sent)
//	octets=1     written in pieces of so many octets                 (sent)
//	times=100    so many of it, seq counting up; sent as one write   (both)
//	within=2s    instead of a second                                 (awaited)
//
// "> raw 0000" sends octets, "> eof" closes the sending side, "> close" the connection.
type Dialogue struct {
	Settings []Line
	Steps    []Step
}

// Step is one line of a Dialogue after its sign.
type Step struct {
	Sign byte // > < ~ !
	Line
}

// Line is a name and its key=value fields, with the line number it stands at.
type Line struct {
	Number int
	Name   string
	Fields []Field
}

// Field is one key=value.
type Field struct{ Key, Value string }

// Get is the value of key, "" when it is not there.
func (l Line) Get(key string) string {
	for _, f := range l.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}

// ParseDialogue reads a Dialogue; its error names the line.
func ParseDialogue(text string) (*Dialogue, error) {
	d := &Dialogue{}
	for i, raw := range strings.Split(text, "\n") {
		raw = strings.TrimSpace(raw)
		if raw == "" || raw[0] == '#' {
			continue
		}
		words, err := split(raw[1:])
		if err != nil || len(words) == 0 {
			return nil, fmt.Errorf("line %d: %q: a sign, a name, key=value", i+1, raw)
		}
		l := Line{Number: i + 1, Name: words[0]}
		for _, w := range words[1:] {
			k, v, _ := strings.Cut(w, "=")
			l.Fields = append(l.Fields, Field{k, v})
		}
		switch raw[0] {
		case ':':
			d.Settings = append(d.Settings, l)
		case '>', '<', '~', '!':
			d.Steps = append(d.Steps, Step{raw[0], l})
		default:
			return nil, fmt.Errorf("line %d: unknown sign %q", i+1, raw[0])
		}
	}
	return d, nil
}

// split cuts at blanks outside of double quotes, which it drops.
func split(s string) (words []string, err error) {
	var w strings.Builder
	quoted, has := false, false
	for _, c := range s {
		switch {
		case c == '"':
			quoted, has = !quoted, true
		case !quoted && (c == ' ' || c == '\t'):
			if has {
				words = append(words, w.String())
			}
			w.Reset()
			has = false
		default:
			w.WriteRune(c)
			has = true
		}
	}
	if quoted {
		return nil, errors.New("unended quotes")
	}
	if has {
		words = append(words, w.String())
	}
	return words, nil
}

// TB is the part of testing.TB that is needed here: this package is in the binary, too.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Play plays the steps on conn. do carries out the lines with "!".
func (d *Dialogue) Play(t TB, conn net.Conn, do func(Line) error) {
	t.Helper()
	for _, st := range d.Steps {
		var err error
		switch st.Sign {
		case '>':
			err = sendLine(conn, st.Line)
		case '<':
			err = awaitLine(conn, st.Line)
		case '~':
			err = awaitNothing(conn, st.Line)
		case '!':
			err = do(st.Line)
		}
		if err != nil {
			t.Fatalf("line %d: %c %s: %v", st.Number, st.Sign, st.Name, err)
		}
	}
}

func sendLine(conn net.Conn, l Line) error {
	var octets []byte
	var err error
	switch l.Name {
	case "eof":
		if c, ok := conn.(interface{ CloseWrite() error }); ok {
			return c.CloseWrite()
		}
		return errors.New("the connection has no CloseWrite")
	case "close":
		return conn.Close()
	case "raw":
		if len(l.Fields) == 0 {
			return errors.New("no octets")
		}
		octets, err = hex.DecodeString(l.Fields[0].Key)
	default:
		octets, err = encodeTimes(l)
	}
	if err != nil {
		return err
	}
	conn.SetWriteDeadline(time.Now().Add(time.Minute))
	piece := len(octets)
	if v := l.Get("octets"); v != "" {
		if piece, err = strconv.Atoi(v); err != nil || piece < 1 {
			return fmt.Errorf("octets=%s", v)
		}
	}
	for len(octets) > 0 {
		n := min(piece, len(octets))
		if _, err := conn.Write(octets[:n]); err != nil {
			return err
		}
		octets = octets[n:]
	}
	return nil
}

// times is how many PDUs a line means, and the first one's sequence_number.
func times(l Line) (n int, seq uint32, err error) {
	n = 1
	if v := l.Get("times"); v != "" {
		if n, err = strconv.Atoi(v); err != nil {
			return 0, 0, err
		}
	}
	if v := l.Get("seq"); v != "" {
		u, err := strconv.ParseUint(v, 0, 32)
		if err != nil {
			return 0, 0, err
		}
		seq = uint32(u)
	}
	return n, seq, nil
}

func encodeTimes(l Line) ([]byte, error) {
	n, seq, err := times(l)
	if err != nil {
		return nil, err
	}
	var octets []byte
	for i := range n {
		one, err := Encode(l, seq+uint32(i))
		if err != nil {
			return nil, err
		}
		octets = append(octets, one...)
	}
	return octets, nil
}

// await reads one frame.
func await(conn net.Conn, within time.Duration) (pdu.Header, []byte, error) {
	conn.SetReadDeadline(time.Now().Add(within))
	head := make([]byte, pdu.HeaderLen)
	if _, err := io.ReadFull(conn, head); err != nil {
		return pdu.Header{}, nil, err
	}
	h := pdu.ParseHeader(head)
	if h.Length < pdu.HeaderLen || h.Length > 1<<20 {
		return h, nil, fmt.Errorf("command_length %d", h.Length)
	}
	body := make([]byte, h.Length-pdu.HeaderLen)
	_, err := io.ReadFull(conn, body)
	return h, body, err
}

func awaitLine(conn net.Conn, l Line) error {
	within := time.Second
	if v := l.Get("within"); v != "" {
		var err error
		if within, err = time.ParseDuration(v); err != nil {
			return err
		}
	}
	n, seq, err := times(l)
	if err != nil {
		return err
	}
	for i := range n {
		h, body, err := await(conn, within)
		if l.Name == "eof" {
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err == nil {
				return fmt.Errorf("came %v", Describe(h, body))
			}
			return err
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("nothing came within %v", within)
		}
		if err != nil {
			return err
		}
		if err := Match(l, seq+uint32(i), h, body); err != nil {
			return err
		}
	}
	return nil
}

func awaitNothing(conn net.Conn, l Line) error {
	d, err := time.ParseDuration(l.Name)
	if err != nil {
		return err
	}
	h, body, err := await(conn, d)
	switch {
	case err == nil:
		return fmt.Errorf("came %s", Describe(h, body))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	default:
		return err
	}
}

// WantClosed reads conn to its end and fails unless that comes within a second.
func WantClosed(t TB, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(time.Second))
	n, err := io.Copy(io.Discard, conn)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		t.Fatalf("the connection is not closed: %v, after %d octets", err, n)
	}
}

// Encode is the PDU a line describes, with that sequence_number.
func Encode(l Line, seq uint32) ([]byte, error) {
	cmd, err := command(l.Name)
	if err != nil {
		return nil, err
	}
	var st pdu.Status
	var body, extra []byte
	var length, cut uint64
	form := pdu.NewBody(cmd)
	for _, f := range l.Fields {
		switch f.Key {
		case "seq", "times", "octets", "within":
		case "status":
			st, err = pdu.ParseStatus(f.Value)
		case "length":
			length, err = strconv.ParseUint(f.Value, 0, 32)
		case "cut":
			cut, err = strconv.ParseUint(f.Value, 0, 16)
		case "extra":
			extra, err = hex.DecodeString(f.Value)
		case "body":
			form = nil
			body, err = hex.DecodeString(f.Value)
		default:
			err = setField(form, f)
		}
		if err != nil {
			return nil, fmt.Errorf("%s=%s: %w", f.Key, f.Value, err)
		}
	}
	// An error's response has no body unless the line gives it one (v3.4 section 4.4.2).
	if form != nil && (!cmd.IsResponse() || st == pdu.ESME_ROK) {
		body = form.Append(body)
	}
	if int(cut) > len(body) {
		return nil, fmt.Errorf("cut=%d of a body of %d octets", cut, len(body))
	}
	body = append(body[:len(body)-int(cut)], extra...)
	octets := pdu.Append(nil, cmd, st, seq, nil)
	octets = append(octets, body...)
	n := uint32(len(octets))
	if l.Get("length") != "" {
		n = uint32(length)
	}
	binary.BigEndian.PutUint32(octets, n)
	return octets, nil
}

func command(name string) (pdu.Command, error) {
	for _, c := range pdu.Commands() {
		if c.String() == name {
			return c, nil
		}
	}
	u, err := strconv.ParseUint(name, 0, 32)
	if err != nil {
		return 0, fmt.Errorf("no command is called %q", name)
	}
	return pdu.Command(u), nil
}
