package admin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"masar/service"
)

// bulkQuery is what a caller says about a file.
type bulkQuery struct {
	Encoding  string `json:"encoding,omitempty"`
	Verified  bool   `json:"verified,omitempty"`
	DayFirst  bool   `json:"day_first,omitempty"`
	By        string `json:"by,omitempty"`
	Service   string `json:"service,omitempty"`
	Calendar  string `json:"calendar,omitempty"`
	JSONLines bool   `json:"json_lines,omitempty"`
}

// FileQuery is what may be said of any file.
type FileQuery struct {
	Idempotent
	Encoding string `query:"encoding" enum:"utf-8,windows-1256" default:"utf-8" doc:"of the file; UTF-8 may begin with a byte order mark"`
	By       string `query:"by" maxLength:"64" doc:"which clerk or user of the channel"`
	Channel  string `query:"channel" maxLength:"64" doc:"which channel made it, for who may speak for all of them (all-channels)"`
}

type jobOutput struct {
	Location string `header:"Location"`
	Replayed string `header:"Idempotency-Replayed" doc:"true: the file was uploaded before with this key"`
	Body     BulkJob
}

var csvBody = &huma.RequestBody{
	Required: true, Description: "The file. It is read as it comes and may be large; what is wrong with a row is told by the job.",
	Content: map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: "string"}}},
}

type uploadKey struct{}

// upload is the request and the answer as net/http has them: a file is read and written
// as a stream.
type upload struct {
	r *http.Request
	w http.ResponseWriter
}

// streamed hands the operation the request itself.
func streamed(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	next(huma.WithValue(ctx, uploadKey{}, upload{r, w}))
}

func (f *face) bulkOperations() {
	statuses := []int{http.StatusConflict, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity, http.StatusNotImplemented, http.StatusInsufficientStorage}
	operation(f, ScopeBulk|ScopeEnrol, huma.Operation{OperationID: "upload-enrolments", Method: http.MethodPost, Path: "/v1/bulk/enrolments", Tags: []string{"bulk"},
		Summary:       "Enrol and withdraw with a file of many rows",
		Description:   "Columns are named in the first line. The file is kept and a job begins, which goes on by itself after a restart; good rows are applied, bad ones are told with line and reason.",
		DefaultStatus: http.StatusAccepted, RequestBody: csvBody, Errors: statuses, Middlewares: huma.Middlewares{streamed}}, f.uploadEnrolments)
	operation(f, ScopeBulk|ScopeBlocklist, huma.Operation{OperationID: "upload-blocklist", Method: http.MethodPost, Path: "/v1/bulk/blocklist", Tags: []string{"bulk"},
		Summary: "Block the numbers of a file", Description: "Columns: number, scope (all, opt-in), reason, expires; the header may be missing. Numbers are added; none is unblocked, and another channel's block is only tightened.",
		DefaultStatus: http.StatusAccepted, RequestBody: csvBody, Errors: statuses, Middlewares: huma.Middlewares{streamed}}, f.uploadBlocklist)
	operation(f, ScopeBulk|ScopeReminders, huma.Operation{OperationID: "upload-reminders", Method: http.MethodPost, Path: "/v1/bulk/reminders", Tags: []string{"bulk"},
		Summary:       "Put the reminders of a file of many rows",
		Description:   "Each row is as a PUT of its key. CSV: the columns key, person or number, service, expires, calendar, lead_days, and the parameters of the templates are named in the first line. JSON Lines: objects with the fields of the PUT, and key. A job begins, which goes on by itself after a restart; good rows are kept, bad ones are told with line and reason.",
		DefaultStatus: http.StatusAccepted, RequestBody: tableBody, Errors: statuses, Middlewares: huma.Middlewares{streamed}}, f.uploadReminders)
	operation(f, ScopeBulk, huma.Operation{OperationID: "bulk-jobs", Method: http.MethodGet, Path: "/v1/bulk", Tags: []string{"bulk"},
		Summary: "Every job of the channel, the latest first", Errors: []int{http.StatusNotImplemented}}, f.listJobs)
	operation(f, ScopeBulk, huma.Operation{OperationID: "bulk-job", Method: http.MethodGet, Path: "/v1/bulk/{id}", Tags: []string{"bulk"},
		Summary: "How far a job is", Errors: []int{http.StatusNotFound, http.StatusNotImplemented}}, f.getJob)
	operation(f, ScopeBulk, huma.Operation{OperationID: "bulk-bad-rows", Method: http.MethodGet, Path: "/v1/bulk/{id}/bad", Tags: []string{"bulk"},
		Summary: "The bad rows of a job, with line and reason", Responses: plain("text/csv", "columns: line, column, rule, then the file's own; empty where no row was read yet"),
		Errors: []int{http.StatusNotFound, http.StatusNotImplemented}, Middlewares: huma.Middlewares{streamed}}, f.badRows)
}

