package receipt

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"
	"unicode/utf16"

	"masar/smpp/pdu"
)

type expectation struct {
	ID, State, Err, Submit, Done, Sub, Dlvrd, Text string
}

type corpusRow struct {
	ID, Note, Text, Command, Error string
	ESMClass                       uint8 `json:"esm_class"`
	DataCoding                     uint8 `json:"data_coding"`
	TLVs                           *struct {
		ReceiptedMessageID *string `json:"receipted_message_id"`
		MessageState       *uint8  `json:"message_state"`
		NetworkErrorCode   *string `json:"network_error_code"`
		MessagePayload     *string `json:"message_payload"`
	}
	Expect           *expectation
	ExpectPreferText *struct{ ID string } `json:"expect_prefer_text"`
	NetworkError     *struct {
		Type uint8
		Code uint16
	} `json:"network_error"`
	NotReceipt bool `json:"not_receipt"`
	Match      *struct {
		RespID      string `json:"resp_id"`
		RespForm    string `json:"resp_form"`
		ReceiptForm string `json:"receipt_form"`
		Same        bool
	}
	SeenBy []string `json:"seen_by"`
}

// wire is a text as it travels under dataCoding.
func wire(text string, dataCoding uint8) []byte {
	if dataCoding != 8 {
		return []byte(text)
	}
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = binary.BigEndian.AppendUint16(b, u)
	}
	return b
}

func (r *corpusRow) tlvs(t testing.TB) (tlvs pdu.TLVs) {
	if r.TLVs == nil {
		return nil
	}
	if s := r.TLVs.ReceiptedMessageID; s != nil {
		tlvs = tlvs.AppendCString(pdu.TagReceiptedMessageID, []byte(*s))
	}
	if s := r.TLVs.MessageState; s != nil {
		tlvs = tlvs.AppendUint8(pdu.TagMessageState, *s)
	}
	if s := r.TLVs.NetworkErrorCode; s != nil {
		b, err := hex.DecodeString(*s)
		if err != nil {
			t.Fatal(err)
		}
		tlvs = tlvs.Append(pdu.TagNetworkErrorCode, b)
	}
	if s := r.TLVs.MessagePayload; s != nil {
		tlvs = tlvs.Append(pdu.TagMessagePayload, wire(*s, r.DataCoding))
	}
	return tlvs
}

// parse reads the row as the command it came by, through Parse and through a View.
func (r *corpusRow) parse(t testing.TB, o Options) (Receipt, Verdict) {
	t.Helper()
	var v View
	var got Receipt
	var verdict, viewed Verdict
	if r.Command == "data_sm" {
		p := &pdu.DataSM{ESMClass: r.ESMClass, DataCoding: r.DataCoding, TLVs: r.tlvs(t)}
		got, verdict = ParseData(p, o)
		viewed = v.ParseData(p, o)
	} else {
		p := &pdu.DeliverSM{ESMClass: r.ESMClass, DataCoding: r.DataCoding, ShortMessage: wire(r.Text, r.DataCoding), TLVs: r.tlvs(t)}
		got, verdict = Parse(p, o)
		viewed = v.Parse(p, o)
	}
	if viewed != verdict {
		t.Errorf("View says %v, Parse %v", viewed, verdict)
	}
	if verdict == IsReceipt && (string(v.ID) != got.ID || v.State != got.State || string(v.Err) != got.Err ||
		string(v.Sub) != got.Sub || string(v.Dlvrd) != got.Dlvrd || string(v.Text) != got.Text ||
		!v.Submit(o.Zone).Equal(got.Submit) || !v.Done(o.Zone).Equal(got.Done)) {
		t.Errorf("View %+v\nParse %+v", v, got)
	}
	return got, verdict
}

