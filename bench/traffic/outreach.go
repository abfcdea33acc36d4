package traffic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"waypost/bench/demo"
)

// Mail is one outgoing mail, with the links that Outreach found in it. What is empty is left out.
type Mail struct {
	Mailing, Prospect, Email string
	Links                    []Link
}

// Link is one link of a mail: where it led before Outreach or anybody shortened it, and where it leads.
type Link struct {
	Original, Destination string
}

// ErrBusy says that mint shed a mail: it would have answered too late.
var ErrBusy = errors.New("mint is busy")

// Outreach asks mint for links.
type Outreach struct {
	URL    string // mint's endpoint of a tenant
	Secret string // the tenant's
	Client http.Client
}

// outreachRequest is the documented request.
type outreachRequest struct {
	Data []string `json:"data"`
	Meta struct {
		Mailing  identified        `json:"mailing"`
		Prospect identified        `json:"prospect"`
		User     identified        `json:"user"`
		URLs     map[string]string `json:"urls"`
	} `json:"meta"`
}

type identified struct {
	ID    string `json:"id,omitempty"`
	Email string `json:"email,omitempty"`
}

// Paths gives, for each link of the mail, the path under which the edge knows it.
func (o *Outreach) Paths(ctx context.Context, m *Mail) ([]string, error) {
	answer, err := o.ask(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("mint: %w", err)
	}
	var paths []string
	for _, l := range m.Links {
		link, found := answer[l.Destination]
		if !found {
			return nil, fmt.Errorf("mint left %q of mail %s untouched", l.Destination, m.Mailing)
		}
		_, rest, _ := strings.Cut(link, "://")
		_, token, _ := strings.Cut(rest, "/")
		paths = append(paths, "/"+token)
	}
	return paths, nil
}

func (o *Outreach) ask(ctx context.Context, m *Mail) (map[string]string, error) {
	body, err := m.request()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Outreach-Webhook-Signature", demo.Sign(o.Secret, body))
	response, err := o.Client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusServiceUnavailable:
		return nil, ErrBusy
	default:
		return nil, fmt.Errorf("%s: %s", response.Status, text)
	}
	var answer struct {
		Data map[string]string `json:"data"`
	}
	err = json.Unmarshal(text, &answer)
	return answer.Data, err
}

func (m *Mail) request() ([]byte, error) {
	var q outreachRequest
	q.Meta.Mailing.ID = m.Mailing
	q.Meta.Prospect = identified{ID: m.Prospect, Email: m.Email}
	q.Meta.User = identified{ID: "789", Email: "def@user.com"}
	q.Meta.URLs = map[string]string{}
	for _, l := range m.Links {
		q.Data = append(q.Data, l.Destination)
		q.Meta.URLs[l.Original] = l.Destination
	}
	return json.Marshal(q)
}