func (f *face) uploadEnrolments(ctx context.Context, in *struct {
	FileQuery
	Verified bool `query:"verified" doc:"the channel has checked that the numbers are the persons', for rows that do not say"`
	DayFirst bool `query:"day_first" doc:"dates are 23/11/2026"`
}) (*jobOutput, error) {
	return f.take(ctx, new(mistakes), &jobFile{BulkJob: BulkJob{Kind: BulkEnrolments}, Params: bulkQuery{Verified: in.Verified, DayFirst: in.DayFirst}}, &in.FileQuery)
}

func (f *face) uploadBlocklist(ctx context.Context, in *struct{ FileQuery }) (*jobOutput, error) {
	return f.take(ctx, new(mistakes), &jobFile{BulkJob: BulkJob{Kind: BulkBlocklist}}, &in.FileQuery)
}

// jobs is the bulk folder.
func (a *api) jobs() (*bulk, error) {
	if _, err := a.registry(); err != nil {
		return nil, err
	}
	if a.bulk == nil {
		return nil, problem(http.StatusNotImplemented, "this gateway takes no files (api.bulk.dir)")
	}
	return a.bulk, nil
}

// take reads a file into the bulk folder and makes the job of it that j begins to describe.
func (f *face) take(ctx context.Context, m *mistakes, j *jobFile, q *FileQuery) (*jobOutput, error) {
	b, err := f.jobs()
	if err != nil {
		return nil, err
	}
	c, up := from(ctx), ctx.Value(uploadKey{}).(upload)
	j.Params.Encoding, j.Params.By = q.Encoding, clerk(m, q.By)
	j.Channel = c.speaksFor(m, q.Channel)
	if j.Kind != BulkBlocklist {
		if _, err := f.catalogue(); err != nil {
			return nil, err
		}
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	given := up.r.Header.Get("Content-Type")
	if j.Kind == BulkReminders {
		j.Params.JSONLines, err = tableType(given)
	} else {
		err = contentType(given)
	}
	if err != nil {
		return nil, err
	}
	if up.r.ContentLength > f.opt.Bulk.Max {
		return nil, tooLarge(f.opt.Bulk.Max)
	}
	if err := b.enter(); err != nil {
		return nil, err
	}
	defer b.leave()
	j.ID, j.State, j.Name, j.Services, j.Own = f.jobID(c, q.Key), JobQueued, c.name, c.services, c.only() != ""
	if err := b.receive(up, j); err != nil {
		return nil, err
	}
	// The answer's own time begins now: the server's began with the request.
	http.NewResponseController(up.w).SetWriteDeadline(time.Now().Add(writeWait))
	return b.add(j)
}

// jobID is the same for the same key, so that one file uploaded twice is one job; without
// a key it is random.
func (a *api) jobID(c *caller, key string) string {
	if key == "" {
		var id [16]byte
		rand.Read(id[:])
		return hex.EncodeToString(id[:])
	}
	mac := hmac.New(sha256.New, a.opt.PersonKey[:])
	mac.Write([]byte("bulk " + c.channel + "/" + key))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

func contentType(s string) error {
	t, _, err := mime.ParseMediaType(s)
	if err != nil || t != "text/csv" && t != "application/csv" && t != "application/octet-stream" {
		return problem(http.StatusUnsupportedMediaType, "the body is a file: Content-Type: text/csv", mistake("header.Content-Type", s, "is not text/csv"))
	}
	return nil
}

func tooLarge(most int64) error {
	return problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("a file has at most %d octets (api.bulk.max): cut it into several, each with the header", most))
}

func noRoom() error {
	return problem(http.StatusInsufficientStorage, "there is no room on the disk for this file: nothing of it was kept")
}

// enter lets an upload begin.
func (b *bulk) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting := 0
	for _, j := range b.jobs {
		if !j.over() {
			waiting++
		}
	}
	if b.up >= uploadsMost || waiting >= jobsMost {
		return retry(http.StatusTooManyRequests, fmt.Sprintf("%d files are being uploaded and %d wait: try again later", b.up, waiting), 30*time.Second)
	}
	b.up++
	return nil
}

func (b *bulk) leave() {
	b.mu.Lock()
	b.up--
	b.mu.Unlock()
}

// An upload may take as long as it takes, but not stand still: each read has readWait, and
// on the whole it has to come to slowest octets a second.
const (
	writeWait = time.Minute
	slowest   = 4 << 10
	roomEvery = 16 << 20 // octets between two looks at the disk
	bulkBlock = 256 << 10
)

var readWait = 30 * time.Second // tests have less patience

// receive writes the file to the folder, under a name that no job has yet, fsynced.
func (b *bulk) receive(up upload, j *jobFile) (err error) {
	if !b.room(up.r.ContentLength) {
		return noRoom()
	}
	file, err := os.CreateTemp(b.dir, j.ID+".*"+partSuffix) // mode 0600
	if err != nil {
		return diskProblem(err)
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			os.Remove(file.Name())
			err = diskProblem(err)
		}
	}()
	sum, body := sha256.New(), newPaced(up, b.a.opt.Bulk.Max)
	buf := make([]byte, bulkBlock)
	for looked := int64(0); ; {
		n, err := body.Read(buf)
		if n > 0 {
			sum.Write(buf[:n])
			if _, err := file.Write(buf[:n]); err != nil {
				return err
			}
			j.Octets += int64(n)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return readProblem(err, tooLarge(b.a.opt.Bulk.Max))
		}
		if j.Octets-looked >= roomEvery {
			looked = j.Octets
			if !b.room(0) {
				return noRoom()
			}
		}
	}
	if j.Octets == 0 {
		return problem(http.StatusUnprocessableEntity, "the file is empty", mistake("body", nil, "has no header"))
	}
	if err := file.Sync(); err != nil {
		return err
	}
	j.Sum, j.part = sum.Sum(nil), file.Name()
	return nil
}

