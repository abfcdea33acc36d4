package stack

import (
	"bufio"

	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// The programs of these tests are this test binary under other names: they listen where their settings say, say that they are ready, and obey
// signals. FAKE chooses a way to fail.
func TestMain(m *testing.M) {
	switch name := filepath.Base(os.Args[0]); name {
	case "edge", "mint", "sink":
		os.Exit(fake(name, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

func fake(name string, args []string) int {
	if args[0] == "keys" {
		if err := os.WriteFile(args[3], []byte("a key"), 0o600); err != nil {
			return 1
		}
		return 0
	}
	if os.Getenv("FAKE") == name+":refuse" {
		fmt.Fprintf(os.Stderr, "%s: cannot run today\n", name)
		return 1
	}
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	settings := readSettings(args[1])
	admin, err := net.Listen("tcp", settings["admin"])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# HELP fake_total Fake.\nfake_total{of=%q,to=\"a b\"} 2\nfake_total{of=\"other\"} 40\n", name)
	})
	go func() { _ = http.Serve(admin, handler) }() // until the end of the process
	fmt.Printf("%s ready on http://%s admin http://%s\n", name, settings["listen"], settings["admin"])
	fmt.Print(os.Getenv("SAY"))
	<-terminate
	fmt.Printf("%s ends", name)
	if os.Getenv("FAKE") == name+":sulk" {
		return 3
	}
	return 0
}

// readSettings reads the two scalars that the fakes need.
func readSettings(path string) map[string]string {
	settings := map[string]string{}
	file, err := os.Open(path)
	if err != nil {
		return settings
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ": "); ok {
			settings[key] = strings.Trim(value, `"`)
		}
	}
	return settings
}

// fakeStack is a Stack of fakes in a folder of the test's own.
func fakeStack(t *testing.T, c Config) *Stack {
	t.Helper()
	t.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector would hold up each end by a second
	c.Dir, c.Bin = t.TempDir(), t.TempDir()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"edge", "mint", "sink"} {
		if err := os.Symlink(own, filepath.Join(c.Bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
