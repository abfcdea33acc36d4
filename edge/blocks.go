package main

import (
	"errors"
	"fmt"

	"waypost/configs"
	"waypost/edge/internal/blocks"
)

// blocksCommand is the kill switch. It changes the file that edge.yaml names; running edges look at it.
type blocksCommand struct {
	Add    blocksAdd    `cmd:"" help:"Block: tenant NAME, mailing TENANT ID, prospect TENANT ID, host NAME, key SLOT or link URL."`
	Remove blocksRemove `cmd:"" help:"Let what was blocked so be followed again."`
	List   blocksList   `cmd:"" help:"Print what is blocked; say what is wrong in the file (exit 1)."`
}

type blocksAdd struct {
	What []string `arg:"" help:"A kind and what it names."`
	Note string   `help:"Why, for the file's readers."`
}

type blocksRemove struct {
	What []string `arg:"" help:"A kind and what it names."`
}

type blocksList struct{}

// entry reads what is to be blocked, and finds the file. A tenant that nobody has is refused: running edges would refuse the whole file.
func (p *program) entry(what []string, known bool) (path string, e blocks.Entry, err error) {
	settings, tenants, err := p.load()
	if err != nil {
		return "", e, err
	}
	if e, err = blocks.ParseEntry(what); err != nil {
		return "", e, err
	}
	if known && e.Tenant != "" && tenants.ByName(e.Tenant) == nil {
		return "", e, fmt.Errorf("tenant %s is not in %s", e.Tenant, settings.Tenants)
	}
	return settings.Blocks, e, nil
}

// Run adds one entry.
func (c *blocksAdd) Run(p *program) error {
	path, e, err := p.entry(c.What, true)
	if err != nil {
		return err
	}
	added, err := blocks.Add(path, e, c.Note)
	if err != nil {
		return err
	}
	state := "blocked"
	if !added {
		state = "blocked already"
	}
	_, err = fmt.Fprintf(p.stdout, "%s: %s in %s\n", e, state, path)
	return err
}

// Run removes one entry.
func (c *blocksRemove) Run(p *program) error {
	path, e, err := p.entry(c.What, false)
	if err != nil {
		return err
	}
	removed, err := blocks.Remove(path, e)
	if err != nil {
		return err
	}
	if !removed {
		return fmt.Errorf("%s: is not blocked in %s", e, path)
	}
	_, err = fmt.Fprintf(p.stdout, "%s: no longer blocked in %s\n", e, path)
	return err
}

// Run prints the entries.
func (*blocksList) Run(p *program) error {
	settings, tenants, err := p.load()
	if err != nil {
		return err
	}
	entries, err := blocks.List(settings.Blocks)
	for _, e := range entries {
		if _, failed := fmt.Fprintln(p.stdout, e); failed != nil {
			return failed
		}
	}
	if err == nil {
		_, err = blocks.Load(settings.Blocks, tenants)
	}
	var faults configs.Faults
	if errors.As(err, &faults) {
		_, _ = fmt.Fprintln(p.stderr, faults.Error())
		return configs.Told(configs.ExitRun)
	}
	return err
}
