package load

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"waypost/bench/result"
	"waypost/mint/link"
)

// lineup is who takes turns in a run: processes that it started and will stop, and servers of others.
type lineup struct {
	*field
	head        result.Head
	dir         string // of the run's files
	path        string // of the edge
	contestants []*contestant
	edge        *edge    // whose links and headers all get
	headers     []string // of the edge's answer, for whoever can be told to send the same
	mix         *mix     // of requests
	next        maker    // of the mix, once there is an edge
	fresh       bool     // each request comes on a connection of its own
	closers     []func()
	notes       []string
}

// Entry says who a contestant is.
type Entry struct {
	Name    string `json:"name"`
	What    string `json:"what"`
	Program string `json:"program,omitempty"` // whose version is among those of the head
	Answer  int    `json:"answer_bytes"`
	Differs string `json:"differs,omitempty"` // its answer from the yardstick's
	CPU     bool   `json:"cpu_known"`
}

// lineup makes an empty one for a run of the tool, and keeps this process on the generator's core.
func (c *Course) lineup(tool string) (*lineup, error) {
	f, err := c.field()
	if err != nil {
		return nil, err
	}
	l := &lineup{field: f, head: result.Begin(tool), mix: mixOf(distinctMix)}
	if l.path, err = program(c.Program, "edge"); err != nil {
		return nil, err
	}
	l.head.Versions["edge"] = programVersion(l.path)
	dir, clear, err := workplace(c.Dir, "run-")
	if err != nil {
		return nil, err
	}
	l.closers = append(l.closers, clear)
	l.dir = dir
	restore, err := pinSelf(f.generatorCore)
	if err != nil {
		l.close()
		return nil, err
	}
	l.closers = append(l.closers, restore)
	return l, nil
}

// close ends what was started, the last first.
func (l *lineup) close() {
	for _, c := range slices.Backward(l.closers) {
		c()
	}
}

// begin starts the edge, which says what a redirect looks like, and enters the yardstick.
func (l *lineup) begin(ctx context.Context) error {
	e, err := startEdge(ctx, filepath.Join(l.dir, "edge"), l.path, l.serverCore, edgeOptions{segmentBytes: l.segmentBytes, more: l.mix.settings})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, e.stop)
	l.lead(e)
	if err := l.mixUp(e); err != nil {
		return err
	}
	bare, err := startBare(ctx, l.dir, l.serverCore, l.headers)
	if err != nil {
		return err
	}
	l.closers = append(l.closers, bare.stop)
	addr, err := bare.addr()
	if err != nil {
		return err
	}
	l.head.Versions["fasthttp"] = moduleVersion("github.com/valyala/fasthttp")
	return l.enter(&contestant{name: "bare", addr: addr, pid: bare.pid(), program: "fasthttp", what: "answers 302 and does nothing else"})
}

// lead makes e the edge whose links all follow, and whose headers they send.
func (l *lineup) lead(e *edge) {
	l.edge, l.headers = e, e.answer.lines()
	l.seal = func(r *requests, m *linkMaker, n int) error { return r.seal(e.keys, m, n) }
}

// enterEdge enters the edge that begin started.
func (l *lineup) enterEdge() error {
	what := "each link distinct and opened, journal with its syncer"
	if l.mix.name != distinctMix {
		what = "journal with its syncer"
	}
	return l.enter(l.edgeContestant("edge", what, l.edge))
}

func (l *lineup) edgeContestant(name, what string, e *edge) *contestant {
	return &contestant{name: name, addr: e.addr, pid: e.pid(), metrics: e.metrics, program: "edge", what: what, want: l.mix.want, counted: l.mix.counted}
}

// enter adds c to those who take turns, after a look at its answer.
func (l *lineup) enter(c *contestant) error {
	c.fresh = l.fresh
	var fresh link.Link
	path, err := l.edge.newPath(&fresh)
	if err != nil {
		return err
	}
	if c.answer, err = ask(c.addr, loadHost, path); err != nil {
		return fmt.Errorf("load: %s: %w", c.name, err)
	}
	if c.answer.status != http.StatusFound {
		return fmt.Errorf("load: %s answered %d, want 302", c.name, c.answer.status)
	}
	l.contestants = append(l.contestants, c)
	return nil
}

// report draws the conclusions.
func (l *lineup) report(s Setup, turns []Turn) *Report {
	var entries []Entry
	for _, c := range l.contestants {
		e := Entry{Name: c.name, What: c.what, Program: c.program, Answer: c.answer.bytes, CPU: c.pid != 0}
		if c != l.contestants[0] {
			e.Differs = c.answer.differences(l.contestants[0].answer)
		}
		entries = append(entries, e)
	}
	return &Report{
		Head: l.head, Setup: s, Contestants: entries, Notes: l.notes,
		Turns: turns, Summary: summarize(turns, s.Baselines...),
	}
}

// programVersion is what one of Waypost's programs says of itself: its name, and its version.
func programVersion(path string) string {
	text, err := exec.Command(path, "--version").Output()
	if err != nil {
		return ""
	}
	_, version, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	return version
}

// moduleVersion is that of a module that this program was built with.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return ""
}
