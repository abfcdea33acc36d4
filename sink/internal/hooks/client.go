package hooks

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

	"waypost/sink/internal/forget"
)

// Operator is what the commands work with.
type Operator struct {
	Admin string // the admin address of the sink's settings
	Out   io.Writer
	Local func(ForgetRequest) (*forget.Answer, error) // forgets in the store of a sink that is not running
}

// remote is what every command that asks a running sink has.
type remote struct {
	Admin string `placeholder:"ADDRESS" help:"Admin address of the running sink; the settings' admin where there is none."`
	JSON  bool   `name:"json" help:"Print what the sink answered, as JSON."`
}

// ask makes a request of the sink and reads the JSON of its answer into into. A body makes it a POST.
func (c *remote) ask(o *Operator, path string, query url.Values, body, into any) error {
	address := c.address(o)
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
		return fmt.Errorf("hooks: admin = %s: %w", address, err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Close = true
	response, err := (&http.Client{Transport: &http.Transport{Proxy: nil}}).Do(request)
	if err != nil {
		return unanswered(address, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return unanswered(address, err)
	}
	if response.StatusCode != http.StatusOK {
		var fault struct{ Error string }
		if json.Unmarshal(answer, &fault) != nil || fault.Error == "" {
			fault.Error = "what answers is no sink, or one of another version"
		}
		return fmt.Errorf("hooks: %s: %s: %s", address, response.Status, fault.Error)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("hooks: %s: what answers is no sink, or one of another version: %w", address, err)
	}
	return nil
}

// address is where the sink is to be asked.
func (c *remote) address(o *Operator) string {
	if c.Admin != "" {
		return Reach(c.Admin)
	}
	return Reach(o.Admin)
}

// Reach is where an admin listener is asked, from its address in settings or as the sink prints it. One that listens on every address is asked on this machine.
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

var errNoSink = errors.New("no sink answers")

// unanswered says why there is no answer.
func unanswered(address string, err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("hooks: %w at %s (admin of the settings, or --admin): connection refused: is it running?", errNoSink, address)
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return fmt.Errorf("hooks: %s: %w", address, err)
}
