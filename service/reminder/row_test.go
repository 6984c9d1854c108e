package reminder

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"masar/service"
)

var personKey = service.Key{1, 2, 3}

func rowsOf(t testing.TB) Rows {
	return Rows{Account: "civil", Channel: "portal", By: "clerk", Catalogue: catalogue(t), Key: &personKey, Country: "966"}
}

func readAll(t testing.TB, o Rows, file string, jsonLines bool) (list []Reminder, bad []service.BadRow, err error) {
	t.Helper()
	table, err := service.OpenTable(t.Context(), strings.NewReader(file), "", jsonLines)
	if err != nil {
		return nil, nil, err
	}
	r, err := ReadRows(o, table)
	if err != nil {
		return nil, nil, err
	}
	for {
		has, err := r.Next()
		if err != nil || !has {
			return list, bad, err
		}
		if m, no := r.Row(); no != nil {
			bad = append(bad, *no)
		} else {
			list = append(list, m)
		}
	}
}

func TestRowsOfBothFormsAreTheSameReminders(t *testing.T) {
	want := []Reminder{
		{Account: "civil", Key: "A-1", Person: personKey.Person("1000000001"), Service: "IDR", Expires: day("2027-06-20"), Params: map[string]string{"document": "****1"}, Channel: "portal", By: "clerk"},
		{Account: "civil", Key: "A-2", Number: 966500000002, Service: "PLN", Expires: day("2027-02-11"), Calendar: UmmAlQura, Lead: []int{30, 7}, Params: map[string]string{"document": "****2"}, Channel: "portal", By: "clerk"},
	}
	files := map[string]struct {
		text      string
		jsonLines bool
	}{
		"CSV": {"\ufeffKey;person;Number;SERVICE;expiry_date;calendar;lead_days;document\r\nA-1;100-000-0001;;idr;2027-06-20;;;****1\r\n\r\nA-2;;0500000002;PLN;١٤٤٨/٩/٤;hijri;\"30;7\";****2\r\n", false},
		"CSV in Arabic, a parameter by its prefix": {"المرجع,رقم الهوية,رقم الجوال,رمز الخدمة,تاريخ الانتهاء,التقويم,أيام التذكير,params.document\nA-1,1000000001,,IDR,2027-06-20,gregorian,,****1\nA-2,,+966500000002,PLN,1448-09-04,Hijri,30 ٧,****2\n", false},
		"JSON Lines": {`{"key":"A-1","person":"1000000001","service":"IDR","expires":"2027-06-20","params":{"document":"****1"}}` + "\n" +
			`{"key":"A-2","number":"0500000002","service":"PLN","expires":"1448-09-04","calendar":"hijri","lead_days":[30,7],"params":{"document":"****2"}}`, true},
	}
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			got, bad, err := readAll(t, rowsOf(t), file.text, file.jsonLines)
			if err != nil || len(bad) > 0 || !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v\nwant %+v\n%+v %v", got, want, bad, err)
			}
		})
	}
}

func TestFilesThatCannotBeWhatWasMeantAreRefusedWhole(t *testing.T) {
	for _, row := range []struct {
		name, file string
		change     func(*Rows)
		want       string
	}{
		{"empty", "", nil, "the file is empty"},
		{"no key", "number,service,expires\n", nil, "line 1, column key: is missing"},
		{"nobody to tell", "key,service,expires\n", nil, "line 1, column person or number: is missing"},
		{"no date", "key,number,service\n", nil, "line 1, column expires: is missing"},
		{"no service", "key,number,expires\n", nil, "line 1, column service: is missing"},
		{"an unknown column", "key,number,service,expires,colour\n", nil, "line 1, column colour: is not known"},
		{"a column twice", "key,number,mobile,service,expires\n", nil, "line 1, column mobile: is there twice"},
		{"a parameter twice", "key,number,service,expires,document,params.document\n", nil, "line 1, column params.document: is there twice"},
		{"persons without their key", "key,person,service,expires\n", func(o *Rows) { o.Key = nil }, "line 1, column person: cannot be read"},
		{"two encodings", "key,number,service,expires\nA,0500000002,PLN,2027-06-20\n\xe4,0500000002,PLN,2027-06-20\n", nil, "line 3: is not UTF-8"},
		{"behind blank lines", "\n\nkey,number,service\n", nil, "line 3, column expires: is missing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := rowsOf(t)
			if row.change != nil {
				row.change(&o)
			}
			list, _, err := readAll(t, o, row.file, false)
			var wrong *service.FileError
			if !errors.As(err, &wrong) || !strings.HasPrefix(err.Error(), row.want) || len(list) > 0 {
				t.Errorf("%v\nwant %s", err, row.want)
			}
		})
	}
	o := rowsOf(t)
	o.Service, o.Calendar = "PLN", UmmAlQura
	if list, bad, err := readAll(t, o, "key,number,expires\nA,0500000002,1448-09-04\n", false); err != nil || len(bad) > 0 || list[0].Service != "PLN" || list[0].Expires != day("2027-02-11") {
		t.Errorf("a file of one service and calendar: %+v %+v %v", list, bad, err)
	}
}

