package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// differs is what no two runs have in common, and what stands for it.
var differs = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`[0-9a-f]{64}`), "SIGNATURE"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d`), "SECOND"},
	{regexp.MustCompile(`SECOND\.\d{3}Z`), "TIME3"},
	{regexp.MustCompile(`SECOND\.\d{6}Z`), "TIME6"},
	{regexp.MustCompile(`SECOND\.\d{7}Z`), "TIME7"},
	{regexp.MustCompile(`"event_time":\d{10}`), `"event_time":UNIX`},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`\b[0-9a-f]{48}\b`), "HEX48"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "HEX32"},
	{regexp.MustCompile(`\b[0-9a-f]{16}-\d{16}\b`), "EVENT"},
	{regexp.MustCompile(`"run":"[0-9a-f]{16}","sequence":"\d{16}"`), `"run":RUN,"sequence":SEQUENCE`},
	{regexp.MustCompile(`\b\d{13}\b`), "MAILING"},
	{regexp.MustCompile(`(http://127\.0\.0\.1:8080/)[A-Za-z0-9_-]{20,}`), "${1}TOKEN"},
}

func same(text string) string {
	for _, d := range differs {
		text = d.pattern.ReplaceAllString(text, d.name)
	}
	return text
}

// The quick start of the first README: what `make run` prints, the answer to the command that it gives, the redirect, and the click with its webhooks are as they stand there.
func TestQuickStart(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "## Quick start\n")
	var blocks []string // what `make run` prints, what one types, what is printed then
	for range 3 {
		var block string
		_, rest, _ = strings.Cut(rest, "\n```\n")
		block, rest, _ = strings.Cut(rest, "\n```\n")
		blocks = append(blocks, block)
	}
	base, state := runPorts(t), filepath.Join(t.TempDir(), "var")
	s := startRun(t, base, state)
	s.saw(`(?m)^Ctrl-C stops everything;.*\n`)
	here := func(text string) string { // as it would be on the ports and in the folder of the README
		for _, offset := range portOffsets {
			text = strings.ReplaceAll(text, fmt.Sprintf("127.0.0.1:%d", base+offset), fmt.Sprintf("127.0.0.1:%d", 8080+offset))
		}
		return same(strings.ReplaceAll(text, state, "/tmp/waypost/var"))
	}
	_, wantStart, _ := strings.Cut(blocks[0], "./bench\n") // behind the build
	start := s.out()
	if d := cmp.Diff(same(wantStart), strings.TrimSpace(here(start))); d != "" {
		t.Errorf("make run (-README +here):\n%s", d)
	}

	typed := strings.Split(blocks[1], "\n")
	if want := "$ " + regexp.MustCompile(`(?m)^curl -s .*$`).FindString(start); same(typed[0]) != here(want) {
		t.Errorf("the README types\n%s\nand is told\n%s", typed[0], want)
	}
	answer := s.ask()
	if d := cmp.Diff(same(typed[1]), here(answer)); d != "" {
		t.Errorf("links (-README +here):\n%s", d)
	}
	link := regexp.MustCompile(`"https://bit\.ly/33zYFqH":"([^"]+)"`).FindStringSubmatch(answer)
	if link == nil {
		t.Fatalf("no link in %s", answer)
	}
	if got, want := s.followed(link[1]), typed[3:]; !slices.Equal(withoutDate(got), withoutDate(want)) {
		t.Errorf("redirect\n%s\nREADME\n%s", got, want)
	}
	s.saw(`(?s)(webhook /\w+ verified \S+ .*?\n){4}`)
	s.followed(link[1])
	s.saw(`(?m)^click \S+ repeat\n`)
	interrupt(t, s)
	printed, _, _ := strings.Cut(strings.TrimPrefix(s.out(), start), "stopping ")
	want, got := strings.Split(same(blocks[2]), "\n"), strings.Split(strings.TrimSpace(here(printed)), "\n")
	slices.Sort(want) // webhooks come in any order
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("click and webhooks (-README +here):\n%s", d)
	}
}

// ask makes the request that is printed, and gives the answer.
func (s *session) ask() (answer string) {
	s.t.Helper()
	wait(s.t, "mint to have time", func() bool { // on a busy machine it says 503 rather than be late
		response, err := http.DefaultTransport.RoundTrip(s.curl())
		if err != nil {
			s.t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		answer = string(text)
		return response.StatusCode != http.StatusServiceUnavailable
	})
	return answer
}

// followed is what curl -si prints of a link.
func (s *session) followed(link string) (lines []string) {
	s.t.Helper()
	q, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, link, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	q.Close = true
	q.Header.Set("User-Agent", "curl/7.88.1")
	response, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	lines = []string{response.Proto + " " + response.Status}
	for name, values := range response.Header {
		lines = append(lines, name+": "+values[0])
	}
	return lines
}

// withoutDate sorts the lines of a header, without the date and what depends on the connection.
func withoutDate(lines []string) []string {
	lines = slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		return strings.HasPrefix(line, "Date:") || strings.HasPrefix(line, "Connection:")
	})
	slices.Sort(lines)
	return lines
}
