package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"masar/number"
	"masar/service"
)

// Problem is an error as the API tells it: RFC 9457.
type Problem struct {
	Title  string              `json:"title,omitempty" doc:"the HTTP status in words"`
	Status int                 `json:"status,omitempty" doc:"the HTTP status"`
	Detail string              `json:"detail,omitempty" doc:"what is wrong here"`
	Errors []*huma.ErrorDetail `json:"errors,omitempty" doc:"field, value and rule of each mistake"`
	Error  string              `json:"error" doc:"all of it in one line"`
}

// asProblem makes what huma sends a Problem.
func asProblem(_ huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := &Problem{Title: e.Title, Status: e.Status, Detail: e.Detail, Errors: e.Errors, Error: e.Detail}
	for i, d := range e.Errors {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		p.Error += sep + strings.TrimPrefix(d.Location+": "+d.Message, ": ")
	}
	return p, nil
}

// ContentType is that of RFC 9457, for the document.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// problem is an answer that is no success.
func problem(status int, detail string, errs ...*huma.ErrorDetail) *huma.ErrorModel {
	return &huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail, Errors: errs}
}

// mistake is one field that breaks a rule. The value is the caller's own: it is answered,
// never logged.
func mistake(field string, value any, rule string) *huma.ErrorDetail {
	return &huma.ErrorDetail{Location: field, Value: value, Message: rule}
}

// mistakes gathers what is wrong with a request, so that all of it is told at once.
type mistakes []*huma.ErrorDetail

func (m *mistakes) add(field string, value any, rule string) {
	*m = append(*m, mistake(field, value, rule))
}

func (m mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	return problem(http.StatusUnprocessableEntity, "validation failed", m...)
}

// asTold is an error that is an answer already.
func asTold(err error) (error, bool) {
	var se huma.StatusError
	var refused *service.Refused
	switch {
	case errors.As(err, &se):
		return err, true
	case errors.As(err, &refused):
		return problem(http.StatusUnprocessableEntity, "refused", mistake("body."+refused.Field, nil, refused.Rule)), true
	case errors.Is(err, service.ErrNobody):
		return problem(http.StatusNotFound, "no such subscriber"), true
	case errors.Is(err, service.ErrKeyReused):
		return problem(http.StatusConflict, service.ErrKeyReused.Error(), mistake("header.Idempotency-Key", nil, "choose a new key for another request")), true
	case errors.Is(err, service.ErrRegistryClosed):
		return retry(http.StatusServiceUnavailable, "the gateway is shutting down", 5*time.Second), true
	}
	return nil, false
}

// retry is a problem that goes away by itself.
func retry(status int, detail string, after time.Duration, errs ...*huma.ErrorDetail) error {
	return huma.ErrorWithHeaders(problem(status, detail, errs...), http.Header{"Retry-After": {seconds(after)}})
}

func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int((d+time.Second-1)/time.Second)))
}

// numberRules says what is wrong with a number, by what package number says.
var numberRules = []struct {
	err  error
	rule string
}{
	{number.ErrEmpty, "is empty"},
	{number.ErrCharacter, "has a character that no number has"},
	{number.ErrCountry, "has no country code after + or 00"},
	{number.ErrShort, "has too few digits"},
	{number.ErrLong, "has too many digits"},
	{number.ErrShortCode, "is a short code, which is nobody's number"},
	{number.ErrNotMobile, "is no mobile number: those of %s begin with 5 after the country code"},
}

func (a *api) numberRule(err error) string {
	for _, r := range numberRules {
		if errors.Is(err, r.err) {
			if strings.Contains(r.rule, "%s") {
				return r.err.Error() + ": " + fmt.Sprintf(r.rule, "+"+a.opt.Country)
			}
			return r.err.Error() + ": " + r.rule
		}
	}
	return err.Error()
}
