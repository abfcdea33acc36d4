// Package result is the form in which measurements are kept: one JSON object a run, whose first keys say by what, when, where and of what it was made, the
// same for all tools. What was measured follows, in keys of the tool's own: figures are by turn or round, never only summed up. bench/results/README.md tells
// the keys.
package result

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"waypost/configs"
)

// Format is the number of the keys' meaning. A change that an older reader would misread gets another.
const Format = 1

// ErrFormat refuses what is no result, or one of another format.
var ErrFormat = errors.New("not a result of bench")

// Head is what all results begin with.
type Head struct {
	Format   int               `json:"format"`
	Tool     string            `json:"tool"` // bench compare
	Command  []string          `json:"command"`
	Time     time.Time         `json:"time"` // of the run's begin
	Machine  Machine           `json:"machine"`
	Commit   string            `json:"commit,omitempty"` // of the sources that the run stood in
	Versions map[string]string `json:"versions"`         // of the programs that took part, by name
}

// Machine is where a run took place. What could not be found out is empty.
type Machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	Memory    int64  `json:"memory_bytes"`
	Kernel    string `json:"kernel"`
}

// Begin is the head of a run of this process that begins now.
func Begin(tool string) Head {
	h := Head{
		Format: Format, Tool: tool, Command: os.Args, Time: time.Now().UTC(), Machine: thisMachine(),
		Versions: map[string]string{"bench": configs.Version(), "go": runtime.Version()},
	}
	if text, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		h.Commit = strings.TrimSpace(string(text))
	}
	return h
}

// Origin is the line that a report begins with.
func (h *Head) Origin() string {
	m := h.Machine
	return fmt.Sprintf("%s, %d cores, %.0f GB, Linux %s, %s, commit %s", m.Processor, m.Cores, float64(m.Memory)/1e9, m.Kernel, h.Versions["go"], cmp.Or(h.Commit, "unknown"))
}

// Seconds since the run's begin.
func (h *Head) Seconds() float64 { return time.Since(h.Time).Seconds() }

func thisMachine() Machine {
	return Machine{
		Processor: fileField("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(),
		Memory: kilobytes(fileField("/proc/meminfo", "MemTotal")), Kernel: fileText("/proc/sys/kernel/osrelease"),
	}
}

func fileText(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}

// fileField is what stands behind "name:" in the first line that has it.
func fileField(path, name string) string {
	for line := range strings.Lines(fileText(path)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func kilobytes(text string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(text, " kB"), 10, 64)
	return n << 10
}

// numbers is an indented array of nothing but numbers. No JSON string has a bare line feed, so no string can look like one.
var numbers = regexp.MustCompile(`\[\n[-+.\deE,\s]*\n *\]`)

var blanks = regexp.MustCompile(`\s+`)

// Write puts a result into a file, with arrays of numbers in one line each. Where no path is given, nobody asked for it.
func Write(path string, run any) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(run, "", "  ")
	if err != nil {
		return err
	}
	text = numbers.ReplaceAllFunc(text, func(list []byte) []byte {
		return bytes.ReplaceAll(blanks.ReplaceAll(list, nil), []byte(","), []byte(", "))
	})
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// ReadHead takes the head out of a result.
func ReadHead(text []byte) (Head, error) {
	var h Head
	var wrongType *json.UnmarshalTypeError
	err := json.Unmarshal(text, &h)
	if errors.As(err, &wrongType) && h.Format > Format {
		err = nil // the keys of a later format are its own affair: that it is one is the fault to tell
	}
	if err != nil {
		return h, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	switch {
	case h.Tool == "" && h.Format <= Format:
		return h, fmt.Errorf("%w: it names no tool", ErrFormat)
	case h.Format != Format:
		return h, fmt.Errorf("%w that can be read: format %d, want %d", ErrFormat, h.Format, Format)
	}
	return h, nil
}
