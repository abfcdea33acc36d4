package configs

import (
	"cmp"
	_ "embed" // the list that comes with the program
	"fmt"
	"net/netip"
	"strings"
)

// Machines is a file of rules that tell visits of programs from those of people: configs/machines.yaml, or an operator's own.
type Machines struct {
	Rules []MachineRule `yaml:"rules"`
}

// MachineRule labels the visits of one program. Any of Agents, WholeAgents and Networks is enough.
type MachineRule struct {
	Name        string         `yaml:"name"`
	Label       string         `yaml:"label"`        // machine: nobody asked for it; proxy: a person did
	Visits      string         `yaml:"visits"`       // all, clicks, opens
	Agents      []string       `yaml:"agents"`       // parts of the user agent, in any case
	WholeAgents []string       `yaml:"whole_agents"` // the whole of it, in any case
	Networks    []netip.Prefix `yaml:"networks"`     // of the client's address
	Sources     []string       `yaml:"sources"`      // where it is written, for the file's readers
}

// Bounds of a file of rules: what is compiled from it stays within some megabytes.
const (
	MaxMachineRules = 1000
	MaxMachineAgent = 200      // bytes of one part or whole of a user agent
	maxMachineParts = 32 * kib // bytes of all parts together
)

//go:embed machines.yaml
var shippedMachines []byte

// ShippedMachines is the list that comes with the program, as the file that it is.
func ShippedMachines() []byte { return shippedMachines }

// LoadMachines reads a file of rules; an empty path is the list that comes with the program. It may use the environment as settings do.
func LoadMachines(path string, env []string) (*Machines, Faults) {
	m := new(Machines)
	r := newReader(cmp.Or(path, "machines.yaml"), env)
	if path == "" {
		r.read(shippedMachines, m.group())
	} else {
		r.load(m.group())
	}
	return m, r.faults.sorted()
}

func (m *Machines) group() group {
	return group{
		settings: []setting{{"rules", list[MachineRule]{&m.Rules, func(rule *MachineRule) value { return rule.group() }, "rules", MaxMachineRules}}},
		check:    m.check,
	}
}

func (m *MachineRule) group() group {
	m.Label, m.Visits = cmp.Or(m.Label, "machine"), cmp.Or(m.Visits, "all") // what a rule is that does not say
	return group{
		settings: []setting{
			{"name", named(&m.Name)},
			{"label", oneOf(&m.Label, "machine", "proxy")},
			{"visits", oneOf(&m.Visits, "all", "clicks", "opens")},
			{"agents", list[string]{&m.Agents, agentPart, "parts of user agents", 1000}},
			{"whole_agents", list[string]{&m.WholeAgents, wholeAgent, "user agents", 1000}},
			{"networks", list[netip.Prefix]{&m.Networks, machineNetwork, "networks", 20_000}},
			{"sources", list[string]{&m.Sources, func(s *string) value { return words(s, 1, 500) }, "sources", 100}},
		},
		check: m.check,
	}
}

// agentPart has three characters at least: less would be in people's user agents too.
func agentPart(to *string) value { return agentIn(to, 3) }

func wholeAgent(to *string) value { return agentIn(to, 1) }

func agentIn(to *string, least int) value {
	return text(to, fmt.Sprintf("must be %d to %d printable characters of ASCII", least, MaxMachineAgent), func(s string) bool {
		return len(s) >= least && len(s) <= MaxMachineAgent && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c >= 0x7F })
	})
}

// machineNetwork refuses what is so wide that it was hardly meant: a 0 too few, and everybody is a machine.
func machineNetwork(to *netip.Prefix) value {
	return scalar[netip.Prefix]{
		to: to,
		parse: func(s string) (netip.Prefix, bool) {
			p, ok := parsePrefix(s)
			least := 8
			if p.Addr().Is6() {
				least = 16
			}
			return p, ok && p.Bits() >= least && !p.Addr().Is4In6() // IPv4 is written as IPv4: it is compared as that
		},
		format: func(p netip.Prefix) string { return quote(p.String()) },
		want:   "must be an address or a network, such as 192.0.2.0/24 or 2001:db8::/32, with no bits set behind the prefix, of 8 bits at least (IPv6: 16)",
	}
}

func (m *MachineRule) check(r *reader, key string) {
	if m.Name == "" && !r.wrote(join(key, "name")) {
		r.late(join(key, "name"), "", "must be set: 1 to 63 of a-z, 0-9 and -")
	}
	if !r.wrote(join(key, "agents")) && !r.wrote(join(key, "whole_agents")) && !r.wrote(join(key, "networks")) {
		r.late(key, "", "must have agents, whole_agents or networks: it matches nothing otherwise")
	}
}

// check finds what two rules must not share: the second one would never act.
func (m *Machines) check(r *reader, _ string) {
	claims := claims{r: r, owners: map[string]string{}, of: "rule"}
	parts := 0
	for i := range m.Rules {
		rule, key := &m.Rules[i], fmt.Sprintf("rules[%d]", i)
		claims.claim("name", rule.Name, key+".name")
		for j, agent := range rule.Agents {
			parts += len(agent)
			claims.claim("part", strings.ToLower(agent), fmt.Sprintf("%s.agents[%d]", key, j))
		}
		for j, agent := range rule.WholeAgents {
			claims.claim("whole", strings.ToLower(agent), fmt.Sprintf("%s.whole_agents[%d]", key, j))
		}
		for j, network := range rule.Networks {
			if network.IsValid() {
				claims.claim("network", network.String(), fmt.Sprintf("%s.networks[%d]", key, j))
			}
		}
	}
	if parts > maxMachineParts {
		r.late("rules", "", fmt.Sprintf("the parts of user agents must have at most %s together, and have %d bytes", formatBytes(maxMachineParts), parts))
	}
}
