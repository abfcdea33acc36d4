package house

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/bench/stack"
)

// readmes are all README files, by their path from the module's folder.
func readmes(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	walk(t, "README.md", func(name string) { all[name] = read(t, name) })
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEachFolderHasAReadme(t *testing.T) {
	all := readmes(t)
	for _, dir := range append(order, ".") {
		if name := path.Join(dir, "README.md"); !strings.Contains(all[name], "```") {
			t.Errorf("%s is missing, or shows no session", name)
		}
	}
}

var (
	metricRow     = regexp.MustCompile("(?m)^\\| *`(waypost_[a-z0-9_]+)[`{]")
	metricLiteral = regexp.MustCompile(`"(waypost_[a-z0-9_]+)"`)
)

// The table of metrics in a program's README lists what the program declares: no more, no less, each once.
func TestReadmesListTheMetrics(t *testing.T) {
	for _, program := range []string{"mint", "edge", "sink"} {
		declared := map[string]bool{}
		walk(t, ".go", func(name string) {
			if !strings.HasPrefix(name, program+"/") || strings.HasSuffix(name, "_test.go") {
				return
			}
			for _, m := range metricLiteral.FindAllStringSubmatch(read(t, name), -1) {
				declared[m[1]] = true
			}
		})
		var listed []string
		for _, m := range metricRow.FindAllStringSubmatch(read(t, program+"/README.md"), -1) {
			listed = append(listed, m[1])
		}
		slices.Sort(listed)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(declared)), listed); diff != "" {
			t.Errorf("%s/README.md and the metrics in its code (-code +README):\n%s", program, diff)
		}
		for name := range declared {
			if !strings.HasPrefix(name, "waypost_"+program+"_") {
				t.Errorf("%s declares %s: names begin with waypost_%s_", program, name, program)
			}
		}
	}
}

var (
	makeCommand = regexp.MustCompile("(?m)(?:`|^\\$? ?)make((?: +[a-z][a-z-]*| +[A-Z]+=[^ `\\n]+)*)")
	makeTarget  = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
	makeShown   = regexp.MustCompile(`(?m)^([a-z][a-z-]*):.*## `)
)

// Targets that a README names exist, and those that `make help` shows stand in the top README.
func TestReadmesNameTheTargets(t *testing.T) {
	makefile := read(t, "Makefile")
	targets := map[string]bool{}
	for _, m := range makeTarget.FindAllStringSubmatch(makefile, -1) {
		targets[m[1]] = true
	}
	named := map[string]map[string]bool{}
	for name, text := range readmes(t) {
		named[name] = map[string]bool{}
		for _, m := range makeCommand.FindAllStringSubmatch(text, -1) {
			for _, word := range strings.Fields(m[1]) {
				if !strings.Contains(word, "=") {
					named[name][word] = true
				}
			}
		}
		for word := range named[name] {
			if !targets[word] {
				t.Errorf("%s names `make %s`, which the Makefile does not have", name, word)
			}
		}
	}
	for _, m := range makeShown.FindAllStringSubmatch(makefile, -1) {
		if !named["README.md"][m[1]] {
			t.Errorf("README.md does not name `make %s`", m[1])
		}
	}
}

var markdownLink = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)

func TestReadmesLinksLeadSomewhere(t *testing.T) {
	for name, text := range readmes(t) {
		for _, m := range markdownLink.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, path.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
	}
}

var (
	fenced  = regexp.MustCompile("(?ms)^```[a-z]*\\n(.*?)^```")
	program = regexp.MustCompile(`(?m)^(?:\$ )?(?:bin/|go run \./|waypost-)(edge|mint|sink|bench)\b([^|;>&#\n]*)`)
	flag    = regexp.MustCompile(`^--[a-z][a-z-]*`)
	word    = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
)

// Commands in the READMEs are ones that the programs have: each command's --help knows its words and its flags.
func TestReadmesCommandsExist(t *testing.T) {
	bin := t.TempDir()
	if err := stack.Build(t.Context(), bin); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for name, text := range readmes(t) {
		for _, block := range fenced.FindAllStringSubmatch(text, -1) {
			for _, m := range program.FindAllStringSubmatch(block[1], -1) {
				checked++
				for _, fault := range unknown(t, filepath.Join(bin, m[1]), strings.Fields(m[2])) {
					t.Errorf("%s: %s: %s", name, strings.TrimSpace(m[0]), fault)
				}
			}
		}
	}
	if checked == 0 {
		t.Error("found no command in any README")
	}
}

// unknown are the words and flags of a command that its help does not know.
func unknown(t *testing.T, binary string, args []string) (faults []string) {
	t.Helper()
	var words, flags []string
	subcommand := true // until the first word that cannot be one; what follows a flag, but for --config, may be its value
	for i, arg := range args {
		switch {
		case flag.MatchString(arg):
			flags = append(flags, flag.FindString(arg))
			subcommand = subcommand && strings.HasPrefix(arg, "--config")
		case i > 0 && args[i-1] == "--config": // its value
		case subcommand && word.MatchString(arg):
			words = append(words, arg)
		default:
			subcommand = false
		}
	}
	help, err := exec.CommandContext(t.Context(), binary, append(slices.Clone(words), "--help")...).Output()
	if err != nil {
		return []string{"--help fails: " + err.Error()}
	}
	usage, _, _ := strings.Cut(string(help), "\n")
	if len(words) > 0 && !strings.Contains(usage, " "+words[0]) {
		faults = append(faults, "no command "+words[0]+": "+usage)
	}
	for _, flag := range flags {
		if !strings.Contains(string(help), flag) {
			faults = append(faults, "no flag "+flag+": "+usage)
		}
	}
	return faults
}
