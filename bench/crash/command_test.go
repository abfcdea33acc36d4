package crash

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// runCommand is `bench crash` with flags; it gives what was printed, by line.
func runCommand(t *testing.T, c Command) ([]string, error) {
	t.Helper()
	var out strings.Builder
	err := c.Run(t.Context(), &kong.Context{Kong: &kong.Kong{Stdout: &out}})
	return strings.Split(strings.TrimSpace(out.String()), "\n"), err
}

func TestVerdictPass(t *testing.T) {
	dir := t.TempDir()
	lines, err := runCommand(t, Command{Rounds: 1, Rate: 600, Kills: 2, Scenario: []string{"control"}, Seed: 7, Bin: programs, Dir: dir})
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(lines, "\n"))
	}
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "PASS: none lost, none doubled: 1 rounds, 1 scenarios, 3 kills at random") {
		t.Errorf("last line %q", last)
	}
	if _, err := os.Stat(filepath.Join(dir, "round-1-control", "copy-1.jsonl")); err != nil {
		t.Errorf("the copy was not kept: %v", err)
	}
}

func TestVerdictFail(t *testing.T) {
	lines, err := runCommand(t, Command{Rounds: 1, Rate: 600, Kills: 2, Scenario: []string{"random"}, Bin: t.TempDir(), Dir: t.TempDir()})
	if !errors.Is(err, ErrVerdict) {
		t.Errorf("got %v, want ErrVerdict", err)
	}
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "FAIL: 1 scenarios of 1 failed") {
		t.Errorf("last line %q", last)
	}
}
