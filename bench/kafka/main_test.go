package kafka

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// testJars is where all tests of this module keep Kafka's jars: beside those of `bench kafka`.
func testJars(t testing.TB) string {
	t.Helper()
	gomod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(filepath.Dir(strings.TrimSpace(string(gomod))), "var", "kafka", "jars")
}

// long leaves a test out with -short: it watches programs that are no part of the test's own process, so the race detector, which -short is for, sees nothing of them.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short: it kills programs, which the race detector does not see")
	}
}

// startTest starts a cluster for a test. Without Java or Maven a test can tell nothing: on a person's machine that is said loudly, in CI it is a failure.
func startTest(t testing.TB, o Options) *Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // the jars may have to be fetched
	defer cancel()
	_, measuring := t.(*testing.B)
	o.Dir, o.Jars, o.Light, o.HeapMB = t.TempDir(), testJars(t), !measuring, 384
	c, err := Start(ctx, o)
	if (errors.Is(err, ErrNoJava) || errors.Is(err, ErrNoMaven)) && os.Getenv("CI") == "" {
		t.Skipf("NOT TESTED ON A REAL BROKER: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
