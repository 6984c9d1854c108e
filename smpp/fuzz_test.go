package smpp_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// fuzzed answers at once, keeps, or answers twice, by the octets it gets.
type fuzzed struct{ kept []smpp.Reply }

func (f *fuzzed) Request(s *smpp.Session, h pdu.Header, body pdu.Body, r smpp.Reply) {
	if body == nil {
		panic("a request without its body")
	}
	switch h.Sequence % 4 {
	case 0:
		f.kept = append(f.kept, r)
	case 1:
		r.SendNack(pdu.ESME_RSYSERR)
		r.Send(pdu.ESME_ROK, nil)
	case 2:
		s.Send(pdu.CmdDeliverSM, &pdu.DeliverSM{}, f)
		fallthrough
	default:
		r.Send(pdu.ESME_ROK, answerBody(h.Command, "1"))
		for _, k := range f.kept {
			k.SendID(pdu.ESME_ROK, "2")
		}
		f.kept = f.kept[:0]
	}
}
func (f *fuzzed) Response(*smpp.Session, any, smpp.Answer) {}
func (f *fuzzed) Ended(*smpp.Session, []any, error)        {}

type noPanics struct{ t *testing.T }

func (noPanics) PDU(*smpp.Session, bool, pdu.Header, []byte) {}
func (n noPanics) Violation(kind string) {
	if kind == smpp.Panicked {
		n.t.Error("panic in a session")
	}
}

// FuzzSession: whatever octets come, in whatever pieces, a session neither panics nor
// hangs, keeps its memory in bounds, and every goroutine ends.
func FuzzSession(f *testing.F) {
	files, _ := filepath.Glob("testdata/dialogues/*.txt")
	for _, file := range files { // what the dialogues' clients say is the corpus
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), "role esme") {
			continue
		}
		d, err := smpptest.ParseDialogue(string(text))
		if err != nil {
			f.Fatal(err)
		}
		var octets []byte
		for _, st := range d.Steps {
			if st.Sign == '>' && st.Name != "raw" && st.Name != "close" && st.Name != "eof" && st.Get("times") == "" {
				one, err := smpptest.Encode(st.Line, 2)
				if err != nil {
					f.Fatal(err)
				}
				octets = append(octets, one...)
			}
		}
		f.Add(octets, uint8(0), false)
		f.Add(octets, uint8(3), true)
	}
	f.Fuzz(func(t *testing.T, octets []byte, piece uint8, bound bool) {
		synctest.Test(t, func(t *testing.T) {
			h := &fuzzed{}
			srv := smpp.NewServer(smpp.ServerOptions{
				Timers: testTimers, MaxPDU: 4096, Observe: noPanics{t},
				Bind: func(_ context.Context, _ *smpp.Session, _ pdu.Command, b *pdu.Bind) smpp.Accept {
					if len(b.Password) == 0 {
						return smpp.Accept{Status: pdu.ESME_RINVPASWD}
					}
					return smpp.Accept{Handler: h, Limits: smpp.Limits{Window: 3, Send: 3, OutBytes: 4096}}
				},
			})
			client, server := smpptest.Pipe(8<<10, testAddr)
			s := srv.ServeConn(server)
			if bound {
				bindRaw(t, client)
			}
			go io.Copy(io.Discard, client)
			client.SetWriteDeadline(time.Now().Add(10 * time.Second))
			for rest := octets; len(rest) > 0; {
				n := len(rest)
				if piece > 0 {
					n = min(n, int(piece))
				}
				if _, err := client.Write(rest[:n]); err != nil {
					break
				}
				rest = rest[n:]
			}
			synctest.Wait()
			if st := s.Stats(); st.Unwritten > 64<<10 || st.Open > 6 || st.Outstanding > 3 {
				t.Errorf("out of bounds: %+v", st)
			}
			time.Sleep(2 * time.Minute) // session_init, or silence, ends it by itself
			synctest.Wait()
			select {
			case <-s.Done():
			default:
				t.Error("the session lives on in silence")
			}
			client.Close()
			srv.Close()
		})
	})
}