func TestAWrongRowNamesItsColumnAndRule(t *testing.T) {
	const header = "key,person,number,service,expires,calendar,lead_days,document\n"
	for _, row := range []struct{ name, row, column, rule string }{
		{"another number of columns", "A,,0500000002,PLN", "", "wrong_columns: has 4, the header 8"},
		{"a quote that is not closed", `A,,"0500000002,PLN,2027-06-20,,,x`, "", "bad_quotes"},
		{"no number", "A,,12ab,PLN,2027-06-20,,,x", "number", `bad_character: "12ab" is no number`},
		{"no person", "A,--,,PLN,2027-06-20,,,x", "person", `empty: "--" has no letter`},
		{"no date", "A,,0500000002,PLN,soon,,,x", "expires", `bad_date: "soon" is no date`},
		{"an impossible date", "A,,0500000002,PLN,1448-09-30,hijri,,x", "expires", "bad_date: 1448-09-30: Ramadan 1448 has 29 days"},
		{"no calendar", "A,,0500000002,PLN,2027-06-20,julian,,x", "calendar", `bad_value: "julian"`},
		{"no days", "A,,0500000002,PLN,2027-06-20,,30 soon,x", "lead_days", `bad_value: "soon"`},
		{"another's service", "A,,0500000002,REC,2027-06-20,,,x", "service", `unknown_service: "REC"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := rowsOf(t)
			o.Services = func(code string) bool { return code == "PLN" }
			list, bad, err := readAll(t, o, header+row.row+"\nB,,0500000002,PLN,2027-06-20,,,x\n", false)
			if err != nil || len(bad) != 1 || len(list) != 1 || list[0].Key != "B" {
				t.Fatalf("%+v %+v %v", list, bad, err)
			}
			if bad[0].Line != 2 || bad[0].Column != row.column || !strings.HasPrefix(bad[0].Rule, row.rule) {
				t.Errorf("%+v", bad[0])
			}
		})
	}
	for _, row := range []struct{ name, row, column, rule string }{
		{"no object", `["A"]`, "", "bad_value"},
		{"broken off", `{"key":"A"`, "", "bad_json"},
		{"something behind it", `{"key":"A","number":"0500000002","service":"PLN","expires":"2027-06-20"} {}`, "", "bad_json: something"},
		{"an unknown field", `{"key":"A","colour":"red"}`, "", `bad_json: unknown field "colour"`},
		{"another kind of value", `{"key":7}`, "key", "bad_value: a number stands there"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, bad, err := readAll(t, rowsOf(t), row.row, true)
			if err != nil || len(bad) != 1 || bad[0].Column != row.column || !strings.HasPrefix(bad[0].Rule, row.rule) {
				t.Errorf("%+v %v", bad, err)
			}
		})
	}
}

func TestWhatAReminderMayNotBeIsNamed(t *testing.T) {
	cat := catalogue(t)
	now := at("2027-05-01 12:00")
	sound := Reminder{Account: "civil", Key: "A-1", Number: 966500000001, Service: "IDR", Expires: day("2027-06-20"), Params: map[string]string{"document": "****1"}}
	for _, row := range []struct {
		name   string
		change func(*Reminder)
		want   string // all mistakes; empty: sound
	}{
		{"nothing", func(*Reminder) {}, ""},
		{"no key", func(r *Reminder) { r.Key = "" }, "key: is empty"},
		{"a long key", func(r *Reminder) { r.Key = strings.Repeat("ش", 65) }, "key: has 65 characters, at most 64 are allowed"},
		{"a key of 64", func(r *Reminder) { r.Key = strings.Repeat("ش", 64) }, ""},
		{"a key with a line end", func(r *Reminder) { r.Key = "A\n1" }, "key: holds U+000A, which cannot be printed"},
		{"a key that is not UTF-8", func(r *Reminder) { r.Key = "\xff" }, "key: is not UTF-8"},
		{"a blank behind a key", func(r *Reminder) { r.Key = "A " }, "key: begins or ends with a blank"},
		{"nobody", func(r *Reminder) { r.Number = 0 }, "person: is missing: a person or a number has to be told"},
		{"two", func(r *Reminder) { r.Person[0] = 1 }, "number: stands beside a person, who gets it at his own number: write one of the two"},
		{"no service", func(r *Reminder) { r.Service = "" }, "service: is missing"},
		{"an unknown service", func(r *Reminder) { r.Service = "XYZ" }, `service: "XYZ" is not in the catalogue`},
		{"a service of another kind", func(r *Reminder) { r.Service = "REC" }, "service: REC is of kind record: a reminder is of kind expiry"},
		{"a service without leads", func(r *Reminder) { r.Service = "PLN" }, "lead_days: is missing, and PLN has none of its own"},
		{"leads of its own", func(r *Reminder) { r.Service, r.Lead = "PLN", []int{3, 0} }, ""},
		{"leads that rise", func(r *Reminder) { r.Lead = []int{7, 7} }, "lead_days: 7 is not below 7, the one before: write them falling, once each"},
		{"a lead behind the date", func(r *Reminder) { r.Lead = []int{1, -1} }, "lead_days: -1 is outside 0 to 3650"},
		{"a lead of years", func(r *Reminder) { r.Lead = []int{3651} }, "lead_days: 3651 is outside 0 to 3650"},
		{"no date", func(r *Reminder) { r.Expires = service.Day{} }, "expires: is missing"},
		{"yesterday", func(r *Reminder) { r.Expires = day("2027-04-30") }, "expires: 2027-04-30 has passed"},
		{"yesterday in Hijri", func(r *Reminder) { r.Expires, r.Calendar = day("2027-04-30"), UmmAlQura }, "expires: 1448-11-23 has passed"},
		{"today", func(r *Reminder) { r.Expires = day("2027-05-01") }, ""},
		{"another century", func(r *Reminder) { r.Expires = day("2127-05-01") }, "expires: 2127-05-01 is more than 50 years ahead"},
		{"a parameter missing", func(r *Reminder) { r.Params = nil }, "params.document: is missing"},
		{"a parameter too long", func(r *Reminder) { r.Params = map[string]string{"document": strings.Repeat("1", 21)} }, "params.document: has 21 characters, at most 20 are allowed"},
		{"a parameter too many", func(r *Reminder) { r.Params = map[string]string{"document": "1", "place": "2"} }, "params.place: is no parameter of IDR; it takes document, expiry_date, days"},
		{"one that is filled in", func(r *Reminder) { r.Params = map[string]string{"document": "1", "days": "2"} }, "params.days: is filled in when the reminder leaves: leave it out"},
		{"no template yet", func(r *Reminder) { r.Service = "LTR" }, "service: the service has no template in force"},
		{"three at once", func(r *Reminder) { r.Key, r.Number, r.Lead = "", 0, []int{1, 2} },
			"key: is empty\nperson: is missing: a person or a number has to be told\nlead_days: 2 is not below 1, the one before: write them falling, once each"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := sound
			row.change(&r)
			lead, err := Check(&r, cat, now)
			got := ""
			if err != nil {
				got = err.Error()
				var f *FieldError
				if !errors.As(err, &f) {
					t.Errorf("%T", err)
				}
			} else if len(lead) == 0 {
				t.Error("no leads")
			}
			if got != row.want {
				t.Errorf("%s\nwant %s", got, row.want)
			}
		})
	}
}

func TestTheDateIsShownInTheAgencysCalendarAndDaysAsOfToday(t *testing.T) {
	cat := catalogue(t)
	r := Reminder{Service: "IDR", Expires: day("2027-02-11"), Params: map[string]string{"document": "D"}}
	got := FillIn(&r, cat.Service("IDR"), day("2027-02-01"))
	if want := map[string]string{"document": "D", ParamExpiry: "1448-09-04", ParamDays: "10"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

func FuzzRow(f *testing.F) {
	f.Add("A,,0500000002,PLN,2027-06-20,,30 7,x", false)
	f.Add(`{"key":"A","number":"0500000002","service":"PLN","expires":"2027-06-20","lead_days":[1]}`, true)
	f.Add("\"A\"\"\",1,2,3,4,5,6,7\n,,,,,,,", false)
	o := rowsOf(f)
	now := at("2027-05-01 12:00")
	f.Fuzz(func(t *testing.T, row string, jsonLines bool) {
		file := row
		if !jsonLines {
			file = "key,person,number,service,expires,calendar,lead_days,document\n" + row
		}
		list, bad, err := readAll(t, o, file, jsonLines)
		var wrong *service.FileError
		if err != nil && !errors.As(err, &wrong) {
			t.Fatal(err)
		}
		for _, b := range bad {
			if b.Rule == "" || b.Line < 1 {
				t.Fatalf("%+v", b)
			}
		}
		for i := range list {
			if lead, err := Check(&list[i], o.Catalogue, now); err == nil {
				s := new(Series)
				s.Set(list[i], lead, &Clock{Zone: riyadh, Tries: 3}, now)
				got, _, _, err := readSeries(appendSeries(nil, s, 1, 1))
				if err != nil || got.Key != list[i].Key || got.Expires != list[i].Expires {
					t.Fatalf("%+v: %v", list[i], err)
				}
			}
		}
	})
}
