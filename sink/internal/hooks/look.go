package hooks

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"waypost/edge/event"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/operator"
)

// Endpoint is one entry of the answer of GET /hooks. What has not happened is missing.
type Endpoint struct {
	Tenant       uint32     `json:"tenant"`
	TenantName   string     `json:"tenant_name"`
	ID           string     `json:"endpoint"`
	URL          string     `json:"url"` // without what may be a secret
	Format       string     `json:"format"`
	Pending      int64      `json:"pending"` // due, under way, or waiting for another attempt
	OldestDue    *time.Time `json:"oldest_due,omitempty"`
	DeadLetters  int64      `json:"dead_letters"`
	LastSuccess  *time.Time `json:"last_success,omitempty"`
	LastFailure  *Failure   `json:"last_failure,omitempty"`
	FailingSince *time.Time `json:"failing_since,omitempty"` // the first failure since the last success, or since it was enabled
	Failures     uint32     `json:"failures,omitempty"`      // since then

	Disabled *operator.Cause `json:"disabled,omitempty"` // it gets no attempts
}

// Failure is an attempt that did not deliver.
type Failure struct {
	At     time.Time `json:"at"`
	Status int       `json:"status,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Endpoints is the answer of GET /hooks.
type Endpoints struct {
	Endpoints []Endpoint `json:"endpoints"`
}

func (a *API) list(r *http.Request) (any, error) {
	if _, err := values(r); err != nil {
		return nil, err
	}
	d, err := a.dispatcher()
	if err != nil {
		return nil, err
	}
	states, err := d.States(r.Context())
	if err != nil {
		return nil, err
	}
	all := Endpoints{[]Endpoint{}}
	for i := range states {
		s := &states[i]
		e := Endpoint{
			Tenant: s.Tenant.Number, TenantName: s.Tenant.Name, ID: s.Config.ID, URL: s.ShownURL(), Format: s.Format.Name(),
			Pending: s.Pending, OldestDue: moment(s.OldestDue), DeadLetters: s.Dead,
			LastSuccess: moment(s.LastSuccess), FailingSince: moment(s.FailingSince), Failures: s.Failures,
			Disabled: s.Disabled,
		}
		if at := moment(s.LastFailure); at != nil {
			e.LastFailure = &Failure{*at, s.Status, s.Reason}
		}
		all.Endpoints = append(all.Endpoints, e)
	}
	return all, nil
}

func moment(micros uint64) *time.Time {
	if micros == 0 {
		return nil
	}
	t := time.UnixMicro(int64(micros)).UTC()
	return &t
}

// Attempts is the answer of GET /hooks/attempts.
type Attempts struct {
	Attempts []dispatch.Attempt `json:"attempts"`
	// Next is the `after` with which to go on. A search that finds little may have it and hold fewer attempts than were asked for, or none.
	Next string `json:"next,omitempty"`
}

// Bounds of a page.
const (
	usualPage = 100
	mostPage  = 1000
)

func (a *API) attempts(r *http.Request) (any, error) {
	v, err := values(r, "tenant", "endpoint", "id", "message", "status", "outcome", "from", "to", "limit", "after")
	if err != nil {
		return nil, err
	}
	d, err := a.dispatcher()
	if err != nil {
		return nil, err
	}
	q := dispatch.AttemptQuery{Endpoint: v["endpoint"], Message: v["message"], Limit: usualPage}
	if q.Tenant, err = a.tenant(v["tenant"]); err != nil {
		return nil, err
	}
	if text := v["id"]; text != "" {
		if q.WebhookID, err = event.ParseID([]byte(text)); err != nil {
			return nil, bad("id = %s: must be a webhook-id, such as c47266e7e251d51e-0000000000000512", text)
		}
	}
	if err := outcome(&q, v["status"], v["outcome"]); err != nil {
		return nil, err
	}
	if q.From, q.To, err = span(v["from"], v["to"]); err != nil {
		return nil, err
	}
	if text := v["limit"]; text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > mostPage {
			return nil, bad("limit = %s: must be a whole number from 1 to %d", text, mostPage)
		}
	}
	if text := v["after"]; text != "" {
		if q.After, err = hex.DecodeString(text); err != nil {
			return nil, bad("after = %s: must be the `next` of an earlier answer", text)
		}
	}
	found, next, err := d.Attempts(r.Context(), q)
	if err != nil {
		return nil, err
	}
	if found == nil {
		found = []dispatch.Attempt{}
	}
	return Attempts{found, hex.EncodeToString(next)}, nil
}

// values are the parameters of a query, each known and there once.
func values(r *http.Request, known ...string) (map[string]string, error) {
	v := map[string]string{}
	all, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, bad("query: %v", err)
	}
	for name, texts := range all {
		switch {
		case !slices.Contains(known, name):
			return nil, bad("%s: is no parameter; allowed are: %s", name, strings.Join(known, ", "))
		case len(texts) > 1:
			return nil, bad("%s: must be there once", name)
		}
		v[name] = texts[0]
	}
	return v, nil
}

// Words of status and outcome beyond codes and outcomes.
const (
	noAnswer = "none"
	failed   = "failed"
)

var outcomes = []string{attempt.Delivered, attempt.Again, attempt.GivenUp, attempt.Stopped, attempt.Unsendable}

func outcome(q *dispatch.AttemptQuery, status, word string) error {
	class, isClass := strings.CutSuffix(status, "xx")
	n, err := strconv.Atoi(class)
	switch {
	case status == "":
	case status == noAnswer:
		q.Unheard = true
	case err == nil && isClass && n >= 1 && n <= 9:
		q.Statuses = [2]int{n * 100, n*100 + 99}
	case err == nil && !isClass && n >= 100 && n <= 999:
		q.Statuses = [2]int{n, n}
	default:
		return bad("status = %s: must be a status such as 503, a class such as 5xx, or none where no answer came", status)
	}
	switch {
	case word == failed:
		q.Failed = true
	case word == "" || slices.Contains(outcomes, word):
		q.Outcome = word
	default:
		return bad("outcome = %s: must be one of %s, or failed for all but delivered", word, strings.Join(outcomes, ", "))
	}
	return nil
}

// span reads two times as microseconds since 1970; 0 where there is none.
func span(from, to string) (begin, end uint64, err error) {
	read := func(name, text string) uint64 {
		if text == "" || err != nil {
			return 0
		}
		at, wrong := time.Parse(time.RFC3339, text)
		if wrong != nil || at.UnixMicro() <= 0 {
			err = bad("%s = %s: must be a time such as 2026-11-28T05:21:29Z", name, text)
			return 0
		}
		return uint64(at.UnixMicro())
	}
	begin, end = read("from", from), read("to", to)
	return begin, end, err
}
