package smpptest

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var addr = netip.MustParseAddrPort("10.0.0.7:40000")

func TestAPipeHoldsItsBufferAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe(10, addr)
		client.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := client.Write(make([]byte, 15)); n != 10 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Write = %d, %v", n, err)
		}
		client.SetWriteDeadline(time.Time{})
		go client.Write([]byte("0123456789abcdef"))
		got := make([]byte, 26)
		if _, err := io.ReadFull(server, got); err != nil || !bytes.HasSuffix(got, []byte("0123456789abcdef")) {
			t.Fatalf("read %q, %v", got, err)
		}
	})
}

func TestAPipesReadDeadlinePassesAndCanBeMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := Pipe(10, addr)
		began := time.Now()
		client.SetReadDeadline(began.Add(time.Hour))
		go func() {
			time.Sleep(time.Second)
			client.SetReadDeadline(began.Add(2 * time.Second))
		}()
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 2*time.Second {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a second read: %v", err)
		}
	})
}

func TestAPipeIsClosedByHalves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe(10, addr)
		client.Write([]byte("last"))
		client.(interface{ CloseWrite() error }).CloseWrite()
		if got, err := io.ReadAll(server); string(got) != "last" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		server.Write([]byte("answer"))
		server.Close()
		if got, err := io.ReadAll(client); string(got) != "answer" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		client2, server2 := Pipe(10, addr)
		client2.Close()
		if _, err := server2.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Fatalf("a write to a closed peer: %v", err)
		}
	})
}

func TestAPipesEndsKnowTheirAddresses(t *testing.T) {
	client, server := Pipe(10, addr)
	if server.RemoteAddr().String() != addr.String() || client.LocalAddr().String() != addr.String() || client.RemoteAddr().String() != ServerAddr.String() {
		t.Errorf("%v <- %v", server.LocalAddr(), server.RemoteAddr())
	}
}

// failed records a Fatalf instead of ending the test.
type failed struct{ text string }

func (*failed) Helper()                          {}
func (f *failed) Fatalf(format string, _ ...any) { f.text = format }

func TestADialogueFailsOnWhatIsNotAwaited(t *testing.T) {
	for _, row := range []struct{ name, script string }{
		{"another command", "< submit_sm"},
		{"another status", "< enquire_link status=ESME_RSYSERR"},
		{"another number", "< enquire_link seq=8"},
		{"silence", "~ 1s"},
		{"an end", "< eof"},
		{"more", "< enquire_link times=2"},
		{"a field it has not", "< enquire_link message_id=1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := Pipe(100, addr)
				say, err := ParseDialogue("> enquire_link seq=7")
				if err != nil {
					t.Fatal(err)
				}
				say.Play(t, client, nil)
				d, err := ParseDialogue(row.script)
				if err != nil {
					t.Fatal(err)
				}
				var f failed
				if d.Play(&f, server, nil); f.text == "" {
					t.Errorf("%q was content with enquire_link seq=7", row.script)
				}
			})
		})
	}
	for _, bad := range []string{"? what", "> \"open", ">"} {
		if _, err := ParseDialogue(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
