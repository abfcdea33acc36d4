package main

import (
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args   string
		exit   int
		stdout string
		stderr string
	}{
		{"--help", 0, "Usage: bench", ""},
		{"crash --help", 0, "random, points, wiped, cut, twins", ""},
		{"--version", 0, "bench ", ""},
		{"", 2, "", "bench: expected one of"},
		{"dance", 2, "", "bench: unexpected argument dance"},
		{"run --ports 0", 2, "", "--ports=0: must be from 1 to 64513"},
		{"length", 2, "", "bench: expected \"<file>\""},
		{"length list --budget 0", 2, "", "--budget=0: must be at least 1"},
		{"length list --host=", 2, "", "--host=: must not be empty"},
		{"length /nonexistent", 1, "", "bench: open /nonexistent: no such file or directory\n"},
		{"report", 2, "", "bench: expected \"<results>"},
		{"report /nonexistent", 1, "", "bench: stat /nonexistent: no such file or directory\n"},
		{"crash --rounds 0", 2, "", "--rounds=0: must be at least 1"},
		{"crash --rate 1", 2, "", "--rate=1: must be from 100 to 100000"},
		{"crash --kills 1", 2, "", "--kills=1: must be at least 2"},
		{"crash --scenario storm", 2, "", "--scenario=storm: must be one of random, "},
		{"soak --minutes 0", 2, "", "--minutes=0: must be above 0, and at most a month"},
		{"soak --rate 0", 2, "", "--rate=0: must be from 1 to 50000"},
		{"soak --connections 0", 2, "", "--connections=0: must be from 1 to 10000"},
		{"soak --sample-every 1ms", 2, "", "--sample-every=1ms: must be at least 10ms"},
		{"run --bin /nonexistent --state /nonexistent", 1, "", "bench: edge is not in /nonexistent: run `make build` first\n"},
	} {
		var stdout, stderr strings.Builder
		exit := run(t.Context(), strings.Fields(c.args), &stdout, &stderr)
		// Help breaks its lines where it must.
		if exit != c.exit || !strings.Contains(strings.Join(strings.Fields(stdout.String()), " "), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
			t.Errorf("bench %s: exit %d\n%s\n%s", c.args, exit, stdout.String(), stderr.String())
		}
		if exit != 0 && strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("bench %s: %q is not one line", c.args, stderr.String())
		}
	}
}
