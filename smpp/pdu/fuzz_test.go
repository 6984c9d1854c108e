package pdu

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"
)

// FuzzDecode reads a body of any command. What is read is written so that it is
// read as the same again, and a second writing has the same octets.
func FuzzDecode(f *testing.F) {
	for _, g := range golden {
		if g.body != nil {
			f.Add(uint32(g.cmd), g.body.Append(nil))
		}
	}
	f.Add(uint32(CmdSubmitSM), submitOctets(map[string]string{"tlvs": "\x02\x04\x00\x01a"}))
	f.Add(uint32(CmdSubmitSMResp), []byte("abc"))
	f.Add(uint32(CmdSubmitSMResp), []byte("abc\x00\x37"))
	f.Fuzz(func(t *testing.T, id uint32, src []byte) {
		cmd := Command(id)
		body := NewBody(cmd)
		if body == nil {
			return
		}
		before := bytes.Clone(src)
		err := body.Decode(src)
		if !bytes.Equal(src, before) {
			t.Fatal("reading changes the octets")
		}
		_ = body.(interface{ String() string }).String()
		frame := Append(nil, cmd, ESME_ROK, 1, body)
		_ = Dump(Append(nil, cmd, ESME_ROK, 1, raw(src)))
		if c, ok := body.(interface{ Check() *FieldError }); ok && err == nil {
			if e := c.Check(); e != nil && (e.Status == ESME_ROK || e.Field == "" || e.Rule == "") {
				t.Fatalf("refused with %+v", e)
			}
		}
		if err != nil {
			var fe *FieldError
			if !errors.As(err, &fe) || fe.Status == ESME_ROK || !fe.Status.Known() || fe.Field == "" || fe.Rule == "" {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if h := ParseHeader(frame); int(h.Length) != len(frame) || h.Command != cmd {
			t.Fatalf("header %+v of %d octets", h, len(frame))
		}
		if !cmd.IsResponse() && len(frame)-HeaderLen > len(src) {
			t.Fatalf("wrote\n%x from\n%x", frame[HeaderLen:], src)
		}
		again := NewBody(cmd)
		if err := again.Decode(frame[HeaderLen:]); err != nil {
			t.Fatalf("%v in\n%x from\n%x", err, frame[HeaderLen:], src)
		}
		if a, b := fieldsOf(again), fieldsOf(body); !reflect.DeepEqual(a, b) {
			t.Fatalf("read %+v, then %+v", b, a)
		}
		if second := Append(nil, cmd, ESME_ROK, 1, again); !bytes.Equal(second, frame) {
			t.Fatalf("wrote\n%x, then\n%x", frame, second)
		}
	})
}

// raw is a body of any octets.
type raw []byte

func (r raw) Append(dst []byte) []byte { return append(dst, r...) }
func (r raw) Decode([]byte) error      { return nil }

// FuzzTLVs reads a TLV stream; a whole one, built anew from its TLVs, is the
// same, and of a broken one what is in front of the damage is whole.
func FuzzTLVs(f *testing.F) {
	for _, g := range golden {
		if g.body != nil {
			if v := reflect.ValueOf(g.body).Elem().FieldByName("TLVs"); v.IsValid() {
				f.Add(v.Bytes())
			}
		}
	}
	f.Add([]byte("\x02\x04\x00\x01a\x04"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 64<<10 {
			return // Get in the loop below makes it quadratic, and no frame is as large
		}
		tlvs, err := ParseTLVs(src)
		if !bytes.HasPrefix(src, tlvs) {
			t.Fatalf("%x is not what %x begins with", tlvs, src)
		}
		var fe *FieldError
		switch {
		case err == nil, errors.As(err, &fe) && fe.Status == ESME_RINVTLVLEN:
			if len(tlvs) != len(src) {
				t.Fatalf("%x of %x with %v", tlvs, src, err)
			}
		case fe.Status != ESME_RINVTLVSTREAM || len(tlvs) == len(src):
			t.Fatalf("%x of %x with %v", tlvs, src, err)
		}
		var again TLVs
		for tag, v := range tlvs.All() {
			again = again.Append(tag, v)
			if first, ok := tlvs.Get(tag); !ok || first == nil {
				t.Fatalf("%v is not found", tag)
			}
			if r := tag.Rule(); err == nil && r != nil && (len(v) < r.Min || len(v) > r.Max) {
				t.Fatalf("%v of %d octets passes", tag, len(v))
			}
		}
		if !bytes.Equal(again, tlvs) {
			t.Fatalf("%x, built anew %x", tlvs, again)
		}
		// On octets nobody has checked nothing panics either.
		for tag := range TLVs(src).All() {
			TLVs(src).CString(tag)
		}
	})
}

// FuzzTime reads a time; what is read, written in the same zone, is read as the
// same.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"", "261124093015312+", "261124093015332-", "000102030405000R", "999999999999000R", "280229000000000+", "991231235959900+", "2611"} {
		f.Add([]byte(s))
	}
	now := time.Date(2026, 11, 24, 9, 30, 15, 0, time.UTC)
	f.Fuzz(func(t *testing.T, src []byte) {
		at, ok, err := ParseTime(src, now, nil)
		var te *TimeError
		switch {
		case err != nil && (ok || !errors.As(err, &te) || te.Rule == ""):
			t.Fatalf("%v, %v", ok, err)
		case err == nil && ok != (len(src) > 0):
			t.Fatalf("%q: ok %v", src, ok)
		case !ok:
			return
		case src[15] == 'R':
			if at.Before(now) || at.Year() > 2026+99+9+1 {
				t.Fatalf("%q is %v", src, at)
			}
			return
		}
		again, ok, err := ParseTime(AppendTime(nil, at), now, nil)
		// A zone may carry 31 December 2037 over into the year that is refused.
		if at.Year() > 2037 || at.Year() < 2000 {
			return
		}
		if err != nil || !ok || !again.Equal(at) {
			t.Fatalf("%q is %v, then %v, %v", src, at, again, err)
		}
	})
}