func rows(t testing.TB) (all []corpusRow) {
	file, err := os.Open("testdata/receipts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sc := bufio.NewScanner(file)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var r corpusRow
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	if err := sc.Err(); err != nil || len(all) != 182 {
		t.Fatalf("%d rows, %v, want 182", len(all), err)
	}
	return all
}

func show(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02T15:04:05")
}

func TestEveryReceiptOfTheCorpusIsReadAsExpected(t *testing.T) {
	riyadh := time.FixedZone("+03", 3*3600)
	receipts, unreadable, ordinary, matched := 0, 0, 0, 0
	for _, r := range rows(t) {
		t.Run(r.ID, func(t *testing.T) {
			for _, detect := range []Detect{DetectESM, DetectText, DetectTLV, DetectAny} {
				seen := slices.Contains(r.SeenBy, detect.String()) || detect == DetectAny && len(r.SeenBy) > 0
				for _, preferText := range []bool{false, true} {
					got, verdict := r.parse(t, Options{Detect: detect, PreferText: preferText, Zone: riyadh})
					want := NotReceipt
					switch {
					case seen && r.Error == "unreadable":
						want = Unreadable
					case seen:
						want = IsReceipt
					}
					if verdict != want {
						t.Errorf("%s, detect %v: %v, want %v", r.Note, detect, verdict, want)
					}
					if verdict != IsReceipt || want != IsReceipt {
						continue
					}
					id := r.Expect.ID
					if preferText && r.ExpectPreferText != nil {
						id = r.ExpectPreferText.ID
					}
					flat := expectation{got.ID, got.State.Receipt(), got.Err, show(got.Submit), show(got.Done), got.Sub, got.Dlvrd, got.Text}
					expect := *r.Expect
					expect.ID = id
					if flat != expect {
						t.Errorf("%s, detect %v, prefer text %t:\n %+v, want\n %+v", r.Note, detect, preferText, flat, expect)
					}
					if !got.Submit.IsZero() && got.Submit.Location() != riyadh {
						t.Errorf("submit date is in %v", got.Submit.Location())
					}
					if got.HasNetwork != (r.NetworkError != nil) ||
						r.NetworkError != nil && (got.NetworkType != r.NetworkError.Type || got.NetworkCode != r.NetworkError.Code) {
						t.Errorf("network error %t %d %d, want %+v", got.HasNetwork, got.NetworkType, got.NetworkCode, r.NetworkError)
					}
					if got.Intermediate != (r.ESMClass&pdu.ESMClassIntermediate != 0) {
						t.Errorf("intermediate is %t", got.Intermediate)
					}
				}
			}
			if m := r.Match; m != nil {
				matched++
				checkMatch(t, m.RespID, m.RespForm, r.Expect.ID, m.ReceiptForm, m.Same)
			}
		})
		switch {
		case r.NotReceipt:
			ordinary++
		case r.Error != "":
			unreadable++
		default:
			receipts++
		}
	}
	if receipts != 146 || unreadable != 7 || ordinary != 29 || matched != 13 {
		t.Errorf("%d receipts, %d unreadable, %d ordinary, %d matched; want 146, 7, 29, 13", receipts, unreadable, ordinary, matched)
	}
}

func checkMatch(t *testing.T, resp, respForm, receipt, receiptForm string, same bool) {
	t.Helper()
	rf, ok1 := ParseForm(respForm)
	cf, ok2 := ParseForm(receiptForm)
	a, ok3 := Convert(resp, rf)
	b, ok4 := Convert(receipt, cf)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		t.Fatalf("%t %t %t %t", ok1, ok2, ok3, ok4)
	}
	if (a == b) != same {
		t.Errorf("%s %q is %q, %s %q is %q; same should be %t", respForm, resp, a, receiptForm, receipt, b, same)
	}
	// With the forms unknown the message is found all the same, under the right ones.
	if same {
		found := false
		for _, c := range Candidates(receipt) {
			found = found || c.Key == Normalise(resp) && (c.Resp == rf && c.Receipt == cf || c.Resp == Raw)
		}
		if !found {
			t.Errorf("no candidate of %q is %q: %v", receipt, Normalise(resp), Candidates(receipt))
		}
	}
}
