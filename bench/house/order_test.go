package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the module's folder, seen from this one.
const root = "../.."

// order is the way of things, from whom all take to who takes from all. A folder imports itself and those before it.
var order = []string{"configs", "mint", "edge", "sink", "bench"}

// bans are rules beyond the order. in are folders with all below them, or files; imports are packages likewise.
var bans = []struct {
	in      []string
	imports []string
	tests   bool // holds for tests too
	why     string
}{
	{
		in: []string{"edge/journal"}, imports: []string{"waypost/edge/event"}, tests: true,
		why: "the journal keeps bytes and does not know what they mean: a change of the event never touches what is on the disk",
	},
	{
		in: []string{"edge/event"}, imports: []string{"waypost/edge/journal"}, tests: true,
		why: "an event is the same in a journal, in Kafka and in a webhook: its package serves readers who have no journal",
	},
	{
		in: []string{"configs", "mint", "edge"}, imports: []string{"github.com/cockroachdb/pebble"}, tests: true,
		why: "no database stands between a person and the destination, nor behind mint: only the sink keeps a store",
	},
	{
		in: []string{"configs", "sink"}, imports: []string{"github.com/valyala/fasthttp"},
		why: "fasthttp serves the two hot paths; everything else wants net/http's HTTP/2, timeouts by phase and check at connect",
	},
	{
		in: []string{"bench/crash/oracle.go"}, imports: []string{"waypost/edge", "waypost/sink"}, tests: true,
		why: "an oracle that shares code with what it judges shares its mistakes",
	},
	{
		in: order[:4], imports: []string{
			"testing", "github.com/google/go-cmp", "go.uber.org/goleak", "pgregory.net/rapid", "github.com/rogpeppe/go-internal", "github.com/tink-crypto",
			"github.com/standard-webhooks", "github.com/mrz1836/postmark", "github.com/santhosh-tekuri/jsonschema", "github.com/cloudevents",
		},
		why: "it serves tests: a program that carries it is larger and exposed to its faults for nothing",
	},
	{
		in: order, imports: []string{"log", "github.com/sirupsen/logrus", "go.uber.org/zap"}, tests: true,
		why: "programs log by log/slog, at the level and in the format that the settings name",
	},
}

// leaf is what mint/link may import beyond the standard library.
const leaf = "github.com/klauspost/compress"

type file struct {
	path    string // from the module's folder
	imports []string
}

func (f file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// below says whether name is one of the folders or packages, or lies below one.
func below(name string, of []string) bool {
	return slices.ContainsFunc(of, func(dir string) bool {
		return name == dir || strings.HasPrefix(name, dir+"/")
	})
}

func TestImportsPointOneWay(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range sources(t) {
		own := strings.SplitN(f.path, "/", 2)[0]
		rank := slices.Index(order, own)
		if rank < 0 {
			t.Errorf("%s: Go code lies in %s only", f.path, strings.Join(order, ", "))
			continue
		}
		seen[own] = true
		for _, imported := range f.imports {
			of, ours := strings.CutPrefix(imported, "waypost/")
			if !ours {
				continue
			}
			if other := strings.SplitN(of, "/", 2)[0]; slices.Index(order, other) > rank {
				t.Errorf("%s imports %s: imports point one way, %s, so that each folder can be read and tested without those that follow it",
					f.path, imported, strings.Join(order, " ◀ "))
			}
		}
	}
	for _, dir := range order {
		if !seen[dir] {
			t.Errorf("found no Go file in %s: does this test look in the right place?", dir)
		}
	}
}

func TestBans(t *testing.T) {
	for _, f := range sources(t) {
		for _, imported := range f.imports {
			for _, why := range broken(f, imported) {
				t.Errorf("%s imports %s: %s", f.path, imported, why)
			}
		}
	}
}

// broken are the whys of the bans that an import breaks.
func broken(f file, imported string) (whys []string) {
	dir := path.Dir(f.path)
	for _, ban := range bans {
		if f.isTest() && !ban.tests {
			continue
		}
		if (below(dir, ban.in) || below(f.path, ban.in)) && below(imported, ban.imports) {
			// The exact package "log" is banned, not what the standard library keeps below it.
			if imported != "log" && strings.HasPrefix(imported, "log/") {
				continue
			}
			whys = append(whys, ban.why)
		}
	}
	if below(dir, []string{"mint/link"}) && !f.isTest() && !below(imported, []string{leaf, "waypost/mint/link"}) && !standard(imported) {
		whys = append(whys, "mint/link is the contract that others build a decoder from: it stands on the standard library and "+leaf+" alone")
	}
	return whys
}

// standard says whether a package is of the standard library: its path has no dot in the first element, and is not ours.
func standard(imported string) bool {
	first := strings.SplitN(imported, "/", 2)[0]
	return first != "waypost" && !strings.Contains(first, ".")
}

// The bans must be able to fail.
func TestBansBite(t *testing.T) {
	for _, c := range []struct {
		path, imported string
		want           int
	}{
		{"mint/link/a.go", "github.com/google/uuid", 1},
		{"mint/link/a.go", "waypost/configs", 1},
		{"mint/link/a.go", "github.com/klauspost/compress/flate", 0},
		{"mint/link/a.go", "crypto/aes", 0},
		{"mint/link/a_test.go", "github.com/google/uuid", 0},
		{"mint/linker/a.go", "github.com/google/uuid", 0},
		{"edge/journal/a_test.go", "waypost/edge/event", 1},
		{"edge/event/sub/a.go", "waypost/edge/journal", 1},
		{"edge/server/a.go", "waypost/edge/journal", 0},
		{"edge/server/a.go", "github.com/cockroachdb/pebble/v2", 1},
		{"sink/store/a.go", "github.com/cockroachdb/pebble/v2", 0},
		{"sink/dispatch/a.go", "github.com/valyala/fasthttp", 1},
		{"mint/server/a.go", "github.com/valyala/fasthttp", 0},
		{"sink/a.go", "log", 1},
		{"sink/a.go", "log/slog", 0},
		{"sink/a.go", "testing", 1},
		{"sink/a_test.go", "testing", 0},
		{"bench/crash/oracle.go", "waypost/sink/ingest", 1},
		{"bench/crash/round.go", "waypost/sink/ingest", 0},
	} {
		if got := len(broken(file{path: c.path}, c.imported)); got != c.want {
			t.Errorf("%s importing %s breaks %d bans, want %d", c.path, c.imported, got, c.want)
		}
	}
}

// sources are all Go files of the module, with what they import, whatever their build tags.
func sources(t *testing.T) (files []file) {
	t.Helper()
	walk(t, ".go", func(name string) {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		f := file{path: name}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			f.imports = append(f.imports, imported)
		}
		files = append(files, f)
	})
	return files
}

// walk calls visit with each file of the module whose name ends so, slash-separated from the module's folder. What git ignores is no part of it.
func walk(t *testing.T, ending string, visit func(name string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "var"):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, ending):
			visit(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
