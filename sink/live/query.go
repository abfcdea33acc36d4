package live

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"waypost/configs"
	"waypost/configs/ops"
	"waypost/edge/event"
	"waypost/sink/dispatch/formats"
	"waypost/sink/dispatch/samples"
)

// query is what a reader asks for.
type query struct {
	tenant   uint32 // 0: all
	prefix   []byte // what keys of the tenant begin with; nil: all
	types    []event.Type
	message  string
	document uuid.UUID // the message as Postmark's documents have it, where it can be one
	first    string

	from   *cursor
	since  time.Time
	oldest bool
	last   int // 0: from now on
}

// Values of first.
const (
	firstAny    = "any"
	firstPerson = "person"
	firstUnique = "unique" // the one of the two that the tenant wants webhooks for
)

const (
	mostLast    = 1000
	mostMessage = 1024
	lastEventID = "Last-Event-ID"
)

// fault is why a request is refused.
type fault struct {
	status int
	text   string
}

func (f *fault) Error() string { return f.text }

func bad(format string, args ...any) *fault {
	return &fault{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

var parameters = []string{"type", "tenant", "message", "first", "since", "last", "last_event_id"}

// readQuery reads a request, and tells all of its faults at once. own is the tenant whose token it has; nil: an operator's.
func readQuery(r *http.Request, tenants *configs.Tenants, own *configs.Tenant) (*query, error) {
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, bad("the query of the URL is not readable")
	}
	q := &query{}
	var faults []string
	note := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for name, values := range given {
		switch {
		case !slices.Contains(parameters, name):
			note("%.100s: no such parameter; there are %s", name, strings.Join(parameters, ", "))
		case name != "type" && len(values) > 1:
			note("%s: must be there once", name)
		}
	}
	for _, list := range given["type"] {
		for name := range strings.SplitSeq(list, ",") {
			t, ok := samples.TypeOf(name)
			if !ok {
				note("type = %.100q: must be of %s", name, samples.ShortNames(samples.Types()))
			}
			q.types = append(q.types, t)
		}
	}
	if q.first = given.Get("first"); !slices.Contains([]string{"", firstAny, firstPerson, firstUnique}, q.first) {
		note("first = %.100q: must be any, person or unique", q.first)
	}
	if q.message = given.Get("message"); len(q.message) > mostMessage {
		note("message: must have at most %d bytes", mostMessage)
	}
	q.document, _ = uuid.Parse(q.message)
	if text := given.Get("last"); text != "" {
		if q.last, err = strconv.Atoi(text); err != nil || q.last < 1 || q.last > mostLast {
			note("last = %.100q: must be a whole number from 1 to %d", text, mostLast)
		}
	}
	var since ops.Since
	if text := given.Get("since"); text == "oldest" {
		q.oldest = true
	} else if text != "" && since.UnmarshalText([]byte(text)) != nil {
		note("since = %.100q: must be a time such as 2026-11-28T05:21:29Z, how long ago, such as 90m, or oldest", text)
	}
	q.since = since.Time
	if text := cmp.Or(r.Header.Get(lastEventID), given.Get("last_event_id")); text != "" {
		if q.from, err = parseCursor(text); err != nil {
			note("%s: %v", lastEventID, err)
		}
		if _, err := time.ParseDuration(given.Get("since")); err == nil {
			q.since = time.Time{} // for one that comes back, how long ago is later than it was: what happened meanwhile would be passed over
		}
	}
	if len(faults) > 0 {
		slices.Sort(faults)
		return nil, bad("%s", strings.Join(faults, "; "))
	}
	return q, q.setTenant(given.Get("tenant"), tenants, own)
}

// setTenant says whose events are shown.
func (q *query) setTenant(text string, tenants *configs.Tenants, own *configs.Tenant) error {
	shown := own
	if text != "" {
		shown = tenants.Named(text)
		switch {
		case own != nil && shown != own:
			return &fault{http.StatusForbidden, fmt.Sprintf("tenant = %.100q: the token is of another tenant", text)}
		case shown == nil:
			return &fault{http.StatusNotFound, fmt.Sprintf("tenant = %.100q: must be the name or number of a tenant in tenants.yaml", text)}
		}
	}
	if shown != nil {
		q.tenant = shown.Number
		q.prefix = append(strconv.AppendUint(nil, uint64(q.tenant), 10), '/')
	}
	return nil
}

// sieve lets through what a reader asks for. It decodes only what may be that.
type sieve struct {
	*query
	decoder event.Decoder
	event   event.Event
}

// admits reads the event of a record; false: the reader does not want it, or it is none.
func (s *sieve) admits(key, document []byte) bool {
	if s.prefix != nil && !bytes.HasPrefix(key, s.prefix) {
		return false
	}
	if s.decoder.Decode(&s.event, document) != nil {
		return false // counted by who decides
	}
	e := &s.event
	return (s.tenant == 0 || e.Tenant == s.tenant) &&
		(len(s.types) == 0 || slices.Contains(s.types, e.Type)) &&
		(s.message == "" || s.isMessage(e)) &&
		(s.since.IsZero() || !e.Time.Before(s.since))
}

// isMessage compares with the sender's id, or with Postmark's.
func (s *sieve) isMessage(e *event.Event) bool {
	return string(e.Message) == s.message || s.document != uuid.Nil && len(e.Message) > 0 && formats.MessageID(e.Tenant, e.Message) == s.document
}

// wants says whether an event that is, or is not, a first is one of those asked for.
func (s *sieve) wants(anyClient, person bool) bool {
	switch s.first {
	case firstAny:
		return anyClient
	case firstPerson:
		return person
	case firstUnique:
		return s.event.UniqueAny && anyClient || !s.event.UniqueAny && person
	}
	return true
}
