package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"
)

// refusal is an answer other than 200: {"error": text}.
type refusal struct {
	status int
	body   []byte
}

func refuse(status int, text string) *refusal {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &refusal{status, append(append([]byte(`{"error":`), quoted...), '}')}
}

// The refusals that need no words of the request.
var (
	refusePath      = refuse(fasthttp.StatusNotFound, "nothing here: POST to /outreach/TENANT, /outreach, /v1/messages/TENANT, /v1/links/TENANT or /v1/filter/test/TENANT")
	refuseMethod    = refuse(fasthttp.StatusMethodNotAllowed, "only POST")
	refuseTenant    = refuse(fasthttp.StatusNotFound, "unknown tenant")
	refuseOrg       = refuse(fasthttp.StatusNotFound, "unknown tenant: the path names none and no tenant has this outreach-org-id")
	refuseSignature = refuse(fasthttp.StatusUnauthorized, SignatureHeader+" is missing or wrong")
	refuseKey       = refuse(fasthttp.StatusUnauthorized, "Authorization must be Bearer and one of the tenant's api_keys")
	refuseType      = refuse(fasthttp.StatusUnsupportedMediaType, "Content-Type must be application/json")
	refuseCoding    = refuse(fasthttp.StatusUnsupportedMediaType, "Content-Encoding must be gzip, identity or absent")
	refuseGzip      = refuse(fasthttp.StatusBadRequest, "the body's gzip data is damaged")
	refuseLength    = refuse(fasthttp.StatusRequestEntityTooLarge, "the body is too long")
	refuseHeader    = refuse(fasthttp.StatusRequestHeaderFieldsTooLarge, "the header is too long")
	refuseSlow      = refuse(fasthttp.StatusRequestTimeout, "the request did not come in time")
	refuseHTTP      = refuse(fasthttp.StatusBadRequest, "not a HTTP request that can be read")
	refuseBusy      = refuse(fasthttp.StatusServiceUnavailable, "too much to do to answer in time")
	refuseBug       = refuse(fasthttp.StatusInternalServerError, "internal error")
)

// refuseContent says what is wrong with a body of somebody whom we know: its own sender reads it.
func refuseContent(body []byte, err error) *refusal {
	switch err {
	case errNotObject, errDataMissing, errDataType:
		return refuse(fasthttp.StatusBadRequest, err.Error())
	case io.EOF:
		return refuse(fasthttp.StatusBadRequest, "not JSON: the body is empty, at byte 0")
	}
	if wrong := (*fault)(nil); errors.As(err, &wrong) {
		return refuse(fasthttp.StatusBadRequest, wrong.Error())
	}
	offset := len(body)
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		err, offset = syntactic.Err, int(syntactic.ByteOffset)
	}
	return refuse(fasthttp.StatusBadRequest, "not JSON: "+err.Error()+", "+position(body, offset))
}

// refuseRead says why a request could not be read.
func refuseRead(err error) *refusal {
	var (
		small *fasthttp.ErrSmallBuffer
		slow  net.Error
	)
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return refuseLength
	case errors.As(err, &small):
		return refuseHeader
	case errors.As(err, &slow) && slow.Timeout():
		return refuseSlow
	}
	return refuseHTTP
}

// position names a byte of body as people look for it.
func position(body []byte, offset int) string {
	before := body[:max(0, min(offset, len(body)))]
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("at byte %d (line %d, column %d)", offset, line, column)
}
