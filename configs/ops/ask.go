package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// Remote is what an operator's command asks a running program with, on its admin listener.
type Remote struct {
	Program string // edge, mint or sink
	Topic   string // what errors begin with
	Admin   string // the admin address of the settings
	Given   string // --admin, which counts instead; with or without http://
}

// Ask makes a request and reads the JSON of its answer into into. A body makes it a POST. A fault, {"error": "..."}, becomes the error.
func (r *Remote) Ask(path string, query url.Values, body, into any) error {
	address := r.address()
	target := url.URL{Scheme: "http", Host: address, Path: path, RawQuery: query.Encode()}
	method, text := http.MethodGet, []byte(nil)
	if body != nil {
		method = http.MethodPost
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(context.Background(), method, target.String(), bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: admin = %s: %w", r.Topic, address, err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Close = true
	response, err := (&http.Client{Transport: &http.Transport{Proxy: nil}}).Do(request)
	if err != nil {
		return r.unanswered(address, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return r.unanswered(address, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s: %s", r.Topic, address, response.Status, r.Fault(answer))
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s: %s: %s: %w", r.Topic, address, r.stranger(), err)
	}
	return nil
}

// Fault is the reason in an answer that is no success.
func (r *Remote) Fault(answer []byte) string {
	var fault struct{ Error string }
	if json.Unmarshal(answer, &fault) != nil || fault.Error == "" {
		return r.stranger()
	}
	return fault.Error
}

func (r *Remote) stranger() string {
	return fmt.Sprintf("what answers is no %s, or one of another version", r.Program)
}

// address is where the program is to be asked.
func (r *Remote) address() string {
	if r.Given != "" {
		return Reach(r.Given)
	}
	return Reach(r.Admin)
}

// Reach is where an admin listener is asked, from its address in settings or as the program prints it. One that listens on every address is asked on this machine.
func Reach(address string) string {
	address = strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && ip == netip.IPv4Unspecified():
		return net.JoinHostPort("127.0.0.1", port)
	case err == nil && ip == netip.IPv6Unspecified():
		return net.JoinHostPort("::1", port)
	}
	return address
}

// ErrRefused says that nothing listens where the program should be asked.
var ErrRefused = errors.New("connection refused: is it running?")

// unanswered says why there is no answer.
func (r *Remote) unanswered(address string, err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s: no %s answers at %s (admin of the settings, or --admin): %w", r.Topic, r.Program, address, ErrRefused)
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return fmt.Errorf("%s: %s: %w", r.Topic, address, err)
}
