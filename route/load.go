package route

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"time"
)

// change is one line of a delta.
type change struct {
	row  uint64
	gone bool
}

// loader collects what the files say.
type loader struct {
	known   func(string) bool
	numbers map[string]uint64 // index of a name in routes
	routes  []string
	rows    []uint64
	mod     time.Time
}

// route is the index of a name. Its error is a *ParseError.
func (l *loader) route(file string, e entry) (uint64, error) {
	if i, seen := l.numbers[string(e.route)]; seen {
		return i, nil
	}
	name := string(e.route)
	switch {
	case l.known != nil && !l.known(name):
		return 0, &ParseError{File: file, Line: e.line, What: fmt.Sprintf("no route is named %q", name)}
	case len(l.routes) == maxRoutes:
		return 0, &ParseError{File: file, Line: e.line, What: fmt.Sprintf("more than %d different routes", maxRoutes)}
	}
	i := uint64(len(l.routes))
	l.numbers[name] = i
	l.routes = append(l.routes, name)
	return i, nil
}

// open opens a file and takes note of its time.
func (l *loader) open(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if info.ModTime().After(l.mod) {
		l.mod = info.ModTime()
	}
	return f, nil
}

// full reads the full file into sorted rows.
func (l *loader) full(path string) error {
	f, err := l.open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines, err := countLines(f)
	if err != nil {
		return err
	}
	l.rows = make([]uint64, 0, lines)
	err = scan(f, path, false, func(e entry) error {
		r, err := l.route(path, e)
		if err != nil {
			return err
		}
		l.rows = append(l.rows, e.number<<routeBits|r)
		return nil
	})
	if err != nil {
		return err
	}
	if !slices.IsSorted(l.rows) {
		slices.Sort(l.rows)
	}
	l.rows = slices.Compact(l.rows) // the same line twice says nothing new
	for i := 1; i < len(l.rows); i++ {
		if n := l.rows[i] >> routeBits; n == l.rows[i-1]>>routeBits {
			return twice(path, n)
		}
	}
	return nil
}

// twice reads the file once more to say on which lines the number stands.
func twice(path string, number uint64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	first, route := 0, ""
	err = scan(f, path, false, func(e entry) error {
		switch {
		case e.number != number:
		case first == 0:
			first, route = e.line, string(e.route)
		case string(e.route) != route:
			return &ParseError{File: path, Line: e.line,
				What: fmt.Sprintf("the number has another route on line %d: %q there, %q here", first, route, e.route)}
		}
		return nil
	})
	if err == nil {
		err = fmt.Errorf("%s: a number has two routes; the file is being changed", path)
	}
	return err
}

// delta adds a delta's lines to changes.
func (l *loader) delta(path string, changes []change) ([]change, error) {
	f, err := l.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	err = scan(f, path, true, func(e entry) error {
		c := change{row: e.number << routeBits, gone: e.op == remove}
		if !c.gone {
			r, err := l.route(path, e)
			if err != nil {
				return err
			}
			c.row |= r
		}
		changes = append(changes, c)
		return nil
	})
	return changes, err
}

// apply puts changes on rows; of several for one number the last holds. rows is
// overwritten, and grown by exactly what is new.
func apply(rows []uint64, changes []change) []uint64 {
	if len(changes) == 0 {
		return rows
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.row>>routeBits, b.row>>routeBits) })
	kept, from := 0, 0
	var added []uint64
	for i, c := range changes {
		n := c.row >> routeBits
		if i+1 < len(changes) && changes[i+1].row>>routeBits == n {
			continue
		}
		for from < len(rows) && rows[from]>>routeBits < n {
			rows[kept] = rows[from]
			kept, from = kept+1, from+1
		}
		there := from < len(rows) && rows[from]>>routeBits == n
		switch {
		case there && !c.gone:
			rows[kept] = c.row
			kept++
		case !there && !c.gone:
			added = append(added, c.row)
		}
		if there {
			from++
		}
	}
	kept += copy(rows[kept:], rows[from:])
	rows = rows[:kept]
	if len(added) == 0 {
		return rows
	}
	// Both are sorted: merge from the end, into the same memory where it has room.
	all := rows
	if cap(rows) < kept+len(added) {
		all = make([]uint64, kept+len(added))
		copy(all, rows)
	}
	all = all[:kept+len(added)]
	for at, a := len(all)-1, len(added)-1; a >= 0; at-- {
		if kept > 0 && all[kept-1] > added[a] {
			kept--
			all[at] = all[kept]
		} else {
			all[at] = added[a]
			a--
		}
	}
	return all
}
