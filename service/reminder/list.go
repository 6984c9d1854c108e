package reminder

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/service"
)

// Pages of lists.
const (
	pageRows  = 100
	pageMost  = 10_000
	pageLooks = 200_000 // rows of other services that one page passes over
)

func page(asked int) int {
	if asked <= 0 {
		return pageRows
	}
	return min(asked, pageMost)
}

// Coming lists messages that are to come, by when they are due. A page may be empty and
// yet have a next one; the last has none.
func (st *Store) Coming(q Query) (rows []DueRow, next string, err error) {
	if err := st.db.Begin(); err != nil {
		return nil, "", err
	}
	defer st.db.End()
	account, known := st.names.number(accountName, q.Account)
	code, offered := st.names.number(serviceName, q.Service)
	if !known || q.Service != "" && !offered {
		return nil, "", nil
	}
	prefix := comingKey(nil, account, 0, 0)[:5]
	from := comingKey(nil, account, unix(q.From), 0)
	if q.After != "" {
		rest, err := hex.DecodeString(q.After)
		if err != nil || len(rest) != 16 {
			return nil, "", &FieldError{"after", fmt.Sprintf("%q is not the next of a page", short(q.After))}
		}
		from = append(append([]byte(nil), prefix...), rest...)
	}
	most, looks := page(q.Max), pageLooks
	err = each(st.db, prefix, from, func(k, v []byte) (bool, error) {
		if len(k) != 21 || len(v) != 4 {
			return false, errRow
		}
		due := int64(be.Uint64(k[5:]))
		switch {
		case !q.To.IsZero() && due >= unix(q.To):
			return false, nil
		case len(rows) == most || looks == 0:
			next = hex.EncodeToString(k[5:])
			return false, nil
		}
		if q.Service != "" && be.Uint32(v) != code {
			looks--
			return true, nil
		}
		s, err := st.read(be.Uint64(k[13:]))
		if errors.Is(err, ErrUnknown) || err == nil && s.comingAt() != due {
			return true, nil // it has changed since the list was begun
		}
		if err != nil {
			return false, err
		}
		step := s.AtHand()
		rows = append(rows, DueRow{
			Key: s.Key, Person: s.Person, Number: s.Reminder.Number, Service: s.Service, Expires: s.Expires,
			Lead: step.Lead, Try: int(step.Try), Due: step.Due,
		})
		return true, nil
	})
	return rows, next, err
}

// Unreached lists who was not reached on a day.
func (st *Store) Unreached(q UnreachedQuery) (rows []Unreached, next string, err error) {
	if err := st.db.Begin(); err != nil {
		return nil, "", err
	}
	defer st.db.End()
	account, known := st.names.number(accountName, q.Account)
	code, offered := st.names.number(serviceName, q.Service)
	if !known || q.Service != "" && !offered {
		return nil, "", nil
	}
	prefix := unreachKey(nil, account, q.Day, 0, 0, 0)[:9]
	var from []byte
	if q.After != "" {
		rest, err := hex.DecodeString(q.After)
		if err != nil || len(rest) != 13 {
			return nil, "", &FieldError{"after", fmt.Sprintf("%q is not the next of a page", short(q.After))}
		}
		from = append(append([]byte(nil), prefix...), rest...)
	}
	most, looks := page(q.Max), pageLooks
	err = each(st.db, prefix, from, func(k, v []byte) (bool, error) {
		if len(k) != 22 {
			return false, errRow
		}
		if len(rows) == most || looks == 0 {
			next = hex.EncodeToString(k[9:])
			return false, nil
		}
		u, of, err := readUnreached(v)
		if err != nil {
			return false, err
		}
		if q.Service != "" && of != code {
			looks--
			return true, nil
		}
		u.Service = st.names.name(serviceName, of)
		rows = append(rows, u)
		return true, nil
	})
	return rows, next, err
}

// ForgetUnreached drops the lists of days before one.
func (st *Store) ForgetUnreached(before service.Day) error {
	if err := st.db.Begin(); err != nil {
		return err
	}
	defer st.db.End()
	for _, account := range st.names.accounts() {
		from, to := unreachKey(nil, account, dayNumbered(0), 0, 0, 0)[:9], unreachKey(nil, account, before, 0, 0, 0)[:9]
		if err := st.db.DeleteRange(from, to, pdb.NoSync); err != nil {
			return err
		}
	}
	return nil
}

// Bookmark is how far a bulk file is; the zero Bookmark when it never began.
func (st *Store) Bookmark(job string) (m service.Bookmark, err error) {
	if err := st.db.Begin(); err != nil {
		return m, err
	}
	defer st.db.End()
	v, closer, err := st.db.Get(bookmarkKey(nil, job))
	if errors.Is(err, pdb.ErrNotFound) {
		return service.Bookmark{}, nil
	}
	if err != nil {
		return m, err
	}
	defer closer.Close()
	return readBookmark(job, v)
}

// ForgetBookmarks drops those that are not written any more since a moment.
func (st *Store) ForgetBookmarks(before time.Time) error {
	if err := st.db.Begin(); err != nil {
		return err
	}
	defer st.db.End()
	return each(st.db, []byte{kindBookmark}, nil, func(k, v []byte) (bool, error) {
		m, err := readBookmark(string(k[1:]), v)
		if err == nil && m.At.Before(before) {
			err = st.db.Delete(append([]byte(nil), k...), pdb.NoSync)
		}
		return true, err
	})
}
