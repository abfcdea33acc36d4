package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile bounds a settings file, and maxNesting what may be inside what: the parser recurses, and a file of brackets must not take the process down.
const (
	maxFile    = 16 * mib
	maxSecret  = 64 * kib
	maxNesting = 64
)

// reader reads one settings file and gathers its faults.
type reader struct {
	file     string // as the operator wrote it; every fault begins with it
	dir      string // relative paths start here
	env      map[string]string
	places   map[string]place // by dotted key: where each value was written
	faults   Faults
	warnings Faults
	starts   map[ast.Node]int // lines of mappings and lists, where they differ from the parser's
	hide     bool             // mask what stands under unknown keys and in wrong places: in a file with secrets it may be one
}

type place struct {
	line  int
	value string // masked where it is a secret
}

func newReader(file string, env []string) *reader {
	vars := make(map[string]string, len(env))
	for _, pair := range env {
		if name, value, ok := strings.Cut(pair, "="); ok {
			vars[name] = value
		}
	}
	return &reader{file: file, dir: filepath.Dir(file), env: vars, places: map[string]place{}, starts: map[ast.Node]int{}}
}

// load reads the file into v. It reports false when there is no file to read, with the fault noted.
func (r *reader) load(v value) bool {
	text, err := readFile(r.file, maxFile)
	if err != nil {
		r.faults = append(r.faults, Fault{File: r.file, Want: "must be a file that can be read: " + reason(err)})
		return false
	}
	r.read(text, v)
	return true
}

func (r *reader) read(text []byte, v value) {
	if line, deep := tooDeep(text); deep {
		r.faults = append(r.faults, Fault{File: r.file, Line: line, Want: fmt.Sprintf("must not nest more than %d brackets", maxNesting)})
		return
	}
	doc, err := parse(text)
	if err != nil {
		r.faults = append(r.faults, Fault{File: r.file, Line: errorLine(err), Want: errorText(err)})
		return
	}
	if len(doc.Docs) > 1 {
		r.faults = append(r.faults, Fault{File: r.file, Line: line(doc.Docs[1].Body), Want: "must hold one YAML document"})
		return
	}
	if len(doc.Docs) == 0 || doc.Docs[0].Body == nil {
		return // an empty file sets nothing: all defaults
	}
	if body := doc.Docs[0].Body; body.Type() != ast.CommentType {
		v.read(r, "", body)
	}
}

// parse turns a panic of the parser into an error: what an operator typed must never end the program with a stack trace.
func parse(text []byte) (f *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			f, err = nil, errors.New("must be YAML")
		}
	}()
	// Keys written twice are found by group, together with all other faults.
	return parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
}

// tooDeep finds runs of brackets nested beyond maxNesting, and of "- - -" and "? ? ?" likewise. It may take text in quotes for brackets: no settings file has so many.
func tooDeep(text []byte) (int, bool) {
	depth, inline := 0, 0
	for i, c := range text {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		case '\n':
			inline = 0
		case '-', '?', ':', '!', '&':
			inline++
		}
		if depth > maxNesting || (inline > 16*maxNesting) {
			return 1 + bytes.Count(text[:i], []byte("\n")), true
		}
	}
	return 0, false
}

func errorLine(err error) int {
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) && syntax.Token != nil && syntax.Token.Position != nil {
		return syntax.Token.Position.Line
	}
	return 1
}

func errorText(err error) string {
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		return "must be YAML: " + printable(syntax.Message)
	}
	return "must be YAML"
}

// note remembers where a value was written, for checks that come later.
func (r *reader) note(key string, n ast.Node, value string) {
	r.places[key] = place{r.line(n), value}
}

// begins has a mapping or list begin on the line of its key: the parser has them begin at their first entry.
func (r *reader) begins(pair *ast.MappingValueNode) {
	switch pair.Value.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		r.starts[pair.Value] = line(pair.Key)
	}
}

func (r *reader) line(n ast.Node) int {
	if start, ok := r.starts[n]; ok {
		return start
	}
	return line(n)
}

// shown is what a fault shows of a value that is not read: unlike plainText of a scalar's own, it may be a misplaced secret.
func (r *reader) shown(n ast.Node) string {
	text, ok := plainText(n)
	switch {
	case !ok:
		return describe(n)
	case r.hide:
		return mask
	case text == "":
		return `""`
	}
	return text
}

// fault notes what is wrong with a value just read.
func (r *reader) fault(key string, n ast.Node, value, want string) {
	r.faults = append(r.faults, Fault{File: r.file, Line: r.line(n), Key: key, Value: value, Want: want})
}

// late notes a fault of a value that was read before; value is what is in force where the file does not have it.
func (r *reader) late(key, value, want string) {
	r.faults = append(r.faults, r.lateFault(key, value, want))
}

// warn is late for what works but is hardly meant.
func (r *reader) warn(key, value, want string) {
	r.warnings = append(r.warnings, r.lateFault(key, value, want))
}

func (r *reader) lateFault(key, value, want string) Fault {
	f := Fault{File: r.file, Line: 1, Key: key, Value: value, Want: want}
	if p, ok := r.places[key]; ok {
		f.Line, f.Value = p.line, p.value
		return f
	}
	// Not written for this tenant: it stands in the defaults, or nowhere, and then the nearest enclosing key has the line.
	if _, rest, ok := strings.Cut(key, "]."); ok && strings.HasPrefix(key, "tenants[") {
		if p, ok := r.places["defaults."+rest]; ok {
			f.Line, f.Value = p.line, p.value
			return f
		}
	}
	for outer := key; outer != ""; {
		outer = outer[:max(0, strings.LastIndexAny(outer, ".["))]
		if p, ok := r.places[outer]; ok {
			f.Line = p.line
			break
		}
	}
	return f
}

// resolve makes a path of the file relative to the file's folder.
func (r *reader) resolve(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.dir, path)
}

// readFile reads a regular file of bounded size.
func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if info.IsDir() {
		return nil, errors.New("it is a directory")
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = errors.New("it is larger than " + formatBytes(most))
	}
	return text, err
}

// checkPrivate says what is wrong with a file that only its owner may read; "" when nothing is.
func checkPrivate(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "must be a file that can be read: " + reason(err)
	}
	if !info.Mode().IsRegular() {
		return "must be a regular file"
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Sprintf("must be readable by its owner only, its mode is %04o: chmod 600 %s", mode, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "must be a file that can be read: " + reason(err)
	}
	_ = f.Close()
	return ""
}

// reason is an error without the path, which the fault already names.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func line(n ast.Node) int {
	if n == nil {
		return 1
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 1
}
