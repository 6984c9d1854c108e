package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/smpp/smpptest"
	"masar/smpp/text"
)

// keywordSetup is a short code 1090 with its alias 7001, answered as of SUBAD and SUBRM.
func keywordSetup(t *testing.T, s *Setup, more ...func(c *ShortCode)) {
	t.Helper()
	words, err := service.NewKeywords(service.Words{
		Enrol: []string{"اشتراك", "START"}, Withdraw: []string{"إلغاء", "STOP"}, All: []string{"الكل", "ALL"}, Help: []string{"مساعدة", "HELP"},
		Known: func(code string) bool { return s.Catalogue.Service(code) != nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	texts := func(ar, en string) service.Texts { return service.Texts{"ar": ar, "en": en} }
	c := ShortCode{
		Numbers: []string{"1090", "7001"}, Words: words, Enrolled: "SUBAD", Withdrawn: "SUBRM",
		Replies: map[Reply]service.Texts{
			ReplyHelp:           texts("أرسل اشتراك أو إلغاء إلى {number}", "Write START or STOP to {number}"),
			ReplyUnknownService: texts("لا توجد خدمة {code}", "No service {code}"),
			ReplyNotEnrolled:    texts("لستم مشتركين في {service}", "Not enrolled in {service}"),
			ReplyAlready:        texts("أنتم مشتركون في {service}", "Already in {service}"),
			ReplyWithdrawnAll:   texts("ألغيت اشتراكاتكم", "You left everything"),
		},
	}
	for _, f := range more {
		f(&c)
	}
	s.Keywords = &Keywords{Account: "civil", Person: testKey.OfNumber, Codes: []ShortCode{c}}
}

// handsets is a rig with the short code, and what the carrier is sent.
type handsets struct {
	*rig
	reg   service.Registry
	heard chan smpptest.Message
}

func keywordRig(t *testing.T, o rigOptions, more ...func(s *Setup)) *handsets {
	t.Helper()
	h := &handsets{heard: make(chan smpptest.Message, 1000)}
	o.SMSC = map[string]smpptest.SMSCOptions{"a:1": {OnMessage: func(m *smpptest.Message) { h.heard <- *m }}}
	more = append([]func(s *Setup){func(s *Setup) { keywordSetup(t, s) }}, more...)
	time.Sleep(12 * time.Hour) // bubbles begin at midnight
	reg := service.Registry(nil)
	h.rig, reg = civilRig(t, o, more...)
	h.reg = reg
	return h
}

// writes sends a message from a handset and returns the carrier's word on it.
func (h *handsets) writes(from number.E164, txt string) error {
	return h.fromHandset(smpptest.MO{From: from.String(), To: "1090", Text: txt})
}

// says is the answer to a message from a handset.
func (h *handsets) says(from number.E164, txt string) string {
	h.t.Helper()
	if err := h.writes(from, txt); err != nil {
		h.t.Fatalf("%q: %v", txt, err)
	}
	select {
	case m := <-h.heard:
		if m.Dest != from.String() || m.Source != "1090" {
			h.t.Errorf("%q: the answer is from %s to %s", txt, m.Source, m.Dest)
		}
		return m.Text
	case <-time.After(time.Minute):
		h.t.Fatalf("%q: no answer", txt)
		return ""
	}
}

// silent fails when anything is sent within a minute.
func (h *handsets) silent(why string) {
	h.t.Helper()
	select {
	case m := <-h.heard:
		h.t.Errorf("%s: %q was sent to %s", why, m.Text, m.Dest)
	case <-time.After(time.Minute):
	}
}

// enrolled are the codes that somebody at the number is enrolled in.
func (h *handsets) enrolled(n number.E164) string {
	h.t.Helper()
	st, err := h.reg.Lookup(h.t.Context(), n)
	if err != nil {
		h.t.Fatal(err)
	}
	var codes []string
	if st != nil {
		for _, p := range st.People {
			for _, e := range p.Enrolments {
				if e.State == service.Enrolled && p.State == service.Active {
					codes = append(codes, e.Service)
				}
			}
		}
	}
	slices.Sort(codes)
	return strings.Join(codes, " ")
}

func TestPeopleEnrolAndWithdrawByKeyword(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := keywordRig(t, rigOptions{})
		for i, row := range []struct{ text, answer, enrolled string }{
			{"START IDREN", "Enrolled in Identity card on 2000-01-01. To leave: STOP IDREN", "IDREN"},
			{"start idren", "Already in Identity card renewal", "IDREN"},
			{"start PSREN IDREN", "Enrolled in Passport on 2000-01-01. To leave: STOP PSREN", "IDREN PSREN"},
			{"STOP IDREN", "Left Identity card on 2000-01-01. To come back: START IDREN", "PSREN"},
			{"STOP IDREN OTPEN", "Not enrolled in IDREN, OTPEN", "PSREN"},
			{"START NOSUC", "No service NOSUC", "PSREN"},
			{"STOP NOSUC", "No service NOSUC", "PSREN"},
			{"START OTPEN", "Already in Code", "PSREN"}, // mandatory: everybody is
			{"START", "Write START or STOP to 1090", "PSREN"},
			{"HELP", "Write START or STOP to 1090", "PSREN"},
			{"please take me off", "Write START or STOP to 1090", "PSREN"},
			{"STOP", "You left everything", ""},
			{"START PSREN", "Enrolled in Passport on 2000-01-01. To leave: STOP PSREN", "PSREN"},
			{"STOP ALL", "You left everything", ""},
		} {
			if i%4 == 3 {
				time.Sleep(time.Hour) // five answers an hour
			}
			answer := h.says(sara, row.text)
			if day := time.Now().UTC().Format(time.DateOnly); strings.ReplaceAll(answer, day, "2000-01-01") != row.answer {
				t.Errorf("%q was answered %q, want %q", row.text, answer, row.answer)
			}
			if got := h.enrolled(sara); got != row.enrolled {
				t.Errorf("after %q enrolled in %q, want %q", row.text, got, row.enrolled)
			}
		}
		sub, err := h.reg.Find(t.Context(), testKey.OfNumber(sara))
		if err != nil || sub.Number != sara || sub.Language != "en" || sub.Enrolments[0].Channel != ChannelSMS {
			t.Errorf("the person: %+v, %v", sub, err)
		}
		for verb, want := range map[string]float64{"enrol": 7, "withdraw": 3, "withdraw_all": 2, "help": 1, "unclear": 1} {
			if n := h.metric("masar_keywords_total", "verb="+verb); n != want {
				t.Errorf("masar_keywords_total %s is %v, want %v", verb, n, want)
			}
		}
		if n := h.metric("masar_keyword_replies_total", "result=sent"); n != 14 {
			t.Errorf("%v answers counted", n)
		}
	})
}

func TestAnAnswerIsInThePersonsLanguageElseTheWords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := keywordRig(t, rigOptions{})
		arab, english := number.E164(966501111111), number.E164(966502222222)
		apply(t, h.reg,
			service.Change{Kind: service.Enrol, Person: testKey.Person("1"), Number: arab, Services: []string{"PSREN"}, Verified: true, Language: "ar"},
			service.Change{Kind: service.Enrol, Person: testKey.Person("2"), Number: english, Services: []string{"PSREN"}, Verified: true, Language: "en"})
		for _, row := range []struct {
			from         number.E164
			text, answer string
		}{
			{arab, "HELP", "أرسل اشتراك أو إلغاء إلى 1090"},
			{english, "مساعدة", "Write START or STOP to 1090"},
			{sara, "مساعدة", "أرسل اشتراك أو إلغاء إلى 1090"},
			{sara, "Help", "Write START or STOP to 1090"},
			{sara, "ما هذا", "أرسل اشتراك أو إلغاء إلى 1090"},
			{fahad, "???", "أرسل اشتراك أو إلغاء إلى 1090"}, // nothing to go by: the catalogue's first
			{fahad, "الغـاء الكل", "ألغيت اشتراكاتكم"},
			{arab, "STOP PSREN", "ألغي اشتراككم في «الجواز» بتاريخ 2000-01-01. للعودة: اشتراك PSREN"},
		} {
			if answer := h.says(row.from, row.text); answer != row.answer {
				t.Errorf("%q was answered %q, want %q", row.text, answer, row.answer)
			}
		}
	})
}

