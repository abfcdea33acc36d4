package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"waypost/mint/filter"
)

// maxGivenUp is how many links of a mail the filter may give up on; the mail's others are not tried. An expression for which that happens is wrong for these links, and must not take the time of other mails.
const maxGivenUp = 8

// wants says whether the tenant's filter lets the link with that original URL be replaced, or counts why not. It allocates nothing.
func (t *tenant) wants(original []byte, left *[leftCount]int) bool {
	if t.filter == nil {
		return true
	}
	if left[leftUnfiltered] >= maxGivenUp {
		left[leftUnfiltered]++
		return false
	}
	_, matches, err := t.filter.Match(original)
	switch {
	case err != nil:
		left[leftUnfiltered]++
	case !matches:
		left[leftFilter]++
	}
	return matches
}

// maxFilterURLs bounds a request to the tester.
const maxFilterURLs = 100

// filterTest is a request to the tester of filters.
type filterTest struct {
	expression *string // nil: the tenant's own
	urls       []string
}

// filterAnswer is its answer.
type filterAnswer struct {
	Expression string         `json:"expression"`
	Results    []filterResult `json:"results"`
}

// filterResult is what the filter does with one URL.
type filterResult struct {
	URL     string  `json:"url"`
	Matches bool    `json:"matches"`
	Matched *string `json:"matched,omitempty"` // the part of the URL, and where it is in it, in bytes
	From    *int    `json:"from,omitempty"`
	To      *int    `json:"to,omitempty"`
	Error   string  `json:"error,omitempty"` // why it is not known: the link would be left
}

// testFilter answers POST /v1/filter/test/TENANT.
func (s *Server) testFilter(ctx *fasthttp.RequestCtx, t *tenant, first time.Time) *refusal {
	body, refused := s.content(ctx)
	if refused != nil {
		return refused
	}
	request, err := parseFilterTest(body)
	if err != nil {
		return refuseContent(body, err)
	}
	f := t.filter
	switch {
	case request.expression != nil:
		if f, err = filter.Compile(*request.expression); err != nil {
			return refuseExpression(err)
		}
	case f == nil:
		return refuseContent(body, &fault{"/expression", "must be set: the tenant has no filter"})
	}
	by := s.workBy(first)
	answer := filterAnswer{Expression: f.String(), Results: []filterResult{}}
	for _, url := range request.urls {
		if time.Now().After(by) {
			answer.Results = append(answer.Results, filterResult{URL: url, Error: "not tried: the time for the answer is over"})
			continue
		}
		answer.Results = append(answer.Results, tried(f, url))
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(plainJSON(answer))
	return nil
}

// tried is what the filter does with url.
func tried(f *filter.Filter, url string) filterResult {
	result := filterResult{URL: url}
	where, matches, err := f.Match([]byte(url))
	switch {
	case err != nil:
		result.Error = err.Error()
	case matches:
		matched := url[where.From:where.To]
		result.Matches, result.Matched, result.From, result.To = true, &matched, &where.From, &where.To
	}
	return result
}

// refuseExpression tells the mistake with its place, for who shows both beside each other.
func refuseExpression(err error) *refusal {
	var wrong *filter.SyntaxError
	if !errors.As(err, &wrong) {
		return refuse(fasthttp.StatusBadRequest, "/expression: "+err.Error())
	}
	return &refusal{fasthttp.StatusBadRequest, plainJSON(struct {
		Error  string `json:"error"`
		Offset int    `json:"offset"`
	}{"/expression: must be a PCRE expression: " + wrong.Error(), wrong.Offset})}
}

// plainJSON leaves < and & as they are: expressions are full of them.
func plainJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("BUG: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// parseFilterTest reads a body as strictly as parseMessage.
func parseFilterTest(body []byte) (*filterTest, error) {
	request, seen := &filterTest{}, false
	err := parseObject(body, func(d *jsontext.Decoder, name string) error {
		at := d.StackPointer()
		switch name {
		case "expression":
			want := fmt.Sprintf("must be a string of at most %d bytes: a PCRE expression", filter.MaxExpression)
			expression, err := str(d, at, want)
			if err == nil && len(expression) > filter.MaxExpression {
				err = &fault{at, want}
			}
			request.expression = &expression
			return err
		case "urls":
			seen = true
			var err error
			request.urls, err = urlList(d, at)
			if err == nil && len(request.urls) > maxFilterURLs {
				err = &fault{at, fmt.Sprintf("must be an array of at most %d URLs", maxFilterURLs)}
			}
			return err
		}
		return &fault{at, "no such member; there are expression, urls"}
	})
	if err == nil && !seen {
		err = &fault{"/urls", "must be set: an array of URLs"}
	}
	return request, err
}
