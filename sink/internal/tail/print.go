package tail

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// shownEvent is what a line for people tells.
type shownEvent struct {
	Type string
	Time time.Time
	Data struct {
		Tenant     uint32
		TenantName string `json:"tenant_name"`
		Message    string
		Prospect   string
		Recipient  string
		Link       struct{ Destination, Original string }
		Labels     []string
		First      string
		Reason     string
	}
}

// print prints one message of the stream.
func (f *follower) print(m *message) error {
	if m.data == "" {
		return nil
	}
	if m.event == "gap" {
		var gap struct{ Reason string }
		_ = json.Unmarshal([]byte(m.data), &gap)
		_, err := fmt.Fprintf(f.Err, "sink: tail: events may be missing here: %s\n", shown(gap.Reason))
		return err
	}
	if f.JSON {
		_, err := fmt.Fprintln(f.Out, m.data)
		return err
	}
	var e shownEvent
	if err := json.Unmarshal([]byte(m.data), &e); err != nil {
		_, err := fmt.Fprintf(f.Err, "sink: tail: an event that cannot be read: %v\n", err)
		return err
	}
	_, err := fmt.Fprintln(f.Out, line(&e))
	return err
}

// line is an event in a line: what is always there first.
func line(e *shownEvent) string {
	d := &e.Data
	tenant := d.TenantName
	if tenant == "" {
		tenant = strconv.FormatUint(uint64(d.Tenant), 10)
	}
	parts := []string{e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), fmt.Sprintf("%-10s", shown(strings.TrimPrefix(e.Type, "email."))), shown(tenant)}
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+shown(value))
		}
	}
	add("message", d.Message)
	add("prospect", d.Prospect)
	add("recipient", d.Recipient)
	add("first", d.First)
	add("labels", strings.Join(d.Labels, ","))
	add("reason", d.Reason)
	if link := d.Link.Original; link != "" {
		add("link", link)
	} else {
		add("link", d.Link.Destination)
	}
	return strings.Join(parts, " ")
}

// shown is a text as it may stand on a terminal: what comes from outside could steer it otherwise.
func shown(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsGraphic(r) || r == ' ' || r == '"' || r == unicode.ReplacementChar
	}) {
		return strconv.QuoteToGraphic(text)
	}
	return text
}
