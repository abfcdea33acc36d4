package configs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// NexoMailer is how the edge answers the links and pictures of mails that NexoMailer's tracking module has sent.
type NexoMailer struct {
	Enabled   bool       `yaml:"enabled"`
	Prefix    string     `yaml:"prefix"`     // what stands before /track/ in their paths, / for nothing
	Hosts     []HostRule `yaml:"hosts"`      // where a click is redirected to without a signature
	Secrets   []Secret   `yaml:"secrets"`    // what signatures of links are made with
	SentUntil time.Time  `yaml:"sent_until"` // the day of the last such mail, at midnight UTC: in its place for a time of sending, which these links do not carry
}

// HostRule is a host that links may lead to, or those below it.
type HostRule struct {
	Name  string // in small letters; an IPv6 address in its brackets
	Below bool   // the hosts below Name, and not Name itself
	Port  int    // the only one; 0: that of the scheme
}

// String is the rule as tenants.yaml has it.
func (h HostRule) String() string {
	s := h.Name
	if h.Below {
		s = "*." + s
	}
	if h.Port != 0 {
		s += ":" + strconv.Itoa(h.Port)
	}
	return s
}

const (
	mostNexoMailerHosts = 1000
	dayLayout           = "2006-01-02"
)

func (n *NexoMailer) group() group {
	return group{settings: []setting{
		{"enabled", boolean(&n.Enabled)},
		{"prefix", text(&n.Prefix, "must be / or a path such as /api, of at most 100 of A-Z, a-z, 0-9, ., _, ~, - and /, and not below /o or /in", isTrackPrefix)},
		{"hosts", list[HostRule]{&n.Hosts, hostRule, "hosts", mostNexoMailerHosts}},
		{"secrets", list[Secret]{&n.Secrets, linkSecret, "secrets", mostSecrets}},
		{"sent_until", dayOrNone(&n.SentUntil)},
	}}
}

// check is of a tenant with its defaults filled in.
func (n *NexoMailer) check(r *reader, key string) {
	at := join(key, "sent_until")
	if written := r.places[at].value; n.Enabled && n.SentUntil.IsZero() && (written == "" || written == `""`) { // anything else is a fault already
		r.late(at, "", "must be set where enabled is true: the day of the last mail that NexoMailer sent, such as 2026-11-23")
	}
}

// mostAhead is for how long after its event the topic of firsts keeps one longer than its mail's retention.
const mostAhead = 14 * day

// advise warns of what answers and tells nothing, or tells it twice.
func (n *NexoMailer) advise(r *reader, key string, retentionDays int, now time.Time) {
	if !n.Enabled || n.SentUntil.IsZero() {
		return
	}
	if len(n.Hosts) == 0 && len(n.Secrets) == 0 {
		r.warn(join(key, "hosts"), "[]", "no host and no secret: nobody is redirected, every click is answered with a page")
	}
	at, shown := join(key, "sent_until"), n.SentUntil.Format(dayLayout)
	switch {
	case n.SentUntil.Add(time.Duration(retentionDays+1) * day).Before(now):
		r.warn(at, shown, fmt.Sprintf("more than %d days ago (retention_days): clicks and opens are recorded, and told to nobody", retentionDays))
	case n.SentUntil.After(now.Add(mostAhead)):
		r.warn(at, shown, "more than 14 days ahead: a sink that has to restore its store from Kafka may tell a click again")
	}
}

var trackPrefix = regexp.MustCompile(`^/([A-Za-z0-9_~-][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*)?$`)

// isTrackPrefix keeps the prefix off the edge's own paths.
func isTrackPrefix(s string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(s, "/"), "/")
	return len(s) <= 100 && trackPrefix.MatchString(s) && first != "o" && first != "in"
}

func linkSecret(s *Secret) value {
	return secretIn(s, "must be 16 to 4096 bytes of text without control characters", func(s Secret) bool { return len(s) >= 16 && isSecretText(s) })
}

func hostRule(to *HostRule) value {
	return scalar[HostRule]{
		to:     to,
		parse:  parseHostRule,
		format: func(h HostRule) string { return quote(h.String()) },
		want: "must be a host such as example.com, *.example.com for those below it, or either with a port such as example.com:8443, which is then the only one; " +
			"* stands before a name of two labels or more",
	}
}

func parseHostRule(s string) (h HostRule, ok bool) {
	s = strings.ToLower(s)
	s, h.Below = strings.CutPrefix(s, "*.")
	if at := strings.LastIndexByte(s, ':'); at >= 0 && !strings.HasSuffix(s, "]") {
		n, err := strconv.ParseUint(s[at+1:], 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != s[at+1:] {
			return HostRule{}, false
		}
		s, h.Port = s[:at], int(n)
	}
	if h.Below && (!strings.Contains(s, ".") || s[0] == '[') {
		return HostRule{}, false
	}
	h.Name = s
	return h, isHost(s)
}

// dayOrNone is a day as people write it; the zero time for "".
func dayOrNone(to *time.Time) value {
	least, most := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2055, 12, 31, 0, 0, 0, 0, time.UTC) // what a link's time can be
	return scalar[time.Time]{
		to: to,
		parse: func(s string) (time.Time, bool) {
			if s == "" {
				return time.Time{}, true
			}
			t, err := time.Parse(dayLayout, s)
			return t, err == nil && !t.Before(least) && !t.After(most)
		},
		format: func(t time.Time) string {
			if t.IsZero() {
				return `""`
			}
			return quote(t.Format(dayLayout))
		},
		want: "must be a day from " + least.Format(dayLayout) + " to " + most.Format(dayLayout) + `, or ""`,
	}
}
