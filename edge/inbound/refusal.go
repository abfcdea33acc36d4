package inbound

import (
	"encoding/json"

	"github.com/valyala/fasthttp"
)

// result is what became of a delivery.
type result uint8

const (
	recorded    result = iota // its events are in the journal
	ignored                   // it tells of nothing that has an event
	aside                     // it cannot be mapped, and is kept
	refusedSign               // no signature, or a wrong one; no login, or a wrong one
	refusedTime               // signed at another time than about now
	refusedSize               // longer than MaxBody
	refusedBody               // it did not come whole
	refusedCode               // compressed
	shed                      // too many bodies under way
	unrecorded                // the journal does not take it
	unkept                    // it cannot be mapped, nor kept
	broken                    // a bug of ours
	results
)

// resultNames are the values of the label result.
var resultNames = [results]string{"recorded", "ignored", "aside", "signature", "timestamp", "too_large", "incomplete", "encoding", "shed", "journal", "not_kept", "bug"}

// refusal is an answer other than 200: {"error": text}.
type refusal struct {
	status int
	result result
	body   []byte
}

func refuse(status int, why result, text string) *refusal {
	return &refusal{status, why, answerOf("error", text)}
}

func answerOf(member, text string) []byte {
	body, err := json.Marshal(map[string]string{member: text})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return body
}

var (
	refuseUnknown  = refuse(fasthttp.StatusNotFound, results, "unknown tenant or provider, or nothing is set for it")
	refuseMethod   = refuse(fasthttp.StatusMethodNotAllowed, results, "only POST")
	refuseUnsigned = refuse(fasthttp.StatusUnauthorized, refusedSign, "the signature is missing or wrong")
	refuseLogin    = refuse(fasthttp.StatusUnauthorized, refusedSign, "the login or the secret in the path is missing or wrong")
	refuseStale    = refuse(fasthttp.StatusUnauthorized, refusedTime, "the signed time is too far from ours: a delivery that was sent again by somebody else, or a clock that is wrong")
	refuseLength   = refuse(fasthttp.StatusRequestEntityTooLarge, refusedSize, "the body is longer than 1 MiB")
	refuseRead     = refuse(fasthttp.StatusBadRequest, refusedBody, "the body did not come whole")
	refuseSlow     = refuse(fasthttp.StatusRequestTimeout, refusedBody, "the body did not come in time")
	refuseCoding   = refuse(fasthttp.StatusUnsupportedMediaType, refusedCode, "Content-Encoding must be identity or absent")
	refuseBusy     = refuse(fasthttp.StatusServiceUnavailable, shed, "too many deliveries under way: send it again")
	refuseJournal  = refuse(fasthttp.StatusServiceUnavailable, unrecorded, "it could not be recorded: send it again")
	refuseKeep     = refuse(fasthttp.StatusServiceUnavailable, unkept, "it could not be kept: send it again")
	refuseBug      = refuse(fasthttp.StatusInternalServerError, broken, "internal error")

	// The answers to what was taken.
	taken = map[result][]byte{recorded: answerOf("result", "recorded"), ignored: answerOf("result", "ignored"), aside: answerOf("result", "aside")}
)
