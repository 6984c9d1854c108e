package jobs

import (
	"context"
	"errors"
	"io"
	"strings"

	"masar/service"
	"masar/service/reminder"
)

const importRows = 2000

// Import puts the rows of a file, from where an earlier Import of the same Job came to, and
// returns how far it is: also with an error, when what it tells is on disk. A row that is
// wrong goes to the bad rows and costs the others nothing; a file that cannot be what was
// meant is refused whole (*service.FileError). Each batch is written with its bookmark, so
// every row is counted once, whenever the process is killed. It keeps one batch in memory.
func (r *Reminders) Import(ctx context.Context, im reminder.Import, src io.ReadSeeker, bad service.BadRows) (service.Bookmark, error) {
	if im.Job == "" {
		return service.Bookmark{}, errors.New("an import needs a job's name")
	}
	bm, err := r.store.Bookmark(im.Job)
	if err != nil || bm.Done {
		return bm, err
	}
	bm.Job = im.Job
	table, err := service.OpenTable(ctx, src, im.Encoding, im.JSONLines)
	if err != nil {
		return bm, err
	}
	im.Catalogue = r.o.Catalogue()
	rows, err := reminder.ReadRows(im.Rows, table)
	if err != nil {
		return bm, err
	}
	if err := table.Go(src, bm.Line, bm.Offset); err != nil {
		return bm, err
	}
	out, err := service.BadRowsOf(table, bad, bm.BadOffset)
	if err != nil {
		return bm, err
	}
	if im.BatchRows <= 0 {
		im.BatchRows = importRows
	}
	for !bm.Done {
		next, err := r.importBatch(ctx, &im, rows, bm, out)
		if err != nil {
			return bm, err
		}
		if bm = next; im.Progress != nil {
			im.Progress(bm)
		}
	}
	return bm, nil
}

// BookmarkOf is how far the Import of a job is; the zero Bookmark when it never began.
func (r *Reminders) BookmarkOf(_ context.Context, job string) (service.Bookmark, error) {
	return r.store.Bookmark(job)
}

// importBatch puts the next rows and returns the bookmark that is on disk with them.
func (r *Reminders) importBatch(ctx context.Context, im *reminder.Import, rows *reminder.RowReader, was service.Bookmark, out *service.BadRowWriter) (service.Bookmark, error) {
	bm := was
	var list []reminder.Reminder
	var from, wrong []service.BadRow // of each of list; what is wrong
	for n := 0; n < im.BatchRows; n++ {
		has, err := rows.Next()
		if err != nil {
			return was, err
		}
		if !has {
			bm.Done = true
			break
		}
		bm.Rows++
		m, no := rows.Row()
		if no != nil {
			wrong = append(wrong, *no)
			continue
		}
		list = append(list, m)
		from = append(from, *rows.Table().Bad("", ""))
	}
	bm.Line, bm.Offset, bm.At = rows.Table().Line(), rows.Table().Offset(), r.o.Now()
	var failed error
	_, err := r.putMany(ctx, list, im.Services, func(all []reminder.PutOutcome) *service.Bookmark {
		for i := range all {
			switch {
			case all[i].Err != nil:
				row := from[i]
				row.Column, row.Rule = refusedRow(all[i].Err)
				wrong = append(wrong, row)
			case all[i].Status == reminder.PutUnchanged:
				bm.Good++
				bm.Nothing++
			default:
				bm.Good++
				bm.Changed++
			}
		}
		bm.Bad += int64(len(wrong))
		// Into the page cache, before the commit: what of it is not committed is cut off on going on.
		bm.BadOffset, failed = out.Write(wrong)
		return &bm
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return was, err
	}
	return bm, nil
}

// refusedRow tells of several mistakes in one row: the first one's column, all rules.
func refusedRow(err error) (column, rule string) {
	var first *reminder.FieldError
	if !errors.As(err, &first) {
		return "", err.Error()
	}
	if list, ok := err.(interface{ Unwrap() []error }); ok && len(list.Unwrap()) > 1 {
		return first.Field, "refused: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return first.Field, "refused: " + first.Rule
}
