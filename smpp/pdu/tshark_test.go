package pdu

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tshark runs tshark over a capture of every golden PDU, or skips the test
// where there is none: MASAR_CI says there has to be.
func tshark(t *testing.T, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("MASAR_CI") != "" {
			t.Fatal("MASAR_CI is set and tshark is missing: install the package tshark")
		}
		t.Skip("tshark is not installed: its reading of our PDUs is not compared (apt-get install tshark)")
	}
	file := filepath.Join(t.TempDir(), "golden.pcap")
	if err := os.WriteFile(file, capture(), 0o666); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{"-n", "-r", file, "-d", "tcp.port==2775,smpp"}, args...)...)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, stderr.Bytes())
	}
	return out
}

// capture is a pcap file with a TCP segment for each golden PDU.
func capture() []byte {
	// Magic number, version 2.4, UTC, no precision, 64 KiB a packet, Ethernet.
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	for _, v := range []uint32{0, 0, 65535, 1} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	octets := uint32(1)
	for i, g := range golden {
		frame := Append(nil, g.cmd, g.status, g.seq, g.body)
		packet := segment(octets, frame)
		octets += uint32(len(frame))
		for _, v := range []uint32{1795500000 + uint32(i), 0, uint32(len(packet)), uint32(len(packet))} {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		b = append(b, packet...)
	}
	return b
}

// segment is an Ethernet frame with data from 10.0.0.1:40000 to 10.0.0.2:2775.
func segment(seq uint32, data []byte) []byte {
	b := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00}
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	binary.BigEndian.PutUint16(ip[2:], uint16(40+len(data)))
	sum := uint32(0)
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	b = append(b, ip...)
	b = binary.BigEndian.AppendUint16(b, 40000)
	b = binary.BigEndian.AppendUint16(b, 2775)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = append(b, 5<<4, 0x18, 0xff, 0xff, 0, 0, 0, 0) // PSH ACK; tshark does not verify the checksum
	return append(b, data...)
}

func TestTsharkReadsEveryFieldAsWeWroteIt(t *testing.T) {
	var packets []struct {
		Source struct {
			Layers map[string]json.RawMessage `json:"layers"`
		} `json:"_source"`
	}
	out := tshark(t, "-T", "json", "--no-duplicate-keys")
	if err := json.Unmarshal(out, &packets); err != nil {
		t.Fatal(err)
	}
	if len(packets) != len(golden) {
		t.Fatalf("tshark has %d packets, the capture %d", len(packets), len(golden))
	}
	for i, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			layers := packets[i].Source.Layers
			for name := range layers {
				if strings.Contains(name, "malformed") {
					t.Errorf("tshark calls it malformed")
				}
			}
			if bytes.Contains(layers["smpp"], []byte("alformed")) {
				t.Errorf("tshark finds something malformed in it: %s", layers["smpp"])
			}
			have := map[string][]string{}
			var tree any
			if err := json.Unmarshal(layers["smpp"], &tree); err != nil {
				t.Fatalf("no SMPP in it: %v", err)
			}
			leaves(have, "", tree)
			frame := Append(nil, g.cmd, g.status, g.seq, g.body)
			want := map[string]string{
				"command_length":  strconv.Itoa(len(frame)),
				"command_id":      hex32(uint32(g.cmd)),
				"sequence_number": strconv.FormatUint(uint64(g.seq), 10),
			}
			if g.cmd.IsResponse() {
				want["command_status"] = hex32(uint32(g.status))
			}
			for _, f := range strings.Fields(g.fields) {
				name, value, _ := strings.Cut(f, "=")
				want[name] = value
			}
			for name, value := range want {
				if got := have["smpp."+name]; !slices.EqualFunc(got, strings.Split(value, "|"), sameValue) {
					t.Errorf("%s: tshark reads %q, want %q", name, got, value)
				}
			}
		})
	}
}

// sameValue compares two values as text, or as numbers in whatever base tshark
// prints this one.
func sameValue(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := strconv.ParseUint(a, 0, 64)
	y, errY := strconv.ParseUint(b, 0, 64)
	return errX == nil && errY == nil && x == y
}

// leaves gathers the values of tshark's tree by field name; octets lose the
// colons between them.
func leaves(into map[string][]string, name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, sub := range v {
			leaves(into, k, sub)
		}
	case []any:
		for _, sub := range v {
			leaves(into, name, sub)
		}
	case string:
		switch name {
		case "smpp.message", "smpp.message_payload", "smpp.vendor_op", "smpp.source_subaddress":
			v = strings.ReplaceAll(v, ":", "")
		}
		into[name] = append(into[name], v)
	}
}

// TestTsharkPrintsTheGoldenText compares the text beside each golden PDU, if
// the tshark here is of the release that wrote it: the wording changes.
func TestTsharkPrintsTheGoldenText(t *testing.T) {
	out := string(tshark(t, "-V", "-O", "smpp"))
	if strings.Contains(out, "alformed") {
		t.Errorf("tshark finds something malformed:\n%s", out)
	}
	parts := strings.Split(out, "\nShort Message Peer to Peer")[1:]
	if len(parts) != len(golden) {
		t.Fatalf("tshark prints %d PDUs, the capture has %d", len(parts), len(golden))
	}
	release := tsharkRelease(t)
	releaseFile := filepath.Join("testdata", "pdu", "tshark.release")
	if *update {
		if err := os.WriteFile(releaseFile, []byte(release+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	wrote, err := os.ReadFile(releaseFile)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(wrote)) != release {
		t.Skipf("the golden texts are tshark %s's, this one is %s", bytes.TrimSpace(wrote), release)
	}
	for i, g := range golden {
		text := "Short Message Peer to Peer" + strings.TrimRight(cutPacket(parts[i]), "\n") + "\n"
		file := filepath.Join("testdata", "pdu", g.name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("%s: tshark prints\n%s, want\n%s", g.name, text, want)
		}
	}
}

// cutPacket cuts off where the next packet begins.
func cutPacket(s string) string {
	s, _, _ = strings.Cut(s, "\nFrame ")
	return s
}

// tsharkRelease returns "4.0".
func tsharkRelease(t *testing.T) string {
	out, err := exec.Command("tshark", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(out)) {
		if n := strings.Split(word, "."); len(n) >= 3 && n[0] >= "0" && n[0] <= "9" {
			return n[0] + "." + n[1]
		}
	}
	t.Fatalf("no version in %q", out)
	return ""
}