func TestAnAnswerKeepsItsTemplateAndService(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := keywordRig(t, rigOptions{})
		h.says(sara, "START IDREN")
		found := false
		for id := range h.ids(t, "civil") {
			v, err := h.gw.Message(t.Context(), "civil", id)
			if err != nil {
				t.Fatal(err)
			}
			found = true
			if v.M.Template != "SUBAD/1/en" || v.M.ServiceType != "SUBAD" || !v.M.System {
				t.Errorf("%+v", v.M)
			}
		}
		if !found {
			t.Error("no message of the account")
		}
	})
}

// ids are the messages that were accepted, by the log.
func (h *handsets) ids(t *testing.T, account string) map[queue.ID]bool {
	t.Helper()
	all := map[queue.ID]bool{}
	for _, l := range h.log.find("submit accepted", "account="+account) {
		var id uint64
		if _, err := fmt.Sscanf(l.attrs["message_id"], "%x", &id); err != nil {
			t.Fatal(err)
		}
		all[queue.ID(id)] = true
	}
	return all
}

func TestAWithdrawalOfSomebodyUnknownIsKeptAndAnswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := keywordRig(t, rigOptions{})
		said := time.Now()
		if got := h.says(fahad, "STOP IDREN"); got != "Not enrolled in Identity card renewal" {
			t.Errorf("answered %q", got)
		}
		if got := h.says(fahad, "STOP"); got != "You left everything" {
			t.Errorf("answered %q", got)
		}
		// An older consent that a bulk file brings afterwards changes nothing.
		out, err := h.reg.Apply(t.Context(), service.Batch{Changes: []service.Change{{
			Kind: service.Enrol, Person: testKey.Person("9"), Number: fahad, Services: []string{"IDREN", "PSREN"}, Verified: true,
			Channel: "bank-a", At: said.Add(-24 * time.Hour), Now: time.Now(),
		}}})
		if err != nil || len(out[0].Kept) != 2 || h.enrolled(fahad) != "" {
			t.Errorf("%+v, %v; enrolled in %q", out, err, h.enrolled(fahad))
		}
	})
}

