package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"waypost/configs"
	"waypost/mint/link"
)

// keysCommand works on the key file of the settings, or on one that --file names.
type keysCommand struct {
	Init   keysInit   `cmd:"" help:"Make a key file with one key. Nothing is ever overwritten."`
	Rotate keysRotate `cmd:"" help:"Make a new primary key; the older ones go on opening links."`
	List   keysList   `cmd:"" help:"List the keys, without their bytes."`
	Retire keysRetire `cmd:"" help:"Delete the bytes of a key for good: its links never open again."`
}

// keyFile is the flag that all of them have.
type keyFile struct {
	File string `placeholder:"FILE" help:"The key file; without it the one of the settings (keys)."`
}

// path finds the key file. Other faults of the settings do not matter here: that there is no key file yet is one of them.
func (f *keyFile) path(p *program) (string, error) {
	if f.File != "" {
		return f.File, nil
	}
	settings, _, faults := configs.LoadMint(p.flags.Config, p.env)
	for _, fault := range faults {
		if fault.Key == "" && fault.File == p.flags.Config {
			_, _ = fmt.Fprintln(p.stderr, fault)
			return "", configs.Told(configs.ExitUsage)
		}
	}
	return settings.Keys, nil
}

type keysInit struct{ keyFile }

// Run makes a key file.
func (c *keysInit) Run(p *program) error {
	path, err := c.path(p)
	if err != nil {
		return err
	}
	if err := link.InitKeyFile(path); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(p.stdout, "%s: made, with a primary key in slot 0. Keep a copy of it: links open only with the key that sealed them.\n", path)
	return nil
}

type keysRotate struct{ keyFile }

// Run makes a new primary key.
func (c *keysRotate) Run(p *program) error {
	path, err := c.path(p)
	if err != nil {
		return err
	}
	slot, err := link.Rotate(path)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(p.stdout, "%s: slot %d is the primary key now. Give the file to every edge and restart it, then restart mint.\n", path, slot)
	return nil
}

type keysList struct{ keyFile }

// Run lists the keys.
func (c *keysList) Run(p *program) error {
	path, err := c.path(p)
	if err != nil {
		return err
	}
	keys, err := link.List(path)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "SLOT\tSTATE\tCREATED")
	for _, key := range keys {
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\n", key.Slot, key.State, key.Created.Format(time.RFC3339))
	}
	return table.Flush()
}

type keysRetire struct {
	keyFile
	Slot uint8 `arg:"" help:"The slot of the key (see list)."`
}

// Run retires a key.
func (c *keysRetire) Run(p *program) error {
	path, err := c.path(p)
	if err != nil {
		return err
	}
	if err := link.Retire(path, c.Slot); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(p.stdout, "%s: slot %d is retired. Its links stay alive on an edge until that has the new file and is restarted.\n", path, c.Slot)
	return nil
}
