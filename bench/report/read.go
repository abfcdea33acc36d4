package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"waypost/bench/load"
	"waypost/bench/result"
	"waypost/bench/soak"
)

// run is one result.
type run struct {
	file string // its name, without the folder
	result.Head
	body any // a pointer to the tool's own type; nil: of a tool that is not known here
}

// tools are those whose results are known, in the order of the report.
var tools = []struct {
	name    string
	body    func() any
	section func(*section, any)
}{
	{"bench compare", newBody[load.Report], sectionOf(raceSection)},
	{"bench load edge", newBody[load.Report], sectionOf(raceSection)},
	{"bench load sync", newBody[load.Report], sectionOf(syncSection)},
	{"bench load mint", newBody[load.MintReport], sectionOf(mintSection)},
	{"bench load sink", newBody[load.SinkReport], sectionOf(sinkSection)},
	{"bench load e2e", newBody[load.E2EReport], sectionOf(e2eSection)},
	{"bench load keys", newBody[load.KeysReport], sectionOf(keysSection)},
	{"bench load kafka", newBody[load.KafkaReport], sectionOf(kafkaSection)},
	{"bench load outage", newBody[load.OutageReport], sectionOf(outageSection)},
	{"bench soak", newBody[soak.Report], sectionOf(soakSection)},
	{"bench length", newBody[lengthReport], sectionOf(lengthSection)},
}

func newBody[T any]() any { return new(T) }

func sectionOf[T any](fill func(*section, *T)) func(*section, any) {
	return func(s *section, body any) { fill(s, body.(*T)) }
}

// rank is the place of a tool in the report; those that are not known come last.
func rank(tool string) int {
	for i, t := range tools {
		if t.name == tool {
			return i
		}
	}
	return len(tools)
}

// mostBytes bounds a file: a soak of a month has some hundred megabytes.
const mostBytes = 1 << 30

// read reads files, and the *.json files of folders. All faults are told at once.
func read(paths []string) ([]*run, error) {
	var runs []*run
	var faults []error
	for _, path := range paths {
		files, err := filesAt(path)
		faults = append(faults, err)
		for _, file := range files {
			r, err := readFile(file)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			runs = append(runs, r)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(runs, func(a, b *run) int {
		if by := rank(a.Tool) - rank(b.Tool); by != 0 {
			return by
		}
		if by := strings.Compare(a.Tool, b.Tool); by != 0 {
			return by
		}
		if by := a.Time.Compare(b.Time); by != 0 {
			return by
		}
		return strings.Compare(a.file, b.file)
	})
	return runs, nil
}

func filesAt(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && filepath.Ext(e.Name()) == ".json" {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: holds no *.json; results are what bench's commands write by --json", path)
	}
	return files, nil
}

func readFile(path string) (*run, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > mostBytes {
		return nil, fmt.Errorf("%s: %d bytes: must be at most %d", path, info.Size(), mostBytes)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := parse(filepath.Base(path), text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// parse reads a result of any tool.
func parse(file string, text []byte) (*run, error) {
	head, err := result.ReadHead(text)
	if err != nil {
		return nil, explain(text, err)
	}
	r := &run{file: file, Head: head}
	if at := rank(head.Tool); at < len(tools) {
		r.body = tools[at].body()
		if err := json.Unmarshal(text, r.body); err != nil {
			return nil, explain(text, err)
		}
	}
	return r, nil
}

// explain says where the text is wrong: the key, and for what is no JSON at all the line.
func explain(text []byte, err error) error {
	var wrongType *json.UnmarshalTypeError
	var noJSON *json.SyntaxError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return fmt.Errorf("%w: line %d: %s = %s: must be %s", result.ErrFormat, lineAt(text, wrongType.Offset), keyOf(wrongType.Field), wrongType.Value, kindOf(wrongType))
	case errors.As(err, &wrongType):
		return fmt.Errorf("%w: %s: must be an object", result.ErrFormat, wrongType.Value)
	case errors.As(err, &noJSON):
		return fmt.Errorf("%w: no JSON: line %d: %w", result.ErrFormat, lineAt(text, noJSON.Offset), noJSON)
	case errors.Is(err, result.ErrFormat):
		return err
	}
	return fmt.Errorf("%w: %w", result.ErrFormat, err)
}

// keyOf is a key's path without the names of embedded structs, which are no keys: keys are in small letters.
func keyOf(field string) string {
	parts := slices.DeleteFunc(strings.Split(field, "."), func(part string) bool { return part == "" || part[0] >= 'A' && part[0] <= 'Z' })
	return strings.Join(parts, ".")
}

// lineAt counts from 1.
func lineAt(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:max(0, min(offset, int64(len(text))))], []byte("\n"))
}

// kindOf says in JSON's words what a key's value must be.
func kindOf(wrong *json.UnmarshalTypeError) string {
	switch kind := wrong.Type.Kind().String(); {
	case strings.HasPrefix(kind, "int"):
		return "a whole number"
	case strings.HasPrefix(kind, "uint"):
		return "a whole number from 0 on"
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "slice":
		return "an array"
	case kind == "struct", kind == "map":
		return "an object"
	case kind == "bool":
		return "true or false"
	}
	return "a string"
}
