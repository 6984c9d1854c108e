package interop

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"masar/smpp/pdu"
)

// agrees has tshark decode all that passed and compares it, PDU by PDU and parameter by
// parameter, with what smpp/pdu reads of the same octets. So many PDUs are malformed, for
// tshark and for us. Nothing may be under way any more: stop the gateway first.
func (c *capture) agrees(t *testing.T, malformed int) {
	t.Run("tshark reads every PDU as we do", func(t *testing.T) {
		c := c.frozen()
		theirs := dissect(t, c)
		ours := c.streams()
		total, refused := 0, 0
		for s, octets := range ours {
			frames := cut(t, s, octets)
			total += len(frames)
			if len(theirs[s]) != len(frames) {
				t.Errorf("%v: tshark reads %d PDUs, we %d", s, len(theirs[s]), len(frames))
				continue
			}
			for i, frame := range frames {
				if !compare(t, s, i, frame, theirs[s][i]) {
					refused++
				}
			}
		}
		if total == 0 {
			t.Error("nothing was captured")
		}
		if refused != malformed {
			t.Errorf("%d PDUs are malformed, want %d", refused, malformed)
		}
		t.Logf("%d PDUs on %d connections", total, len(ours)/2)
	})
}

// cut makes frames of a stream, without those of a command that there is not: tshark
// passes over them.
func cut(t *testing.T, s stream, octets []byte) (frames [][]byte) {
	for len(octets) >= pdu.HeaderLen {
		n := int(pdu.ParseHeader(octets).Length)
		if n < pdu.HeaderLen || n > len(octets) {
			break
		}
		if command := pdu.ParseHeader(octets).Command; command.String()[:2] != "0x" {
			frames = append(frames, octets[:n])
		}
		octets = octets[n:]
	}
	if len(octets) > 0 {
		t.Errorf("%v: %d octets after the last PDU: %x", s, len(octets), octets[:min(len(octets), 64)])
	}
	return frames
}

// param is one parameter as it lies on the wire, C-octet strings with their NUL.
type param struct {
	name   string
	octets string
}

// compare returns whether the PDU is well formed, for us and for tshark: when they
// disagree even on that, the test fails.
func compare(t *testing.T, s stream, i int, frame []byte, theirs *node) (wellFormed bool) {
	t.Helper()
	complaint := ""
	// About the text tshark may say what it likes: it knows data_coding 1 as ASCII, and
	// node-smpp's GSM octets below it have characters that ASCII has not.
	theirs.each(func(n *node) bool {
		if n.Name == "smpp.message_text" {
			return false
		}
		if strings.Contains(n.Name, "malformed") || n.Name == "_ws.expert" {
			complaint = n.Showname
		}
		return true
	})
	want, err := params(frame)
	if (err != nil) != (complaint != "") {
		t.Errorf("%v, PDU %d: tshark says %q, we %v, of\n%x", s, i, complaint, err, frame)
	}
	if err != nil {
		return false
	}
	have := wireParams(theirs)
	for k := range max(len(want), len(have)) {
		var w, h param
		if k < len(want) {
			w = want[k]
		}
		if k < len(have) {
			h = have[k]
		}
		if w != h {
			t.Errorf("%v, PDU %d: we read %s %q, tshark %s %q, of\n%x", s, i, w.name, w.octets, h.name, h.octets, frame)
			return true
		}
	}
	return true
}

// node is an element of tshark's PDML: a packet, a protocol or a field.
type node struct {
	Name     string `xml:"name,attr"`
	Showname string `xml:"showname,attr"`
	Show     string `xml:"show,attr"`
	Value    string `xml:"value,attr"`
	Unmasked string `xml:"unmaskedvalue,attr"`
	Pos      int    `xml:"pos,attr"`
	Protos   []node `xml:"proto"`
	Fields   []node `xml:"field"`
}

// each goes through a tree, and not below a node for which f returns false.
func (n *node) each(f func(*node) bool) {
	if !f(n) {
		return
	}
	for i := range n.Protos {
		n.Protos[i].each(f)
	}
	for i := range n.Fields {
		n.Fields[i].each(f)
	}
}

// octets are a field's, with all bits of the octet that a bit field is part of.
func (n *node) octets() string {
	v := n.Value
	if n.Unmasked != "" {
		v = n.Unmasked
	}
	b, _ := hex.DecodeString(v) // "" of a field that has no octets of its own
	return string(b)
}

// dissect runs tshark over the capture: each stream's PDUs.
func dissect(t *testing.T, c *capture) map[stream][]*node {
	t.Helper()
	path, err := exec.LookPath("tshark")
	if err != nil {
		missing(t, "tshark", "sh interop/install.sh")
	}
	file := filepath.Join(t.TempDir(), "wire.pcap")
	c.write(t, file)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-n", "-r", file, "-d", "tcp.port=="+strconv.Itoa(smscPort)+",smpp", "-T", "pdml")
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, stderr.Bytes())
	}
	all := map[stream][]*node{}
	// A text of lone surrogates is printed as what it is: no UTF-8.
	d := xml.NewDecoder(bytes.NewReader(bytes.ToValidUTF8(out, []byte("?"))))
	d.Strict = false
	for {
		token, err := d.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("tshark's PDML: %v", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "packet" {
			continue
		}
		packet := new(node)
		if err := d.DecodeElement(packet, &start); err != nil {
			t.Fatalf("tshark's PDML: %v", err)
		}
		var s stream
		packet.each(func(n *node) bool {
			switch n.Name {
			case "tcp.srcport", "tcp.dstport":
				port, _ := strconv.Atoi(n.Show)
				if port > esmePort {
					s = stream{port - esmePort, n.Name == "tcp.srcport"}
				}
			}
			return true
		})
		for i := range packet.Protos {
			switch p := &packet.Protos[i]; p.Name {
			case "smpp":
				all[s] = append(all[s], p)
			case "_ws.malformed": // of the PDU before it
				if n := len(all[s]); n > 0 {
					all[s][n-1].Fields = append(all[s][n-1].Fields, *p)
				} else {
					t.Errorf("%v: tshark finds a packet malformed", s)
				}
			}
		}
	}
}
