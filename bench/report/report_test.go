package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/bench/result"
)

var update = flag.Bool("update", false, "write testdata/report.md and report.html anew")

// outputs of the runs at the paths.
func outputs(t *testing.T, paths ...string) (markdown, html string) {
	t.Helper()
	runs, err := read(paths)
	if err != nil {
		t.Fatal(err)
	}
	var m, h bytes.Buffer
	if err := errors.Join(pageOf(runs).writeMarkdown(&m), pageOf(runs).writeHTML(&h)); err != nil {
		t.Fatal(err)
	}
	return m.String(), h.String()
}

func TestReportOfEveryTool(t *testing.T) {
	markdown, html := outputs(t, "testdata")
	for name, got := range map[string]string{"report.md": markdown, "report.html": html} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("go test ./bench/report -update writes %s anew (-file +got):\n%s", name, diff)
		}
	}
	// testdata holds a result of every tool but edge and sync, which write what compare does.
	for _, tool := range tools {
		if tool.name != "bench load edge" && tool.name != "bench load sync" && !strings.Contains(markdown, "\n## "+tool.name+": ") {
			t.Errorf("testdata has no result of %s", tool.name)
		}
	}
}

func TestSyncTellsWhatTheSyncerCosts(t *testing.T) {
	text, err := os.ReadFile("testdata/compare.json")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sync.json")
	if err := os.WriteFile(path, bytes.Replace(text, []byte("bench compare"), []byte("bench load sync"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	markdown, _ := outputs(t, path)
	for _, want := range []string{"edge: p99 is 1.3", "within 2 times.", "tracker: p99 is ", "not within 2 times."} {
		if !strings.Contains(markdown, want) {
			t.Errorf("%q is missing in:\n%s", want, markdown)
		}
	}
}

// outside matches whatever would make a browser load something, or run it.
var outside = regexp.MustCompile(`(?i)<script|<link|<img|<iframe|<object|<embed|<image|\bsrc=|href="[^#]|url\(|@import|@font-face|\son[a-z]+=|javascript:`)

func TestPageStandsAlone(t *testing.T) {
	_, html := outputs(t, "testdata")
	if found := outside.FindString(html); found != "" {
		t.Errorf("the page has %q", found)
	}
	if !strings.Contains(html, `content="default-src 'none'; style-src 'unsafe-inline'"`) {
		t.Error("the page has no policy that forbids to load anything")
	}
}

var (
	svg = regexp.MustCompile(`(?s)<svg.*?</svg>`)
	id  = regexp.MustCompile(`\sid="([^"]*)"`)
	use = regexp.MustCompile(`(?:aria-labelledby="|href="#)([^"]*)"`)
)

// Every picture has a title and a description, each figure a table behind it, and no id stands twice.
func TestPageCanBeReadWithoutSeeing(t *testing.T) {
	_, html := outputs(t, "testdata")
	ids := map[string]int{}
	for _, m := range id.FindAllStringSubmatch(html, -1) {
		if ids[m[1]]++; ids[m[1]] > 1 {
			t.Errorf("id %s stands twice", m[1])
		}
	}
	for _, m := range use.FindAllStringSubmatch(html, -1) {
		for _, name := range strings.Fields(m[1]) {
			if ids[name] == 0 {
				t.Errorf("nothing has the id %s", name)
			}
		}
	}
	pictures := svg.FindAllString(html, -1)
	if len(pictures) == 0 {
		t.Fatal("the page has no picture")
	}
	for _, picture := range pictures {
		var named struct {
			Title string `xml:"title"`
			Desc  string `xml:"desc"`
		}
		if err := xml.Unmarshal([]byte(picture), &named); err != nil {
			t.Errorf("%v in %.200s", err, picture)
		} else if !strings.Contains(picture, `aria-hidden="true"`) && (named.Title == "" || named.Desc == "") {
			t.Errorf("no title or no desc in %.200s", picture)
		}
	}
	for i, part := range strings.Split(html, "<h3>")[1:] {
		if strings.Contains(part, "<figure") && !strings.Contains(part, "<table>") {
			t.Errorf("part %d has a figure and no table", i)
		}
	}
}

func TestKeysOfLaterBenchesArePassedOver(t *testing.T) {
	if _, err := parse("x.json", []byte(`{"format":1,"tool":"bench compare","newer":{"a":[1]},"turns":[{"contestant":"edge","newer":true}],"setup":{"newer":2}}`)); err != nil {
		t.Error(err)
	}
	r, err := parse("x.json", []byte(`{"format":1,"tool":"bench moon","turns":7}`))
	if err != nil {
		t.Fatal(err)
	}
	if s := r.section(0); !strings.Contains(strings.Join(s.Outcome, ""), "no tables for this tool") {
		t.Errorf("outcome %q", s.Outcome)
	}
}

func TestWhatIsNoResultIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "no JSON: line 1: unexpected end of JSON input",
		"{\n\"format\": 1,\n]":  "no JSON: line 3: invalid character ']'",
		"[1]":                   "array: must be an object",
		`{"format":1}`:          "it names no tool",
		`{"format":2,"tool":7}`: "format 2, want 1",
		`{"format":"1"}`:        "line 1: format = string: must be a whole number",
		"{\"format\":1,\"tool\":\"x\",\n\"machine\":{\"cores\":1.5}}": "line 2: machine.cores = number 1.5: must be a whole number",
		`{"format":1,"tool":"bench compare","turns":{}}`:              "line 1: turns = object: must be an array",
		`{"format":1,"tool":"bench load mint","turns":[{"void":1}]}`:  "line 1: turns.void = number: must be a string",
		`{"format":1,"tool":"bench soak","samples":[{"life":1e9}]}`:   "line 1: samples.life = number 1e9: must be a whole number",
		`{"format":1,"tool":"bench compare","turns":[{"due":-1}]}`:    "line 1: turns.due = number -1: must be a whole number from 0 on",
	} {
		_, err := parse("x.json", []byte(text))
		if !errors.Is(err, result.ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\nerror %v\nwant one with %q", text, err, want)
		}
	}
}

func TestAllFaultsAreToldAtOnce(t *testing.T) {
	dir, empty := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{"a.json": "{", "b.json": `{"format":9}`, "c.txt": "no result, and not looked at"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, err := read([]string{dir, empty, filepath.Join(dir, "none.json")})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"a.json: ", "b.json: ", empty + ": holds no *.json", "none.json: no such file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

func TestCommandWritesBoth(t *testing.T) {
	dir := t.TempDir()
	c := Command{Results: []string{"testdata/kafka.json"}, Markdown: filepath.Join(dir, "r.md"), HTML: filepath.Join(dir, "r.html")}
	runs, err := read(c.Results)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.write(io.Discard, c.Markdown, pageOf(runs).writeMarkdown), c.write(io.Discard, c.HTML, pageOf(runs).writeHTML)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{c.Markdown: "# Results\n", c.HTML: "<!DOCTYPE html>"} {
		if text, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(text), want) {
			t.Errorf("%s: %v, %.40q", path, err, text)
		}
	}
}

// hostile is what somebody might write into a result to get it into a page.
const hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>|`**[a](javascript:b)\n# c\u2028"

func TestWhatAFileHoldsMeansItself(t *testing.T) {
	quoted := strings.NewReplacer("\\", "\\\\", "\"", "\\\"", "\n", "\\n").Replace(hostile)
	text := strings.NewReplacer("edge", quoted, "Example CPU", quoted, "tracker", quoted, "/1", quoted).Replace(mustRead(t, "testdata/compare.json"))
	r, err := parse(hostile, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var m, h bytes.Buffer
	if err := errors.Join(pageOf([]*run{r}).writeMarkdown(&m), pageOf([]*run{r}).writeHTML(&h)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(h.String(), "&lt;script&gt;") {
		t.Error("the text did not reach the page")
	}
	if found := regexp.MustCompile("<script|<img").FindString(h.String()); found != "" {
		t.Errorf("the page has a raw %s", found)
	}
	// In a span of code it stands as it is, and Markdown leaves it alone.
	if found := regexp.MustCompile(`(?:^|[^\\])<\w+`).FindString(regexp.MustCompile("`` .* ``").ReplaceAllString(m.String(), "")); found != "" {
		t.Errorf("the Markdown has a raw %s", found)
	}
	if strings.Contains(m.String(), "\n# c") {
		t.Error("a text of the file began a line of Markdown")
	}
}

func mustRead(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Whatever a file holds: an error, or a page of which every picture is sound.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		f.Add([]byte(mustRead(f, file)))
	}
	f.Add([]byte(`{"format":1,"tool":"bench compare","contestants":[{"name":"a"}],"turns":[{"contestant":"a","latency_curve_us":[1e308,-1e308,0]}],"summary":[{"contestant":"a","rounds":1,"per_second":1e308,"cpu_us":1e308,"latency_us":{"p99":1e-308}},{"contestant":"a","rounds":1,"offered_per_second":-1}]}`))
	f.Add([]byte(`{"format":1,"tool":"bench soak","samples":[{"second":1e308,"anonymous_bytes":-9223372036854775808},{"second":-1e308}],"restarts":[{"second":1e300,"program":""}],"disk":[{},{"second":1e308}]}`))
	f.Add([]byte(`{"format":1,"tool":"bench load outage","turns":[{"contestant":"before","latency_us":{"p99":1e-300}},{"contestant":"outage","latency_us":{"p99":1e300}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parse("x.json", text)
		if err != nil {
			if !errors.Is(err, result.ErrFormat) {
				t.Errorf("%v is not ErrFormat", err)
			}
			return
		}
		p := pageOf([]*run{r})
		var m, h bytes.Buffer
		if err := errors.Join(p.writeMarkdown(&m), p.writeHTML(&h)); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(h.String(), "<script") {
			t.Error("a text of the file became part of the page")
		}
		for _, s := range p.Sections {
			for _, part := range s.Parts {
				for _, f := range part.Figures {
					for _, d := range f.Drawings {
						if bad := d.unsound(); bad != "" {
							t.Errorf("%s: %s", f.Title, bad)
						}
					}
				}
			}
		}
	})
}

// unsound says what cannot be drawn.
func (d *drawing) unsound() string {
	if len(d.Lines) > 2000 || len(d.Labels) > 2000 {
		return "too much on it"
	}
	for _, b := range d.Boxes {
		if !(b.W >= 0) || !(b.X >= 0) || b.X+b.W > d.Width+1 {
			return "a box that reaches out of it"
		}
	}
	for _, p := range d.Paths {
		if strings.Contains(p.D, "NaN") || strings.Contains(p.D, "Inf") {
			return "a path without a place"
		}
	}
	return ""
}