// paced reads an upload: it may be slow, but not stand still.
type paced struct {
	body   io.Reader
	rc     *http.ResponseController
	began  time.Time
	octets int64
	failed error // why the body could not be read to its end
}

func newPaced(up upload, most int64) *paced {
	return &paced{body: http.MaxBytesReader(up.w, up.r.Body, most), rc: http.NewResponseController(up.w), began: time.Now()}
}

func (p *paced) Read(b []byte) (int, error) {
	now := time.Now()
	until := p.began.Add(readWait + time.Duration(p.octets/slowest)*time.Second)
	if by := now.Add(readWait); by.Before(until) {
		until = by
	}
	p.rc.SetReadDeadline(until)
	n, err := p.body.Read(b)
	p.octets += int64(n)
	switch {
	case err == io.EOF:
		// net/http reads on to notice that the caller has gone: what is done with the file
		// may take longer.
		p.rc.SetReadDeadline(time.Time{})
	case err != nil:
		p.failed = err
	}
	return n, err
}

func readProblem(err, large error) error {
	var most *http.MaxBytesError
	switch {
	case errors.As(err, &most):
		return large
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem(http.StatusRequestTimeout, "the file came too slowly, or stopped: nothing of it was kept")
	}
	return problem(http.StatusBadRequest, "the file broke off: nothing of it was kept")
}

// diskProblem is the answer where a file could not be written.
func diskProblem(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return noRoom()
	}
	return err
}

// add makes a received file a job; one that is there already is told again.
func (b *bulk) add(j *jobFile) (*jobOutput, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if was := b.jobs[j.ID]; was != nil {
		os.Remove(j.part)
		if was.Kind != j.Kind || was.Params != j.Params || was.Channel != j.Channel || was.Account != j.Account || !slices.Equal(was.Sum, j.Sum) {
			return nil, service.ErrKeyReused
		}
		return &jobOutput{Location: "/v1/bulk/" + was.ID, Replayed: "true", Body: was.view(b.a.opt.Now())}, nil
	}
	j.Created = b.a.opt.Now().UTC()
	// First the file, then the job: a file without a job is swept away, a job without its
	// file could not run.
	err := os.Rename(j.part, b.path(j.ID, j.ext()))
	if err == nil {
		err = b.save(j)
	}
	if err != nil {
		os.Remove(j.part)
		os.Remove(b.path(j.ID, j.ext()))
		os.Remove(b.path(j.ID, ".json"))
		return nil, diskProblem(err)
	}
	b.jobs[j.ID] = j
	b.count()
	b.kick()
	return &jobOutput{Location: "/v1/bulk/" + j.ID, Body: j.view(b.a.opt.Now())}, nil
}

func (f *face) listJobs(ctx context.Context, _ *none) (*struct {
	Body struct {
		Jobs []BulkJob `json:"jobs"`
	}
}, error) {
	b, err := f.jobs()
	if err != nil {
		return nil, err
	}
	out := new(struct {
		Body struct {
			Jobs []BulkJob `json:"jobs"`
		}
	})
	out.Body.Jobs = b.list(from(ctx))
	return out, nil
}

type jobInput struct {
	ID string `path:"id" pattern:"^[0-9a-f]{32}$" patternDescription:"32 hex digits"`
}

var errNoJob = problem(http.StatusNotFound, "no such job; one that is over is kept for api.bulk.keep")

func (f *face) getJob(ctx context.Context, in *jobInput) (*struct{ Body BulkJob }, error) {
	b, err := f.jobs()
	if err != nil {
		return nil, err
	}
	j, ok := b.find(from(ctx), in.ID)
	if !ok {
		return nil, errNoJob
	}
	return &struct{ Body BulkJob }{j}, nil
}

func (f *face) badRows(ctx context.Context, in *jobInput) (*textOutput, error) {
	b, err := f.jobs()
	if err != nil {
		return nil, err
	}
	if _, ok := b.find(from(ctx), in.ID); !ok {
		return nil, errNoJob
	}
	file, err := os.Open(b.path(in.ID, badSuffix))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return f.stream(ctx, func(w io.Writer) error {
		if file == nil {
			return nil
		}
		defer file.Close()
		_, err := io.Copy(w, file)
		return err
	}), nil
}

// slowWriter gives each write its own time, so that an answer may be long and a reader
// that has stopped is still left.
type slowWriter struct {
	w  io.Writer
	rc *http.ResponseController
}

func (s *slowWriter) Write(b []byte) (int, error) {
	s.rc.SetWriteDeadline(time.Now().Add(writeWait))
	return s.w.Write(b)
}
