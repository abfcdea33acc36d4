package result

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type run struct {
	Head
	Note  string    `json:"note"`
	Curve []float64 `json:"curve"`
	None  []float64 `json:"none"`
}

func TestAResultIsReadAsItWasWritten(t *testing.T) {
	written := run{Head: Begin("bench test"), Note: "[\n 1,\n 2\n]", Curve: []float64{1, 2.5, 1e-7, -3}, None: []float64{}}
	path := filepath.Join(t.TempDir(), "result.json")
	if err := Write(path, written); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"curve": [1, 2.5, 1e-7, -3],`) || !strings.Contains(string(text), `"none": []`) {
		t.Errorf("arrays of numbers are not in one line:\n%s", text)
	}
	var read run
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if read.Note != written.Note || len(read.Curve) != 4 || read.Curve[2] != 1e-7 {
		t.Errorf("%+v was written, %+v read", written, read)
	}
	head, err := ReadHead(text)
	if err != nil {
		t.Fatal(err)
	}
	if head.Tool != "bench test" || !head.Time.Equal(written.Time) || head.Machine != written.Machine || head.Versions["go"] == "" {
		t.Errorf("head %+v, want %+v", head, written.Head)
	}
	if m := head.Machine; m.Cores < 1 || m.Memory < 1<<20 || m.Kernel == "" {
		t.Errorf("machine %+v", m)
	}
}

func TestWhatIsNoResultIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "end of JSON",
		"[]":                         "cannot unmarshal",
		"{}":                         "names no tool",
		`{"tool": "x"}`:              "format 0, want 1",
		`{"tool":"x", "format": 99}`: "format 99, want 1",

		`{"tool":["x"], "machine": 1, "format": 2}`: "format 2, want 1",
	} {
		if _, err := ReadHead([]byte(text)); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func TestSpread(t *testing.T) {
	for want, values := range map[string][]float64{
		"0.00":             nil,
		"1.50":             {1.5},
		"2.00 (1.00-9.00)": {9, 1, 2},
		"3.00 (1.00-9.00)": {9, 1, 2, 4},
	} {
		if got := SpreadOf(values).String(); got != want {
			t.Errorf("%v: %s, want %s", values, got, want)
		}
	}
}
