package configs

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The list that comes with the program says of each rule where it is written.
func TestShippedMachines(t *testing.T) {
	m, faults := LoadMachines("", nil)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	if len(m.Rules) < 15 {
		t.Fatalf("%d rules", len(m.Rules))
	}
	for _, rule := range m.Rules {
		if len(rule.Sources) == 0 {
			t.Errorf("%s has no source", rule.Name)
		}
		for _, source := range rule.Sources {
			if !strings.HasPrefix(source, "https://") {
				t.Errorf("%s: %s is nothing that people can open", rule.Name, source)
			}
		}
	}
}

func TestMachinesAreRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machines.yaml")
	write(t, filepath.Dir(path), "machines.yaml", `
rules:
  - name: a
    agents: [Scanner, "${WORD}"]
    networks: [192.0.2.0/24, "2001:db8::/32"]
    sources: [ours]
  - {name: b, label: proxy, visits: opens, whole_agents: ["x/1.0 (y, z)"]}
`, 0o644)
	got, faults := LoadMachines(path, []string{"WORD=mailgate"})
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	want := &Machines{Rules: []MachineRule{
		{Name: "a", Label: "machine", Visits: "all", Agents: []string{"Scanner", "mailgate"}, Sources: []string{"ours"},
			Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}},
		{Name: "b", Label: "proxy", Visits: "opens", WholeAgents: []string{"x/1.0 (y, z)"}},
	}}
	if diff := cmp.Diff(want, got, cmp.Comparer(samePrefix)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// All that is wrong is told at once, with its line, by everything that loads edge.yaml.
func TestFaultsOfMachines(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "link.keys", "", 0o600)
	write(t, dir, "tenants.yaml", "tenants: []\n", 0o644)
	write(t, dir, "edge.yaml", "machines: machines.yaml\nlistn: x\n", 0o644)
	write(t, dir, "machines.yaml", `rules:
  - agents: [ab, "tab\there", Fine]
    label: human
  - name: a
    visits: pictures
    networks: [0.0.0.0/0, 192.0.2.1/24, "::ffff:192.0.2.0/120", "2001::/8", x, 192.0.2.7]
  - name: a
    source: here
  - name: b
    agents: [FINE]
    whole_agents: [""]
    networks: [192.0.2.7]
`, 0o644)
	_, _, faults := LoadEdge(filepath.Join(dir, "edge.yaml"), nil)
	const network = ": must be an address or a network, such as 192.0.2.0/24 or 2001:db8::/32, with no bits set behind the prefix, of 8 bits at least (IPv6: 16)"
	want := `edge.yaml:2: listn = x: no such key; did you mean listen?
machines.yaml:2: rules[0].agents[0] = ab: must be 3 to 200 printable characters of ASCII
machines.yaml:2: rules[0].agents[1] = "tab\there": must be 3 to 200 printable characters of ASCII
machines.yaml:2: rules[0].name: must be set: 1 to 63 of a-z, 0-9 and -
machines.yaml:3: rules[0].label = human: must be machine or proxy
machines.yaml:5: rules[1].visits = pictures: must be all, clicks or opens
machines.yaml:6: rules[1].networks[0] = 0.0.0.0/0` + network + `
machines.yaml:6: rules[1].networks[1] = 192.0.2.1/24` + network + `
machines.yaml:6: rules[1].networks[2] = ::ffff:192.0.2.0/120` + network + `
machines.yaml:6: rules[1].networks[3] = 2001::/8` + network + `
machines.yaml:6: rules[1].networks[4] = x` + network + `
machines.yaml:7: rules[2] = (a mapping): must have agents, whole_agents or networks: it matches nothing otherwise
machines.yaml:7: rules[2].name = a: must be of one rule only, and rules[1].name on line 4 has it
machines.yaml:8: rules[2].source = here: no such key; did you mean sources?
machines.yaml:10: rules[3].agents[0] = FINE: must be of one rule only, and rules[0].agents[2] on line 2 has it
machines.yaml:11: rules[3].whole_agents[0] = "": must be 1 to 200 printable characters of ASCII
machines.yaml:12: rules[3].networks[0] = 192.0.2.7: must be of one rule only, and rules[1].networks[5] on line 6 has it`
	if diff := cmp.Diff(want, strings.ReplaceAll(faults.Error(), dir+string(filepath.Separator), "")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	write(t, dir, "edge.yaml", "machines: none.yaml\n", 0o644)
	_, _, faults = LoadEdge(filepath.Join(dir, "edge.yaml"), nil)
	if got := faults.Error(); !strings.HasSuffix(got, "none.yaml: must be a file that can be read: no such file or directory") {
		t.Errorf("no file: %s", got)
	}
	write(t, dir, "machines.yaml", "rules:\n  - {name: a, agents: ["+strings.Repeat("x", 190)+"0"+strings.Repeat(", "+strings.Repeat("y", 190)+"1", 1)+"]}\n", 0o644)
	if _, faults = LoadMachines(filepath.Join(dir, "machines.yaml"), nil); len(faults) > 0 {
		t.Errorf("two long parts: %v", faults)
	}
}

// What a rule can say is what the file's head explains.
func TestMachineKeysAreExplained(t *testing.T) {
	head, _, _ := strings.Cut(string(ShippedMachines()), "\nrules:\n")
	var fields []string
	for f := range reflect.TypeFor[MachineRule]().Fields() {
		fields = append(fields, f.Tag.Get("yaml"))
		if !strings.Contains(head, "\n# "+f.Tag.Get("yaml")+" ") {
			t.Errorf("the head of machines.yaml does not explain %s", f.Tag.Get("yaml"))
		}
	}
	keys := new(MachineRule).group().keys()
	slices.Sort(fields)
	slices.Sort(keys)
	if diff := cmp.Diff(fields, keys); diff != "" {
		t.Errorf("-fields +keys:\n%s", diff)
	}
}

// FuzzLoadMachines: no file makes it panic, and what is taken is within the bounds that compiling counts on.
func FuzzLoadMachines(f *testing.F) {
	f.Add(string(ShippedMachines()))
	f.Add("rules:\n  - {name: a, agents: [abc], networks: [10.0.0.0/8]}\n  - name: b\n    whole_agents: [x]\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "machines.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m, faults := LoadMachines(path, nil)
		if len(faults) > 0 {
			return
		}
		parts := 0
		for _, rule := range m.Rules {
			if rule.Name == "" || rule.Label == "" || rule.Visits == "" {
				t.Errorf("taken: %+v", rule)
			}
			for _, agent := range rule.Agents {
				parts += len(agent)
			}
		}
		if len(m.Rules) > MaxMachineRules || parts > maxMachineParts {
			t.Errorf("%d rules, %d bytes of parts", len(m.Rules), parts)
		}
	})
}
