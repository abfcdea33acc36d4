package machines

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"

	"waypost/configs"
	"waypost/edge/event"
)

// longest is how much of a user agent is looked at: as much as an event keeps.
const longest = 1024

// Set is a file of rules, compiled. A nil Set labels nothing.
type Set struct {
	rules    []configs.MachineRule
	labels   []event.Labels // by rule
	parts    *automaton
	whole    map[string]matched                // in small letters
	lengths  [configs.MaxMachineAgent + 1]bool // that whole's texts have
	networks bart.Table[matched]
	seen     *seen
}

// New compiles rules, as configs has checked them.
func New(rules []configs.MachineRule) *Set {
	s := &Set{rules: rules, whole: map[string]matched{}, seen: newSeen()}
	if len(rules) > configs.MaxMachineRules {
		panic(fmt.Sprintf("BUG: %d rules", len(rules)))
	}
	var parts []part
	for i := range rules {
		rule := &rules[i]
		label := event.Machine
		if rule.Label == "proxy" {
			label = event.Proxy
		}
		s.labels = append(s.labels, label)
		m := matched{uint16(i), uint16(i)}
		switch rule.Visits {
		case "clicks":
			m.open = none
		case "opens":
			m.click = none
		}
		for _, text := range rule.Agents {
			parts = append(parts, part{text, m})
		}
		for _, text := range rule.WholeAgents {
			text = strings.ToLower(text)
			s.lengths[len(text)] = true
			if known, ok := s.whole[text]; ok {
				s.whole[text] = known.and(m)
			} else {
				s.whole[text] = m
			}
		}
		for _, network := range rule.Networks {
			s.networks.Insert(network, m)
		}
	}
	s.parts = newAutomaton(parts)
	return s
}

// Len is how many rules there are.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.rules)
}

// Labels labels a visit: an open or a click. The address may be invalid, where it is not known. It allocates nothing.
func (s *Set) Labels(agent []byte, address netip.Addr, open bool) event.Labels {
	if s == nil {
		return 0
	}
	rule := s.byAgent(agent).rule(open)
	if rule == none {
		if rule = s.byAddress(address).rule(open); rule == none {
			return 0
		}
	}
	return s.labels[rule]
}

func (m matched) rule(open bool) uint16 {
	if open {
		return m.open
	}
	return m.click
}

func (s *Set) byAgent(agent []byte) matched {
	if len(agent) > longest {
		agent = agent[:longest]
	}
	m, hash, ok := s.seen.get(agent)
	if !ok {
		m = s.look(agent)
		s.seen.keep(hash, m)
	}
	return m
}

// look finds the rules for an agent that is not remembered.
func (s *Set) look(agent []byte) matched {
	m := s.parts.find(agent)
	if len(agent) >= len(s.lengths) || !s.lengths[len(agent)] {
		return m
	}
	var room [configs.MaxMachineAgent]byte
	if whole, ok := s.whole[string(appendLower(room[:0], agent))]; ok {
		m = m.and(whole)
	}
	return m
}

// appendLower knows the letters of ASCII only, as the automaton does.
func appendLower(dst, text []byte) []byte {
	for _, c := range text {
		dst = append(dst, lower(c))
	}
	return dst
}

func (s *Set) byAddress(address netip.Addr) matched {
	m, ok := s.networks.Lookup(address)
	if !ok {
		return nothing
	}
	return m
}

// Match is why a visit is labelled.
type Match struct {
	Rule *configs.MachineRule // nil: it is not
	Key  string               // agents, whole_agents or networks
	By   string               // what of them
}

// Explain says which rule labels a visit, by reading one after the other: for people who ask. It says what Labels does.
func (s *Set) Explain(agent []byte, address netip.Addr, open bool) Match {
	if len(agent) > longest {
		agent = agent[:longest]
	}
	agent = appendLower(nil, agent)
	for i := range s.rules {
		rule := &s.rules[i]
		if !visits(rule, open) {
			continue
		}
		for _, text := range rule.Agents {
			if bytes.Contains(agent, []byte(strings.ToLower(text))) {
				return Match{rule, "agents", text}
			}
		}
		for _, text := range rule.WholeAgents {
			if string(agent) == strings.ToLower(text) {
				return Match{rule, "whole_agents", text}
			}
		}
	}
	return s.explainAddress(address, open)
}

// explainAddress looks for the narrowest network; a rule of it for other visits only hides the wider ones.
func (s *Set) explainAddress(address netip.Addr, open bool) (m Match) {
	bits := -1
	for i := range s.rules {
		for _, network := range s.rules[i].Networks {
			if network.Contains(address) && network.Bits() > bits {
				bits, m = network.Bits(), Match{&s.rules[i], "networks", network.String()}
			}
		}
	}
	if m.Rule != nil && !visits(m.Rule, open) {
		return Match{}
	}
	return m
}

func visits(rule *configs.MachineRule, open bool) bool {
	return rule.Visits != "opens" && !open || rule.Visits != "clicks" && open
}
