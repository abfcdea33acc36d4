package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// page is a whole report, before it is Markdown or HTML. Its fields are exported for the template's sake, as are those of what it consists of.
type page struct {
	Sections []*section
}

// section is one run.
type section struct {
	ID      string // for links to it
	Title   string // the tool
	File    string
	Outcome []string // what came out, a sentence each
	Facts   []fact
	Parts   []part
}

// fact is one thing to know about the run.
type fact struct {
	Name, Text string
	Code       bool // a command or a name, not words
}

// part is one thing that was measured.
type part struct {
	Title   string
	Figures []figure // for the page
	Tables  []table
	Notes   []string
}

// table has words on the left and figures on the right.
type table struct {
	Caption string
	Words   int // how many columns, from the left, hold words
	Head    []string
	Rows    [][]string
}

func (t *table) add(cells ...string) { t.Rows = append(t.Rows, cells) }

func pageOf(runs []*run) *page {
	p := &page{}
	for i, r := range runs {
		p.Sections = append(p.Sections, r.section(i))
	}
	return p
}

// section is the i-th of its page.
func (r *run) section(i int) *section {
	s := &section{ID: fmt.Sprintf("run-%d", i+1), Title: r.Tool, File: r.file}
	r.addOrigin(s)
	at := rank(r.Tool)
	if at == len(tools) {
		s.Outcome = append(s.Outcome, "This bench report has no tables for this tool.")
		return s
	}
	tools[at].section(s, r.body)
	return s
}

// addOrigin says by what, when, where and of what the run was made.
func (r *run) addOrigin(s *section) {
	m := r.Machine
	s.fact("machine", fmt.Sprintf("%s, %d cores, %.0f GB", m.Processor, m.Cores, float64(m.Memory)/1e9))
	s.fact("kernel", "Linux "+m.Kernel)
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		versions = append(versions, strings.TrimSpace(name+" "+strings.TrimPrefix(r.Versions[name], "go")))
	}
	s.fact("versions", strings.Join(versions, "; "))
	commit := r.Commit
	if commit == "" {
		commit = "unknown"
	}
	s.Facts = append(s.Facts,
		fact{Name: "commit", Text: commit, Code: true},
		fact{Name: "command", Text: strings.Join(r.Command, " "), Code: true},
	)
	s.fact("begun", r.Time.UTC().Format(time.DateTime)+" UTC")
}

func (s *section) fact(name, text string) {
	if text != "" {
		s.Facts = append(s.Facts, fact{Name: name, Text: text})
	}
}

func (s *section) say(format string, args ...any) {
	s.Outcome = append(s.Outcome, fmt.Sprintf(format, args...))
}
