package dispatch

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"waypost/configs"
)

// language is one in which testdata/receivers has a receiver that verifies with the packages of its registry.
type language struct {
	name    string
	tools   []string
	install []string // in the receiver's folder, as pinned there
	run     []string
}

var languages = []language{
	{
		"node", []string{"node", "npm"},
		[]string{"npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"},
		[]string{"node", "receiver.mjs"},
	},
	{
		"python", []string{"python3"},
		[]string{"python3", "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", ".", "--requirement", "requirements.txt"},
		[]string{"python3", "receiver.py"},
	},
}

// patience bounds what installs and starts programs.
const patience = 3 * time.Minute

// Receivers in other languages verify what is really sent, in every format, and refuse it with a changed byte. One knows the new secret of
// Standard Webhooks' headers, the other still the old one.
func TestReceiversInOtherLanguages(t *testing.T) {
	const oldSecret, hexSecret = "whsec_b2xkIHNlY3JldCBvZiAyNCBieXRlcyBvciBtb3Jl", "test-secret"
	for i, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			known := []string{testSecret, oldSecret}[i]
			url, complaints := l.start(t, "STANDARD_SECRET="+known, "HEX_SECRET="+hexSecret)
			var endpoints []configs.Endpoint
			for _, format := range configs.Formats {
				e := configs.Endpoint{ID: format, URL: url + "/" + format, Format: format, Secret: hexSecret, StandardSecrets: []configs.Secret{testSecret, oldSecret}}
				if format == "standard" {
					e.Secret = testSecret
				}
				endpoints = append(endpoints, e)
			}
			settings := usual()
			settings.Retries = slices.Repeat([]time.Duration{time.Millisecond}, 3)
			h := start(t, fresh(), settings, endpoints...)
			ids := h.add(5)
			h.settle()
			h.stop()
			for _, format := range configs.Formats {
				if n := testutil.ToFloat64(h.metrics.Deliveries.WithLabelValues(format, "delivered")); int(n) != len(ids) {
					t.Errorf("%s: %v of %d deliveries verified", format, n, len(ids))
				}
			}
			if said := complaints(); said != "" {
				t.Errorf("it said:\n%s", said)
			}
		})
	}
}

// start installs the receiver's packages and runs it. Where the language or its registry is missing, the test says so and is left out; in CI it
// fails.
func (l *language) start(t *testing.T, env ...string) (url string, complaints func() string) {
	t.Helper()
	missing := func(why string) {
		if os.Getenv("CI") != "" {
			t.Fatalf("no webhook was verified in %s: %s", l.name, why)
		}
		t.Skipf("NOT VERIFIED IN %s: %s", strings.ToUpper(l.name), why)
	}
	for _, tool := range l.tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing(err.Error())
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/receivers")); err != nil {
		t.Fatal(err)
	}
	var why string
	for range 3 { // a registry may fail to answer once
		if why = l.fetch(dir); why == "" {
			return l.serve(t, dir, env)
		}
		t.Log(why)
	}
	missing(why)
	return "", nil
}

// fetch installs the receiver's packages in dir, and says why it could not.
func (l *language) fetch(dir string) (why string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	install := exec.CommandContext(ctx, l.install[0], l.install[1:]...)
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Sprintf("%s: %v\n%s", strings.Join(l.install, " "), err, out)
	}
	return ""
}

// serve runs the receiver until complaints is called, which gives what it said on stderr, or the test ends.
func (l *language) serve(t *testing.T, dir string, env []string) (url string, complaints func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	program := exec.CommandContext(ctx, l.run[0], l.run[1:]...)
	program.Dir, program.Env = dir, append(os.Environ(), env...)
	var said bytes.Buffer
	program.Stderr = &said
	stdin, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		_ = stdin.Close()
		_ = program.Wait()
		cancel()
	})
	t.Cleanup(end)
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		end()
		t.Fatalf("%s did not start: %v\n%s", l.name, err, &said)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port), func() string { end(); return said.String() }
}
