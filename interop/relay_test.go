package interop

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// capture keeps what went over all relays of a test, in the order in which it passed.
type capture struct {
	mu     sync.Mutex
	conns  int
	chunks []chunk
}

// chunk is what one read of a relay gave. It is at most 32 KiB: an IPv4 packet.
type chunk struct {
	conn   int
	toSMSC bool
	at     time.Time
	octets []byte
}

// stream names one direction of one connection.
type stream struct {
	conn   int
	toSMSC bool
}

func (s stream) String() string {
	if s.toSMSC {
		return fmt.Sprintf("connection %d, to the SMSC", s.conn)
	}
	return fmt.Sprintf("connection %d, from the SMSC", s.conn)
}

// relay listens on a port of its own and passes every connection on to where target
// says. It ends with the test.
func (c *capture) relay(t *testing.T, target func() string) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	ended := false
	keep := func(n net.Conn) bool {
		mu.Lock()
		defer mu.Unlock()
		open[n] = true
		return !ended
	}
	var running sync.WaitGroup
	pass := func(from, to net.Conn, conn int, toSMSC bool) {
		b := make([]byte, 32<<10)
		for {
			n, err := from.Read(b)
			if n > 0 {
				// Before it is passed on: what its reader does next comes later.
				c.add(chunk{conn, toSMSC, time.Now(), append([]byte(nil), b[:n]...)})
				if _, err := to.Write(b[:n]); err != nil {
					break
				}
			}
			if err != nil {
				break
			}
		}
		to.(*net.TCPConn).CloseWrite()
	}
	running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.DialTimeout("tcp", target(), patience)
			if err != nil {
				in.Close() // the other end is gone, and this one hears it
				continue
			}
			if !keep(in) || !keep(out) {
				in.Close()
				out.Close()
				return
			}
			conn := c.newConn()
			running.Go(func() { pass(in, out, conn, true) })
			running.Go(func() { pass(out, in, conn, false) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		ended = true
		for n := range open {
			n.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}

func (c *capture) newConn() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns++
	return c.conns
}

func (c *capture) add(k chunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chunks = append(c.chunks, k)
}

// frozen is what has passed up to now.
func (c *capture) frozen() *capture {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &capture{conns: c.conns, chunks: c.chunks[:len(c.chunks):len(c.chunks)]}
}

// streams are the octets of each direction.
func (c *capture) streams() map[stream][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[stream][]byte{}
	for _, k := range c.chunks {
		s := stream{k.conn, k.toSMSC}
		all[s] = append(all[s], k.octets...)
	}
	return all
}

// Ports in the capture file: every SMSC is at smscPort of 10.0.0.2, the ESME of
// connection n at esmePort + n of 10.0.0.1.
const (
	smscPort = 2775
	esmePort = 40000
)

// write writes a pcap file. The TCP segments are the relay's reads: a PDU may lie in
// several, and several in one.
func (c *capture) write(t *testing.T, file string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	// Magic number, version 2.4, UTC, no precision, 64 KiB a packet, raw IP.
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	for _, v := range []uint32{0, 0, 65535, 101} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	const syn, ack, push = 0x02, 0x10, 0x08
	next := map[stream]uint32{}
	packet := func(s stream, at time.Time, flags byte, octets []byte) {
		p := segment(s, next[s], next[stream{s.conn, !s.toSMSC}], flags, octets)
		for _, v := range []uint32{uint32(at.Unix()), uint32(at.Nanosecond() / 1000), uint32(len(p)), uint32(len(p))} {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		b = append(b, p...)
		next[s] += uint32(len(octets))
		if flags&syn != 0 {
			next[s]++
		}
	}
	for _, k := range c.chunks {
		esme, smsc := stream{k.conn, true}, stream{k.conn, false}
		if _, begun := next[esme]; !begun {
			packet(esme, k.at, syn, nil)
			packet(smsc, k.at, syn|ack, nil)
			packet(esme, k.at, ack, nil)
		}
		packet(stream{k.conn, k.toSMSC}, k.at, push|ack, k.octets)
	}
	if err := os.WriteFile(file, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

// segment is an IPv4 packet with one TCP segment; tshark does not verify checksums
// unless it is told to.
func segment(s stream, seq, ackSeq uint32, flags byte, octets []byte) []byte {
	esme, smsc := []byte{10, 0, 0, 1}, []byte{10, 0, 0, 2}
	from, to := uint16(esmePort+s.conn), uint16(smscPort)
	src, dst := esme, smsc
	if !s.toSMSC {
		from, to, src, dst = to, from, dst, src
	}
	b := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(40+len(octets)))
	b = append(append(b, src...), dst...)
	b = binary.BigEndian.AppendUint16(b, from)
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ackSeq)
	b = append(b, 5<<4, flags, 0xff, 0xff, 0, 0, 0, 0)
	return append(b, octets...)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
