package jobs

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"masar/service/reminder"
	"masar/smpp/pdu"
)

func TestAllDatesOfAServiceAreMoved(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		var list []reminder.Reminder
		for i := range 5000 {
			m := of(fmt.Sprint(i), "2000-03-08")
			if i%5 == 0 {
				m.Service = "IDR"
			}
			if i%7 == 0 {
				m.Account = "traffic"
			}
			list = append(list, m)
		}
		if _, err := s.r.PutMany(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		s.put(of("waits", "2000-01-08"))
		s.put(of("gone", "2000-03-08"))
		if _, err := s.r.Delete(t.Context(), "civil", "gone", ""); err != nil {
			t.Fatal(err)
		}
		s.until("2000-01-01 09:00")
		s.wantSteps("waits", "pending 7:outx1")
		time.Sleep(time.Second)
		want := int64(1)
		for i := range list {
			if list[i].Account == "civil" && list[i].Service == "PLN" {
				want++
			}
		}
		dry, err := s.r.MoveDry(t.Context(), "civil", "PLN", 30)
		if err != nil || dry != (reminder.MoveResult{Moved: want}) {
			t.Fatalf("%+v would be moved, want %d: %v", dry, want, err)
		}
		s.wantSteps("waits", "pending 7:outx1")
		moved, err := s.r.Move(t.Context(), "civil", "PLN", 30, "clerk")
		if err != nil || moved != dry {
			t.Fatalf("%+v moved, want %d: %v", moved, want, err)
		}
		s.wantSteps("waits", "pending 7:coming")
		if s.g.all[0].end != pdu.StateDeleted {
			t.Error("what waited for the old date was not taken back")
		}
		s.wantSteps("gone", "withdrawn 7:recalled")
		for i := range list {
			v, err := s.r.Get(t.Context(), list[i].Account, list[i].Key)
			expires := civil("2000-03-08")
			if list[i].Account == "civil" && list[i].Service == "PLN" {
				expires = civil("2000-04-07")
			}
			if err != nil || v.Expires != expires {
				t.Fatalf("%s expires %s, want %s: %v", v.Key, v.Expires, expires, err)
			}
		}
		rows, _, err := s.r.Due(t.Context(), reminder.Query{Account: "civil", Service: "PLN", From: moment("2000-03-31 00:00"), To: moment("2000-04-01 00:00"), Max: 10_000})
		if err != nil || len(rows) != int(want)-1 {
			t.Errorf("%d rows: %v", len(rows), err)
		}
		var wrong *reminder.FieldError
		for _, bad := range []struct {
			service string
			days    int
		}{{"XYZ", 1}, {"PLN", 0}, {"PLN", 4000}} {
			if _, err := s.r.Move(t.Context(), "civil", bad.service, bad.days, ""); !errors.As(err, &wrong) {
				t.Errorf("%+v: %v", bad, err)
			}
			if _, err := s.r.MoveDry(t.Context(), "civil", bad.service, bad.days); !errors.As(err, &wrong) {
				t.Errorf("%+v, dry: %v", bad, err)
			}
		}
		if s.r.underWay() != 0 {
			t.Error("a move is still under way")
		}
	})
}

func TestAMoveThatIsInterruptedGoesOn(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		var list []reminder.Reminder
		for i := range 3 * moveBatch {
			list = append(list, of(fmt.Sprint(i), "2000-03-08"))
		}
		if _, err := s.r.PutMany(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		// Somebody holds one of the second batch: the move waits there, and the power goes.
		hash := []uint64{reminder.Hash("civil", fmt.Sprint(moveBatch+5))}
		if err := s.r.holding.take(t.Context(), hash); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := s.r.Move(ctx, "civil", "PLN", 30, "clerk")
			done <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		cut := s.powerCut()
		s.r.holding.give(hash)
		s.crash(cut)
		synctest.Wait()
		for i := range list {
			if v, err := s.r.Get(t.Context(), "civil", list[i].Key); err != nil || v.Expires != civil("2000-04-07") {
				t.Fatalf("%s expires %s: %v", v.Key, v.Expires, err)
			}
		}
		if moves, err := s.store.Moves(); err != nil || len(moves) != 0 {
			t.Errorf("%+v %v", moves, err)
		}
	})
}