// TestAKeywordDoesNotWakeWhatTheFormerOwnerHad: a number reported recycled is somebody
// else's; what he writes enrols him, and nobody before him.
func TestAKeywordDoesNotWakeWhatTheFormerOwnerHad(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := keywordRig(t, rigOptions{})
		h.says(sara, "START IDREN") // by SMS: the number's own person
		apply(t, h.reg,
			service.Change{Kind: service.Enrol, Person: testKey.Person("1"), Number: sara, Services: []string{"PSREN", "DROPS"}, Verified: true},
			service.Change{Kind: service.MarkRecycled, Number: sara})
		h.says(sara, "START DROPS")
		if got := h.enrolled(sara); got != "DROPS" {
			t.Errorf("enrolled in %q, want what the new owner asked for alone", got)
		}
	})
}

func TestAPhoneThatIsSharedSpeaksForAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := keywordRig(t, rigOptions{})
		for _, who := range []string{"1", "2"} {
			apply(t, h.reg, service.Change{Kind: service.Enrol, Person: testKey.Person(who), Number: sara, Services: []string{"PSREN"}, Verified: true})
		}
		h.says(sara, "START IDREN")
		if got := h.enrolled(sara); got != "IDREN IDREN PSREN PSREN" {
			t.Errorf("enrolled in %q", got)
		}
		h.says(sara, "STOP PSREN")
		if got := h.enrolled(sara); got != "IDREN IDREN" {
			t.Errorf("enrolled in %q", got)
		}
	})
}

