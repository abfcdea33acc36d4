package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"waypost/bench/stack"
)

// What the message's providers show beside resendSecret and inboundSecret.
const (
	postmarkUser     = "postmark"
	postmarkPassword = "a password, for Basic auth"
)

// journeyInbound takes what the message's providers tell.
var journeyInbound = stack.Keys{
	"resend":   stack.Keys{"secrets": []string{resendSecret}},
	"postmark": stack.Keys{"username": postmarkUser, "password": postmarkPassword},
	"maileroo": stack.Keys{"secrets": []string{inboundSecret}},
}

// byResend is the telling of a document by Resend, under an id that is the same whenever it is told again.
func (j *journey) byResend(document, id string) func() {
	return func() {
		j.t.Helper()
		j.resend(id, string(j.document(document)))
	}
}

// byPostmark is the telling of a document by Postmark, which signs nothing.
func (j *journey) byPostmark(document string) func() {
	return func() {
		j.t.Helper()
		q := http.Request{Header: http.Header{}}
		q.SetBasicAuth(postmarkUser, postmarkPassword)
		j.tell("postmark", j.document(document), q.Header)
	}
}

// byMaileroo is the telling of a document by Maileroo.
func (j *journey) byMaileroo(document string) func() {
	return func() {
		j.t.Helper()
		body := j.document(document)
		mac := hmac.New(sha256.New, []byte(inboundSecret))
		mac.Write(body)
		j.tell("maileroo", body, http.Header{"X-Maileroo-Signature": {hex.EncodeToString(mac.Sum(nil))}})
	}
}

// document is one of testdata/journey/providers.txtar, with the time of this run and what mint gave to send along.
func (j *journey) document(name string) []byte {
	j.t.Helper()
	text, ok := j.goldens["providers"][name]
	if !ok {
		j.t.Fatalf("no document of %q", name)
	}
	values := append(ofProvider(providersTime(j.began)), "${waypost}", j.sendAlong, "${link}", j.links[startInHTML])
	var body bytes.Buffer
	if err := json.Compact(&body, []byte(strings.NewReplacer(values...).Replace(text))); err != nil {
		j.t.Fatal(err)
	}
	return body.Bytes()
}