func TestAMoveIntoThePastLeavesThoseAsTheyAreAndCountsThem(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		s.out(of("waits", "2000-01-08"))
		s.put(of("today", "2000-01-31"))
		s.put(of("yesterday", "2000-01-30"))
		s.put(of("later", "2000-03-31"))
		want := reminder.MoveResult{Moved: 2, Past: 2}
		if res, err := s.r.MoveDry(t.Context(), "civil", "PLN", -30); err != nil || res != want {
			t.Errorf("dry: %+v, want %+v: %v", res, want, err)
		}
		if res, err := s.r.Move(t.Context(), "civil", "PLN", -30, "clerk"); err != nil || res != want {
			t.Errorf("%+v, want %+v: %v", res, want, err)
		}
		for key, expires := range map[string]string{"waits": "2000-01-08", "yesterday": "2000-01-30", "today": "2000-01-01", "later": "2000-03-01"} {
			if v, err := s.r.Get(t.Context(), "civil", key); err != nil || v.Expires != civil(expires) {
				t.Errorf("%s expires %s, want %s: %v", key, v.Expires, expires, err)
			}
		}
		s.wantSteps("waits", "pending 7:outx1") // it was not taken back
		s.wantSteps("yesterday", "pending 7:coming")
		s.wantSteps("later", "pending 7:coming")
	})
}

// A restart in the middle: what was counted before it is in the row of the move.
func TestAMoveCountsOverARestart(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		var list []reminder.Reminder
		for i := range 2 * moveBatch {
			list = append(list, of(fmt.Sprint(i), []string{"2000-03-08", "2000-01-20"}[i%2]))
		}
		if _, err := s.r.PutMany(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		hash := []uint64{reminder.Hash("civil", fmt.Sprint(moveBatch+5))}
		if err := s.r.holding.take(t.Context(), hash); err != nil {
			t.Fatal(err)
		}
		told := make(chan error)
		go func() {
			_, err := s.r.Move(context.Background(), "civil", "PLN", -30, "clerk")
			told <- err
		}()
		synctest.Wait()
		half := reminder.MoveResult{Moved: moveBatch / 2, Past: moveBatch / 2}
		if moves, err := s.store.Moves(); err != nil || len(moves) != 1 || moves[0].MoveResult != half {
			t.Errorf("%+v %v", moves, err)
		}
		cut := s.powerCut()
		old := s.r
		closed := make(chan struct{})
		go func() { defer close(closed); old.Close() }()
		if err := <-told; !errors.Is(err, errNotStarted) {
			t.Error(err)
		}
		<-closed
		s.r.holding.give(hash)
		if _, err := old.Move(t.Context(), "civil", "PLN", 1, ""); !errors.Is(err, errNotStarted) {
			t.Errorf("a move after Close: %v", err)
		}
		s.crash(cut)
		synctest.Wait()
		if moves, err := s.store.Moves(); err != nil || len(moves) != 0 {
			t.Errorf("%+v %v", moves, err)
		}
		if n := s.metric("masar_reminder_moved_total"); n != moveBatch/2 {
			t.Errorf("%v moved since the restart", n)
		}
	})
}

// Close comes while some wait for a move, and others ask for one: nobody waits for ever.
func TestWhoeverWaitsForAMoveIsToldWhenItCloses(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		s.put(of("a", "2000-03-08"))
		time.Sleep(time.Second)
		hash := []uint64{reminder.Hash("civil", "a")}
		if err := s.r.holding.take(t.Context(), hash); err != nil {
			t.Fatal(err)
		}
		const waiters = 20
		told := make(chan error, waiters)
		for i := range waiters {
			go func() {
				if i >= waiters/2 {
					time.Sleep(time.Second) // the moment of Close
				}
				_, err := s.r.Move(context.Background(), "civil", "PLN", 1, "clerk")
				told <- err
			}()
		}
		time.Sleep(time.Second)
		go s.r.Close()
		for range waiters {
			if err := <-told; !errors.Is(err, errNotStarted) {
				t.Error(err)
			}
		}
		s.r.holding.give(hash)
		synctest.Wait()
	})
}
