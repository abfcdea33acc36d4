// Package stacktest is for the tests of packages that start the real programs.
package stacktest

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"waypost/bench/stack"
)

// Main is a package's TestMain: it builds the programs with the tags into a folder, which it stores in *programs, runs the tests, and finds what goroutines they leave.
func Main(m *testing.M, programs *string, tags ...string) {
	dir, err := os.MkdirTemp("", "waypost-test-")
	if err == nil {
		*programs = dir
		err = stack.Build(context.Background(), dir, tags...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}