func TestARuleGoesBeforeTheHelpButNotBeforeAKeyword(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := keywordRig(t, rigOptions{}, func(s *Setup) {
			s.Mobile = []MobileRule{{To: "1090", Keyword: "VOTE", Account: "acme"}, {To: "1090", Keyword: "STOP", Account: "acme"}}
		})
		p := h.receiver()
		if err := h.writes(sara, "vote 7"); err != nil {
			t.Fatal(err)
		}
		if d := p.deliver(); textOf(t, d) != "vote 7" {
			t.Errorf("the account was delivered %q", textOf(t, d))
		}
		if got := h.says(sara, "veto 7"); got != "Write START or STOP to 1090" {
			t.Errorf("answered %q", got)
		}
		if got := h.says(sara, "STOP"); got != "You left everything" {
			t.Errorf("answered %q", got)
		}
		if err := h.fromHandset(smpptest.MO{From: "966501234567", To: "5555", Text: "STOP"}); err != nil {
			t.Fatal(err)
		}
		p.quiet(time.Minute)
		if n := h.metric("masar_mobile_unrouted_total"); n != 1 {
			t.Errorf("%v unrouted, want the one to another number", n)
		}
	})
}

func TestAKeywordInPartsIsReadWhole(t *testing.T) {
	for _, style := range []text.Style{text.UDH8, text.SAR} {
		t.Run(style.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := keywordRig(t, rigOptions{})
				long := "إلغاء" + strings.Repeat(" ", 80) + "الكل"
				h.says(sara, "START IDREN")
				if err := h.fromHandset(smpptest.MO{From: sara.String(), To: "1090", Text: long, Style: style, Order: []int{1, 0}}); err != nil {
					t.Fatal(err)
				}
				if m := <-h.heard; m.Text != "You left everything" { // START has said which language
					t.Errorf("answered %q", m.Text)
				}
				if got := h.enrolled(sara); got != "" {
					t.Errorf("enrolled in %q", got)
				}
				sets, err := h.store.MOSets(t.Context(), time.Time{}, 10)
				if err != nil || len(sets) > 0 {
					t.Errorf("%d sets are still in the store, %v", len(sets), err)
				}
			})
		})
	}
}

func TestARepetitionIsAnsweredOnceAndTwoMachinesFallSilent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := keywordRig(t, rigOptions{})
		h.says(sara, "START IDREN")
		if err := h.writes(sara, "START IDREN"); err != nil {
			t.Fatal(err)
		}
		h.silent("a repetition")

		// A machine that answers every message with another.
		for i := range 20 {
			if err := h.writes(fahad, fmt.Sprintf("I am away, number %d", i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if n := len(h.heard); n != repliesAnHour {
			t.Errorf("%d answers to twenty messages, want %d", n, repliesAnHour)
		}
		for len(h.heard) > 0 {
			<-h.heard
		}
		// What is asked for is done all the same.
		if err := h.writes(fahad, "START PSREN"); err != nil {
			t.Fatal(err)
		}
		h.silent("beyond the limit")
		if got := h.enrolled(fahad); got != "PSREN" {
			t.Errorf("enrolled in %q", got)
		}
		time.Sleep(time.Hour)
		if got := h.says(fahad, "HELP"); got == "" {
			t.Error("no answer an hour later")
		}
		for result, want := range map[string]float64{"sent": 7, "repeated": 1, "over_limit": 16} {
			if n := h.metric("masar_keyword_replies_total", "result="+result); n != want {
				t.Errorf("masar_keyword_replies_total %s is %v, want %v", result, n, want)
			}
		}
	})
}

// TestARepetitionAcrossARestartIsAnsweredOnce: the carrier did not hear that its message
// was taken, and the process that took it is gone.
func TestARepetitionAcrossARestartIsAnsweredOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := keywordRig(t, rigOptions{})
		h.says(sara, "STOP IDREN")
		h.restart()
		h.carrierUp("a")
		if err := h.writes(sara, "STOP IDREN"); err != nil {
			t.Fatal(err)
		}
		h.silent("a repetition after a restart")
		if got := h.says(sara, "START IDREN"); !strings.HasPrefix(got, "Enrolled in ") {
			t.Errorf("answered %q", got)
		}
	})
}

// TestAChangeOfMindIsAnsweredEachTime: the same words again, with others between.
func TestAChangeOfMindIsAnsweredEachTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := keywordRig(t, rigOptions{})
		for i := range 4 {
			word, want := "START PSREN", "PSREN"
			if i%2 == 1 {
				word, want = "STOP PSREN", ""
			}
			h.says(sara, word)
			if got := h.enrolled(sara); got != want {
				t.Errorf("after %q enrolled in %q", word, got)
			}
		}
	})
}

