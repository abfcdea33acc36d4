package house

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"waypost/configs"
)

// The units must let each program write where its shipped settings say, and nowhere else.
func TestUnitsFitTheSettings(t *testing.T) {
	edge, sink := configs.DefaultEdge(), configs.DefaultSink()
	for program, dirs := range map[string][]string{
		"edge": {edge.Journal.Dir},
		"mint": nil,
		"sink": append([]string{sink.Store}, sink.Journals...),
	} {
		text, err := os.ReadFile(filepath.Join(root, "configs/deploy/waypost-"+program+".service"))
		if err != nil {
			t.Fatal(err)
		}
		unit := string(text)
		var state []string
		for line := range strings.SplitSeq(unit, "\n") {
			if names, ok := strings.CutPrefix(line, "StateDirectory="); ok {
				state = strings.Fields(names)
			}
		}
		for _, dir := range dirs {
			if name := strings.TrimPrefix(dir, "/var/lib/"); !slices.Contains(state, name) {
				t.Errorf("waypost-%s.service: StateDirectory %v lacks %s", program, state, name)
			}
		}
		if (len(state) > 0) != (len(dirs) > 0) {
			t.Errorf("waypost-%s.service: StateDirectory %v for %v", program, state, dirs)
		}
		for _, want := range []string{
			"ExecStart=/usr/local/bin/waypost-" + program + " --config /etc/waypost/" + program + ".yaml\n", "User=waypost\n", "NoNewPrivileges=yes\n",
			"ProtectSystem=strict\n", "CapabilityBoundingSet=\n", "RestartPreventExitStatus=2\n", "SystemCallFilter=@system-service\n", "UMask=0077\n",
		} {
			if !strings.Contains(unit, want) {
				t.Errorf("waypost-%s.service lacks %q", program, want)
			}
		}
	}
}

// The socket that systemd keeps for the edge is where the shipped settings say.
func TestSocketUnitFitsTheSettings(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "configs/deploy/waypost-edge.socket"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "\nListenStream=" + configs.DefaultEdge().Listen + "\n"; !strings.Contains(string(text), want) {
		t.Errorf("waypost-edge.socket lacks %q", want)
	}
}
