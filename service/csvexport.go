package service

import (
	"context"
	"encoding/csv"
	"io"
	"slices"
	"strconv"
	"time"
)

// A Filter says what Export writes. The zero value: everything.
type Filter struct {
	Channel  string   // only enrolments that this channel made
	Services []string // only these
	State    string   // only in this state, as EnrolmentState.String; empty: any
}

// exportColumns: person_hash and not person, because a file of hashes that is imported
// again would be hashed again.
var exportColumns = []string{"person_hash", "number", "language", "state", "service", "enrolment", "channel", "consent_at", "by_person", "since"}

// Export writes every enrolment that the filter lets through as a row of CSV and returns
// how many it wrote. Times are RFC 3339 in UTC, empty where there is none. It sees each
// subscriber whole, the registry as it goes on changing.
func Export(ctx context.Context, r Registry, w io.Writer, f Filter) (rows int64, err error) {
	out := csv.NewWriter(w)
	if err := out.Write(exportColumns); err != nil {
		return 0, err
	}
	rec := make([]string, len(exportColumns))
	err = r.Each(ctx, func(s *Subscriber) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		for i := range s.Enrolments {
			e := &s.Enrolments[i]
			if f.Channel != "" && e.Channel != f.Channel ||
				f.State != "" && e.State.String() != f.State ||
				len(f.Services) > 0 && !slices.Contains(f.Services, e.Service) {
				continue
			}
			rec = append(rec[:0], s.Person.String(), s.Number.String(), s.Language, s.State.String(),
				e.Service, e.State.String(), e.Channel, moment(e.At), strconv.FormatBool(e.ByPerson), moment(s.Since))
			if err := out.Write(rec); err != nil {
				return err
			}
			rows++
		}
		return nil
	})
	out.Flush()
	if err == nil {
		err = out.Error()
	}
	return rows, err
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
