package admin

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"masar/service/campaign"
)

// tableBody is a file with many rows, in either form.
var tableBody = &huma.RequestBody{
	Required: true, Description: "The file. It is read as it comes and may be large.",
	Content: map[string]*huma.MediaType{
		"text/csv":          {Schema: &huma.Schema{Type: "string"}},
		"application/jsonl": {Schema: &huma.Schema{Type: "string"}},
	},
}

// tableType tells a file's form by its Content-Type.
func tableType(s string) (jsonLines bool, err error) {
	switch t, _, _ := mime.ParseMediaType(s); t {
	case "text/csv", "application/csv":
		return false, nil
	case "application/jsonl", "application/x-ndjson", "application/jsonlines", "application/x-jsonlines":
		return true, nil
	}
	return false, problem(http.StatusUnsupportedMediaType, "the body is a file: Content-Type: text/csv or application/jsonl", mistake("header.Content-Type", s, "is neither text/csv nor application/jsonl"))
}

func (f *face) uploadCampaign(ctx context.Context, in *struct {
	CampaignPath
	Encoding string `query:"encoding" enum:"utf-8,windows-1256" default:"utf-8" doc:"of the file; UTF-8 may begin with a byte order mark, UTF-16 has to"`
}) (*struct{ Body CampaignView }, error) {
	r, k, err := f.campaign(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	up := ctx.Value(uploadKey{}).(upload)
	jsonLines, err := tableType(up.r.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	o, large := &f.opt.Files, problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("a campaign's file has at most %d octets (campaigns.max): make several campaigns of it", f.opt.Files.Max))
	switch {
	case up.r.ContentLength > o.Max:
		return nil, large
	case o.Dir != "" && !roomIn(o.Dir, up.r.ContentLength, o.MinFree):
		return nil, noRoom()
	}
	body := newPaced(up, o.Max)
	done, err := r.Upload(ctx, k.ID, body, campaign.Format{JSONLines: jsonLines, Encoding: in.Encoding, By: from(ctx).user})
	// The answer's own time begins now: the server's began with the request.
	body.rc.SetWriteDeadline(time.Now().Add(writeWait))
	switch {
	case err == nil:
		return &struct{ Body CampaignView }{f.campaignHeld(ctx, &done)}, nil
	case body.failed != nil:
		return nil, readProblem(body.failed, large)
	case errors.Is(err, campaign.ErrTooLarge):
		return nil, large
	}
	return nil, diskProblem(campaignProblem(err))
}
