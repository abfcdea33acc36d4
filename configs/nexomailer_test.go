package configs

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNexoMailer(t *testing.T) {
	dir := folder(t, "", `
defaults:
  nexomailer: {hosts: [example.com], sent_until: "2026-11-20"}
tenants:
  - {number: 1, name: a, hosts: [a], nexomailer: {enabled: true}}
  - number: 2
    name: b
    hosts: [b]
    nexomailer:
      enabled: true
      prefix: /v1/mail~x
      hosts: ["*.Example.com", "example.net:8443", "*.a.example:80", "[2001:DB8::1]:81", 127.0.0.1, "xn--exmple-cua.com"]
      secrets: ["${SECRET}", "an-old-one-of-16-or-more"]
      sent_until: 2027-01-31
  - {number: 3, name: c, hosts: [c], nexomailer: {prefix: /, hosts: []}}
`)
	_, tenants, faults := LoadEdge(dir+"/edge.yaml", []string{"SECRET=a-new-one-of-16-or-more"})
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	for i, want := range []NexoMailer{
		{Enabled: true, Prefix: "/api", Hosts: []HostRule{{Name: "example.com"}}, SentUntil: day(2026, 11, 20)},
		{Enabled: true, Prefix: "/v1/mail~x", Secrets: []Secret{"a-new-one-of-16-or-more", "an-old-one-of-16-or-more"}, SentUntil: day(2027, 1, 31), Hosts: []HostRule{
			{Name: "example.com", Below: true}, {Name: "example.net", Port: 8443}, {Name: "a.example", Below: true, Port: 80}, {Name: "[2001:db8::1]", Port: 81}, {Name: "127.0.0.1"}, {Name: "xn--exmple-cua.com"}}},
		{Prefix: "/", SentUntil: day(2026, 11, 20)},
	} {
		if diff := cmp.Diff(want, tenants.List[i].NexoMailer, cmp.Comparer(sameSecret)); diff != "" {
			t.Errorf("tenant %d (-want +got):\n%s", i+1, diff)
		}
	}
}

func TestTrackPrefix(t *testing.T) {
	for prefix, want := range map[string]bool{
		"/": true, "/api": true, "/api/v1": true, "/other": true, "/inside": true, "/a.b": true,
		"": false, "api": false, "/api/": false, "//api": false, "/o": false, "/o/x": false, "/in": false, "/in/x": false, "/a/../b": false, "/.": false, "/a b": false, "/a?b": false, "/a%20b": false, "/\u00e4": false,
	} {
		if got := isTrackPrefix(prefix); got != want {
			t.Errorf("%q: %v", prefix, got)
		}
	}
}

func TestNexoMailerWarnings(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return time.Date(2026, 11, 23+n, 0, 0, 0, 0, time.UTC) }
	hosts := []HostRule{{Name: "example.com"}}
	for name, c := range map[string]struct {
		settings NexoMailer
		want     int
	}{
		"today":          {NexoMailer{Enabled: true, Hosts: hosts, SentUntil: day(0)}, 0},
		"retention ends": {NexoMailer{Enabled: true, Hosts: hosts, SentUntil: day(-45)}, 0},
		"retention over": {NexoMailer{Enabled: true, Hosts: hosts, SentUntil: day(-47)}, 1},
		"two weeks":      {NexoMailer{Enabled: true, Hosts: hosts, SentUntil: day(14)}, 0},
		"too far ahead":  {NexoMailer{Enabled: true, Hosts: hosts, SentUntil: day(15)}, 1},
		"only secrets":   {NexoMailer{Enabled: true, Secrets: []Secret{"x"}, SentUntil: day(0)}, 0},
		"nobody goes on": {NexoMailer{Enabled: true, SentUntil: day(0)}, 1},
		"off":            {NexoMailer{SentUntil: day(-400)}, 0},
	} {
		r := newReader("tenants.yaml", nil)
		c.settings.advise(r, "nexomailer", 45, now)
		if len(r.warnings) != c.want {
			t.Errorf("%s: %v", name, r.warnings)
		}
	}
}
