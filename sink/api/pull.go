package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch/formats"
	"waypost/sink/internal/uniques"
)

// Bounds of a search.
const (
	mostPulled = 500       // in one answer
	mostFound  = 10_000    // count and offset together: what can be reached, and what TotalCount counts to
	mostRead   = 1_000_000 // kept events that one search looks into
	searches   = 2         // at once; others wait. They take the processor from deciding

	patience = 10 * time.Second // of one that waits
)

type clicksAnswer struct {
	TotalCount int
	Clicks     []*formats.PulledClick
}

type opensAnswer struct {
	TotalCount int
	Opens      []*formats.PulledOpen
}

// pulled says whether a path, as it was written, is of what was told; of which kind, and of which message: "" is all.
func pulled(path string) (kind, message string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/messages/outbound/")
	kind, escaped, one := strings.Cut(rest, "/")
	message, err := url.PathUnescape(escaped)
	return kind, message, ok && err == nil && (kind == "clicks" || kind == "opens") && one == (message != "") && !strings.Contains(escaped, "/")
}

// pull answers with the clicks or opens of the tenant, the newest first.
func (s *Server) pull(w http.ResponseWriter, r *http.Request, tenant *configs.Tenant, kind, message string) (any, error) {
	if r.Method != http.MethodGet {
		return nil, notAllowed(w, "GET")
	}
	if s.Uniques == nil {
		return nil, refuse(http.StatusNotImplemented, "this sink reads Kafka: what was told stands in waypost.unique there, and cannot be pulled through the API")
	}
	p, err := readPull(r.URL.RawQuery, message != "")
	if err != nil {
		return nil, err
	}
	p.forTenant(tenant)
	q := uniques.Query{Tenant: tenant.Number, From: p.from, To: p.to}
	if message != "" { // Postmark's id, as documents have it, or the sender's own
		id := [16]byte(formats.MessageID(tenant.Number, []byte(message)))
		q.Message = &id
	}
	select {
	case s.searching <- struct{}{}:
		defer func() { <-s.searching }()
	case <-time.After(s.patience):
		return nil, refuse(http.StatusTooManyRequests, "too many searches at once: try again later")
	case <-r.Context().Done():
		return nil, notPulled(r.Context().Err())
	}
	if kind == "clicks" {
		q.Types = []event.Type{event.Clicked}
		total, found, err := search(r.Context(), s, q, p, formats.PullClick)
		return clicksAnswer{total, found}, err
	}
	q.Types = []event.Type{event.Opened}
	total, found, err := search(r.Context(), s, q, p, formats.PullOpen)
	return opensAnswer{total, found}, err
}

// document is what a search finds.
type document interface{ Facts() map[string]string }

// search finds the page asked for, and counts what fits, up to mostFound.
func search[D document](ctx context.Context, s *Server, q uniques.Query, p *pull, of func(*formats.Input) D) (total int, page []D, err error) {
	page = []D{}
	view, err := s.Uniques.View()
	if err != nil {
		return 0, nil, notPulled(err)
	}
	defer view.Close()
	var decoder event.Decoder
	var e event.Event
	read := 0
	err = view.Walk(ctx, q, func(k *uniques.Event) (bool, error) {
		if read++; read > mostRead {
			return false, unprocessable(codeQuery, fmt.Sprintf("the search would look into more than %d events: narrow it by fromdate and todate", mostRead))
		}
		wanted := total >= p.offset && len(page) < p.count
		if wanted || p.picky() {
			text, err := k.Document()
			if err != nil {
				return false, err
			}
			if err := decoder.Decode(&e, text); err != nil {
				return false, fmt.Errorf("kept event %s: %w", k.ID, err)
			}
			in := &formats.Input{Event: &e, Document: text, Tenant: p.tenant, Who: s.Who}
			if !p.fits(in) {
				return true, nil
			}
			if wanted || len(p.facts) > 0 {
				d := of(in)
				if !p.fitsFacts(d) {
					return true, nil
				}
				if wanted {
					page = append(page, d)
				}
			}
		}
		total++
		return total < mostFound, nil
	})
	if err != nil {
		return 0, nil, notPulled(err)
	}
	return total, page, nil
}

// notPulled says in Postmark's form what the keeper cannot do now.
func notPulled(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return refuse(http.StatusServiceUnavailable, "the request was given up") // nobody reads it
	case errors.Is(err, uniques.ErrEnded):
		return refuse(http.StatusServiceUnavailable, "the sink is ending: try again")
	case errors.Is(err, uniques.ErrOff):
		return refuse(http.StatusNotImplemented, "this sink keeps nothing of what was told: uniques.keep or uniques.keep_bytes of its settings is 0")
	}
	return err
}

// picky says whether documents must be looked into to say what fits.
func (p *pull) picky() bool {
	return p.recipient != "" || p.tag != "" || p.stream != "" || len(p.facts) > 0
}

// fits says whether an event is of the recipient, tag and stream asked for.
func (p *pull) fits(in *formats.Input) bool {
	e := in.Event
	return (p.recipient == "" || p.isRecipient(e.Recipient)) && (p.tag == "" || p.tag == string(e.Tag)) && (p.stream == "" || p.stream == formats.Stream(in))
}

// isRecipient compares without regard to case, as the address in a Kafka key is; where the tenant keeps no addresses, by the hash.
func (p *pull) isRecipient(kept []byte) bool {
	return bytes.EqualFold(kept, []byte(p.recipient)) || len(kept) > 0 && kept[0] == '#' && bytes.Equal(kept, p.hash)
}

func (p *pull) fitsFacts(d document) bool {
	if len(p.facts) == 0 {
		return true
	}
	known := d.Facts()
	return !slices.ContainsFunc(p.facts, func(f [2]string) bool { return !strings.EqualFold(known[f[0]], f[1]) })
}