func TestABlockedNumberIsHeardAndNotAnswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := keywordRig(t, rigOptions{})
		apply(t, h.reg,
			service.Change{Kind: service.Enrol, Person: testKey.Person("1"), Number: sara, Services: []string{"PSREN"}, Verified: true},
			service.Change{Kind: service.BlockNumber, Number: sara, Block: service.Block{Scope: service.BlockAll, Reason: "asked"}})
		if err := h.writes(sara, "STOP"); err != nil {
			t.Fatal(err)
		}
		h.silent("a blocked number")
		if got := h.enrolled(sara); got != "" {
			t.Errorf("enrolled in %q", got)
		}
	})
}

// faulty is a registry that fails when told to.
type faulty struct {
	service.Registry
	mu   sync.Mutex
	err  error
	seen int
}

func (f *faulty) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *faulty) Apply(ctx context.Context, b service.Batch) ([]service.Outcome, error) {
	f.mu.Lock()
	err := f.err
	f.seen++
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return f.Registry.Apply(ctx, b)
}

func (f *faulty) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// TestAKeywordIsAcknowledgedOnlyWhenItsChangeIsOnDisk: until then the carrier is told to
// send it again, in one piece or in parts, and nothing of it is lost.
func TestAKeywordIsAcknowledgedOnlyWhenItsChangeIsOnDisk(t *testing.T) {
	for _, long := range []bool{false, true} {
		t.Run(map[bool]string{false: "one part", true: "two parts"}[long], func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := new(faulty)
				h := keywordRig(t, rigOptions{Options: func(o *Options) { f.Registry = o.Registry; o.Registry = f }})
				f.fail(errors.New("the disk is full"))
				word := "اشتراك IDREN"
				if long {
					word = "اشتراك" + strings.Repeat(" ", 80) + "IDREN"
				}
				acknowledged := make(chan error, 1)
				go func() { acknowledged <- h.writes(sara, word) }()
				h.wait("the change was refused", func() bool { return f.asked() >= 3 || long && f.asked() >= 1 })
				select {
				case err := <-acknowledged:
					if !long {
						t.Fatalf("acknowledged before the change: %v", err)
					}
				default:
				}
				f.fail(nil)
				if !long {
					if err := <-acknowledged; err != nil {
						t.Fatal(err)
					}
				}
				select {
				case <-h.heard:
				case <-time.After(time.Hour):
					t.Fatal("no answer")
				}
				if got := h.enrolled(sara); got != "IDREN" {
					t.Errorf("enrolled in %q", got)
				}
				if h.metric("masar_keyword_replies_total", "result=again") == 0 || h.metric("masar_mobile_incomplete_total") != 0 {
					t.Error("not counted as to be sent again, or counted as incomplete")
				}
				h.silent("a second answer")
			})
		})
	}
}

func TestWithoutACatalogueThereAreNoShortCodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := keywordRig(t, rigOptions{}, func(s *Setup) {
			s.Catalogue = nil
			s.Mobile = []MobileRule{{To: "1090", Account: "acme"}}
		})
		p := h.receiver()
		if err := h.writes(sara, "STOP"); err != nil {
			t.Fatal(err)
		}
		if d := p.deliver(); textOf(t, d) != "STOP" {
			t.Errorf("the account was delivered %q", textOf(t, d))
		}
	})
}

func TestAFloodOfKeywordsIsBoundedAndNothingIsLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := keywordRig(t, rigOptions{})
		const people = 600
		var wg sync.WaitGroup
		for i := range people {
			wg.Go(func() {
				if err := h.writes(number.E164(966500000000+i), "START IDREN"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		h.wait("all are answered", func() bool { return len(h.heard) == people })
		for i := range people {
			if got := h.enrolled(number.E164(966500000000 + i)); got != "IDREN" {
				t.Fatalf("number %d is enrolled in %q", i, got)
			}
		}
	})
}
