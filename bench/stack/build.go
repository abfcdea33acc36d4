package stack

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Programs are the names of what Build makes.
var Programs = []string{"edge", "mint", "sink", "bench"}

// Build compiles the programs of the module around the working directory into dir, with build tags (faults) if any.
func Build(ctx context.Context, dir string, tags ...string) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	args := []string{"build", "-tags", strings.Join(tags, ","), "-o", dir + string(filepath.Separator)}
	for _, name := range Programs {
		args = append(args, "./"+name)
	}
	build := exec.CommandContext(ctx, "go", args...)
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, text)
	}
	return nil
}

func moduleRoot(ctx context.Context) (string, error) {
	text, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	file := strings.TrimSpace(string(text))
	if filepath.Base(file) != "go.mod" {
		return "", fmt.Errorf("not inside Waypost's sources: go env GOMOD says %q", file)
	}
	return filepath.Dir(file), nil
}
