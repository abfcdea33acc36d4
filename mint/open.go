package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"waypost/configs"
	"waypost/mint/link"
)

type openCommand struct {
	Link string `arg:"" help:"A whole link, or its token alone."`
}

// opened is what mint open prints. Bytes that are no UTF-8 are %XX in URLs and the Latin-1 character elsewhere, as in events.
type opened struct {
	Kind        string            `json:"kind"`
	Place       string            `json:"place,omitempty"`
	Tenant      uint32            `json:"tenant"`
	TenantName  string            `json:"tenant_name,omitempty"`
	OpensHere   *bool             `json:"opens_here,omitempty"` // whether the host is one of the tenant's: an edge answers 404 otherwise
	Minted      string            `json:"minted"`
	Number      uint32            `json:"number"`
	Message     string            `json:"message,omitempty"`
	Prospect    string            `json:"prospect,omitempty"`
	User        string            `json:"user,omitempty"`
	Destination string            `json:"destination,omitempty"`
	Original    string            `json:"original,omitempty"`
	Recipient   string            `json:"recipient,omitempty"`
	Stream      string            `json:"stream,omitempty"`
	Tag         string            `json:"tag,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// Run prints the contents of a link.
func (c *openCommand) Run(p *program) error {
	settings, tenants, err := p.load()
	if err != nil {
		return err
	}
	keys, err := link.LoadKeyring(settings.Keys)
	if err != nil {
		return err
	}
	host, token := splitLink(c.Link)
	var l link.Link
	if err := keys.Open(&l, []byte(token)); err != nil {
		return err
	}
	out := json.NewEncoder(p.stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(describe(&l, host, tenants))
}

// splitLink gives the host of a whole link, and its token: up to a query or fragment, as the edge reads it.
func splitLink(text string) (host, token string) {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		host, text = u.Host, u.EscapedPath()
	}
	token = strings.TrimPrefix(text, "/")
	if picture, ok := strings.CutPrefix(token, "o/"); ok {
		token = strings.TrimSuffix(picture, ".gif")
	}
	return host, token
}

func describe(l *link.Link, host string, tenants *configs.Tenants) *opened {
	o := &opened{
		Kind:        map[link.Kind]string{link.Click: "click", link.Open: "open"}[l.Kind],
		Place:       map[link.Place]string{link.PlaceHTML: "html", link.PlaceText: "text"}[l.Place],
		Tenant:      l.Tenant,
		Minted:      l.MintedTime().Format(time.RFC3339),
		Number:      l.Number,
		Message:     readable(l.Message.AppendTo(nil)),
		Prospect:    readable(l.Prospect.AppendTo(nil)),
		User:        readable(l.User.AppendTo(nil)),
		Destination: readableURL(l.Destination),
		Original:    readableURL(l.Original),
		Recipient:   readable(l.Recipient),
		Stream:      readable(l.Stream),
		Tag:         readable(l.Tag),
	}
	if t := tenants.ByNumber(l.Tenant); t != nil {
		o.TenantName = t.Name
		if host != "" {
			opens := t.Opens([]byte(host))
			o.OpensHere = &opens
		}
	}
	for key, value, rest, ok := link.NextMetadata(l.Metadata); ok; key, value, rest, ok = link.NextMetadata(rest) {
		if o.Metadata == nil {
			o.Metadata = map[string]string{}
		}
		o.Metadata[readable(key)] = readable(value)
	}
	return o
}

func readable(b []byte) string {
	return eachInvalid(b, func(c byte) string { return string(rune(c)) })
}

func readableURL(b []byte) string {
	return eachInvalid(b, func(c byte) string { return fmt.Sprintf("%%%02X", c) })
}

// eachInvalid replaces the bytes of b that are no UTF-8.
func eachInvalid(b []byte, replace func(byte) string) string {
	var out strings.Builder
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			out.WriteString(replace(b[0]))
		} else {
			out.Write(b[:size])
		}
		b = b[size:]
	}
	return out.String()
}
