package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The README's table, the definitions and a scrape of the program name the same metrics.
func TestMetricsAreTold(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var told, defined, scraped []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(waypost_[a-z_]+)`").FindAllSubmatch(readme, -1) {
		told = append(told, string(m[1]))
	}
	for _, d := range definitions {
		defined = append(defined, d.name)
	}
	p := startEdge(t, t.TempDir(), "  consumers: [kafka]\nkafka:\n  brokers: [127.0.0.1:1]\n")
	_, page := p.get("/metrics")
	for _, m := range regexp.MustCompile("(?m)^# TYPE (waypost_[a-z_]+) ([a-z]+)$").FindAllStringSubmatch(page, -1) {
		scraped = append(scraped, m[1])
		for _, d := range definitions {
			if d.name == m[1] && d.kind != m[2] {
				t.Errorf("%s is a %s, defined as %s", d.name, m[2], d.kind)
			}
		}
	}
	for _, names := range [][]string{told, defined, scraped} {
		slices.Sort(names)
	}
	if !slices.Equal(told, defined) || !slices.Equal(scraped, defined) {
		t.Errorf("README %v\ndefined %v\nscraped %v", told, defined, scraped)
	}
}

func TestLossReasons(t *testing.T) {
	since := map[string]time.Time{}
	start := time.Unix(1000, 0)
	none := map[string]uint64{}
	for _, c := range []struct {
		after      time.Duration
		lost, last map[string]uint64
		want       string
	}{
		{0, none, none, ""},
		{time.Second, map[string]uint64{"io": 1}, none, "events lost: io"},
		{2 * time.Second, map[string]uint64{"io": 1, "full": 3}, map[string]uint64{"io": 1}, "events lost: full, events lost: io"},
		{time.Second + lossWindow, map[string]uint64{"io": 1, "full": 3}, map[string]uint64{"io": 1, "full": 3}, "events lost: full"},
		{2*time.Second + lossWindow, map[string]uint64{"io": 1, "full": 3}, map[string]uint64{"io": 1, "full": 3}, ""},
	} {
		if got := strings.Join(lossReasons(c.lost, c.last, since, start.Add(c.after)), ", "); got != c.want {
			t.Errorf("after %v: %q, want %q", c.after, got, c.want)
		}
	}
}
