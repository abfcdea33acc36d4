package attempt

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch/formats"
	"waypost/sink/dispatch/guard"
)

const (
	maxAnswer       = 64 << 10 // bytes of an answer that are read so that its connection can be used again
	maxKept         = 512      // bytes of an answer that are kept
	maxHeader       = 64 << 10 // bytes of an answer's header; more is a failure
	idleConnections = 2048
	idleTimeout     = 90 * time.Second
	pingEvery       = 15 * time.Second // of HTTP/2: a connection whose other end is gone without a word is found, and not used for one attempt after the other
)

// newClient prepares what all endpoints share. A connection that is kept saves TCP and TLS for the next attempt; how many are under way is not its business.
func newClient(s configs.Dispatch) *http.Client {
	headers := s.HeadersTimeout
	if headers >= timeout(s) {
		headers = 0 // the whole attempt ends first: no timer of its own
	}
	transport := &http.Transport{
		TLSHandshakeTimeout:    s.TLSTimeout,
		ResponseHeaderTimeout:  headers,
		MaxResponseHeaderBytes: maxHeader,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           idleConnections,
		MaxIdleConnsPerHost:    idleConnections, // no more stay than the endpoint's gate let be used at once
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingEvery},
	}
	return &http.Client{
		Transport: guard.Transport(transport, net.Dialer{Timeout: s.ConnectTimeout, KeepAlive: 30 * time.Second}, s.Outbound()),
		// A redirect is an answer that is no success: the webhook goes to where the settings say, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send makes the request.
func (s *Sender) send(ctx context.Context, t *Target, id event.ID, m message) Outcome {
	if t.request == nil {
		return Outcome{verdict: formats.Retry, Reason: "url"}
	}
	attempt, cancel := context.WithTimeout(ctx, timeout(s.settings))
	defer cancel()
	var reached phase
	request := t.request.WithContext(httptrace.WithClientTrace(attempt, reached.trace()))
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.body)), nil }
	request.Body, _ = body()
	request.GetBody, request.ContentLength = body, int64(len(m.body))
	begin := s.now()
	t.setHeaders(request, id, m.body, begin)
	response, err := s.client.Do(request)
	if err != nil {
		o := Outcome{verdict: formats.Retry, Reason: reasonOf(err, reached.String()), Took: s.now().Sub(begin), Cut: ctx.Err() != nil}
		if refusal := guard.RefusalOf(err); refusal != nil {
			o.Reason, o.Refused = refusal.Error(), refusal.Kind
		}
		return o
	}
	answer := s.readAnswer(response.Body, cancel)
	now := s.now()
	return Outcome{
		verdict:    t.Format.Judge(response.StatusCode),
		Status:     response.StatusCode,
		retryAfter: retryAfter(response.Header.Get("Retry-After"), now),
		Answer:     answer,
		Took:       now.Sub(begin),
	}
}

// timeout is how long an attempt may take.
func timeout(s configs.Dispatch) time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return 15 * time.Second
}

// readAnswer reads an answer's body, within bounds of bytes and time: its status has said everything, so that an end that does not come is no failure. It costs the connection.
func (s *Sender) readAnswer(body io.ReadCloser, cancel context.CancelFunc) []byte {
	defer body.Close()
	if body == http.NoBody {
		return nil
	}
	if s.settings.BodyTimeout > 0 {
		defer time.AfterFunc(s.settings.BodyTimeout, cancel).Stop()
	}
	var kept bytes.Buffer
	if _, err := io.CopyN(&kept, body, maxKept); err == nil {
		_, _ = io.CopyN(io.Discard, body, maxAnswer-maxKept)
	}
	return kept.Bytes()
}

// phase is how far an attempt has come. The connection is made by another goroutine.
type phase struct{ at atomic.Int32 }

const (
	connecting int32 = iota
	handshaking
	sending
	awaiting
)

func (p *phase) String() string {
	return [...]string{"connect", "tls", "request", "headers"}[p.at.Load()]
}

func (p *phase) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:           func(string) { p.at.Store(connecting) },
		TLSHandshakeStart: func() { p.at.CompareAndSwap(connecting, handshaking) },
		GotConn:           func(httptrace.GotConnInfo) { p.at.Store(sending) },
		WroteRequest:      func(httptrace.WroteRequestInfo) { p.at.Store(awaiting) },
	}
}

// reasonOf names why no answer came, and in which phase. The error's own text holds the endpoint's URL, which may hold a secret.
func reasonOf(err error, phase string) string {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &dns):
		return "dns"
	case errors.As(err, &certificate):
		return "certificate"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout: " + phase
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed: " + phase
	}
	return "failed: " + phase
}

// retryAfter reads the header's two forms, seconds or a date; 0 when it says nothing.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
