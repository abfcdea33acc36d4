package load

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
)

// enterTarget enters a server of others by the URL of one of its links. It gets the same request again and again.
func (l *lineup) enterTarget(ctx context.Context, name, link string) error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("load: --target %s=%s: %w", name, link, fmt.Errorf(format, args...))
	}
	if slices.ContainsFunc(l.contestants, func(c *contestant) bool { return c.name == name }) {
		return fault("the name is taken")
	}
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" {
		return fault("must be http://HOST[:PORT]/PATH: the generator does not speak TLS")
	}
	addr, err := resolve(ctx, u)
	if err != nil {
		return fault("%w", err)
	}
	path := u.RequestURI()
	answer, err := ask(addr, u.Host, path)
	switch {
	case err != nil:
		return fault("no answer that can be read: %w", err)
	case answer.status >= http.StatusBadRequest:
		return fault("answered %d", answer.status)
	case !answer.framed:
		return fault("%w", errNoLength)
	case answer.bytes > answerMax:
		return fault("%w", errTooBig)
	}
	requests := newRequestsTo(u.Host, l.clickHeaders)
	requests.add([]byte(path))
	l.contestants = append(l.contestants, &contestant{
		name: name, addr: addr, answer: answer, want: int32(answer.status), requests: requests, what: link + ", always the same link; its CPU and memory are not known",
	})
	return nil
}

// resolve finds the address to connect to.
func resolve(ctx context.Context, u *url.URL) (netip.AddrPort, error) {
	port := 80
	if text := u.Port(); text != "" {
		var err error
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			return netip.AddrPort{}, fmt.Errorf("port %s: must be from 1 to 65535", text)
		}
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", u.Hostname())
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(found[0].Unmap(), uint16(port)), nil
}
