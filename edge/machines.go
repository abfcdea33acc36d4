package main

import (
	"fmt"
	"net/netip"
	"strings"

	"waypost/configs"
	"waypost/edge/internal/machines"
)

// machinesCommand shows what the rules about scanners and proxies do.
type machinesCommand struct {
	Test  machinesTest  `cmd:"" help:"Say how a click and an open are labelled that come with a user agent, from an address, and by which rule. The file is that of edge.yaml, or the one given."`
	Print machinesPrint `cmd:"" help:"Print the list that comes with the program, to begin one's own with."`
}

type machinesTest struct {
	Agent   string `arg:"" help:"The header User-Agent, whole."`
	Address string `arg:"" optional:"" help:"The client's address."`
	File    string `help:"The file of rules to try, instead of the one in edge.yaml." placeholder:"FILE"`
}

type machinesPrint struct{}

// Run says what is made of a visit.
func (c *machinesTest) Run(p *program) error {
	var address netip.Addr
	if c.Address != "" {
		var err error
		if address, err = netip.ParseAddr(c.Address); err != nil {
			return fmt.Errorf("ADDRESS = %s: must be an address such as 192.0.2.7 or 2001:db8::7", c.Address)
		}
		address = address.Unmap().WithZone("")
	}
	file := c.File
	if file == "" {
		settings, _, err := p.load()
		if err != nil {
			return err
		}
		file = settings.Machines
	}
	rules, faults := configs.LoadMachines(file, p.env)
	if err := faults.Err(); err != nil {
		_, _ = fmt.Fprintln(p.stderr, err)
		return configs.Told(configs.ExitRun)
	}
	set := machines.New(rules.Rules)
	for _, open := range []bool{false, true} {
		name := "click"
		if open {
			name = "open"
		}
		if _, err := fmt.Fprintf(p.stdout, "%-6s %s\n", name+":", verdict(set.Explain([]byte(c.Agent), address, open))); err != nil {
			return err
		}
	}
	return nil
}

func verdict(m machines.Match) string {
	if m.Rule == nil {
		return "a person's"
	}
	text := fmt.Sprintf("%s, by rule %s: %s %q", m.Rule.Label, m.Rule.Name, m.Key, m.By)
	if len(m.Rule.Sources) > 0 {
		text += "; see " + strings.Join(m.Rule.Sources, ", ")
	}
	return text
}

// Run prints the file.
func (*machinesPrint) Run(p *program) error {
	_, err := p.stdout.Write(configs.ShippedMachines())
	return err
}
