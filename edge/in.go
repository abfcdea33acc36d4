package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"waypost/configs"
	"waypost/configs/ops"
	"waypost/edge/inbound"
	"waypost/edge/inbound/aside"
	"waypost/edge/inbound/mapping"
	"waypost/edge/internal/deliveries"
	"waypost/edge/internal/machines"
	"waypost/mint/link"
)

// inCommand is about what mail providers deliver.
type inCommand struct {
	Test   inTestCommand   `cmd:"" help:"Map a provider's delivery, and print its events as the journal would have them, or what is wrong (exit 1). Records nothing."`
	Aside  inAsideCommand  `cmd:"" help:"Print the deliveries that could not be mapped, and why."`
	Replay inReplayCommand `cmd:"" help:"Have the running edge map them again, after the mapping was mended."`
}

type inTestCommand struct {
	Provider string `arg:"" help:"resend, postmark, maileroo, nexomailer, or a parser's name in tenants.yaml."`
	File     string `arg:"" help:"The delivery's body; - reads stdin."`
	Tenant   string `placeholder:"NAME" help:"Whose; needed where several tenants could be meant."`
}

// Run maps the file.
func (c *inTestCommand) Run(p *program) error {
	settings, tenants, err := p.load()
	if err != nil {
		return err
	}
	t, err := c.tenant(tenants)
	if err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	keys, err := link.LoadKeyring(settings.Keys)
	if err != nil {
		return err
	}
	known, faults := configs.LoadMachines(settings.Machines, p.env)
	if err := faults.Err(); err != nil {
		return err
	}
	documents, err := inbound.Preview(keys, machines.New(known.Rules), t, c.Provider, time.Now(), body)
	switch {
	case errors.Is(err, inbound.ErrIgnored):
		_, err = fmt.Fprintf(p.stderr, "%s: ignored: it tells of nothing that has an event\n", c.File)
		return err
	case err != nil:
		return fmt.Errorf("%s: %w%s", c.Provider, err, pointed(err))
	}
	for _, document := range documents {
		if _, err := fmt.Fprintf(p.stdout, "%s\n", document); err != nil {
			return err
		}
	}
	return nil
}

// tenant is the one that is meant.
func (c *inTestCommand) tenant(tenants *configs.Tenants) (*configs.Tenant, error) {
	if c.Tenant != "" {
		t := tenants.ByName(c.Tenant)
		if t == nil {
			return nil, fmt.Errorf("--tenant %s: there is no such tenant", c.Tenant)
		}
		return t, nil
	}
	var able []*configs.Tenant
	for _, t := range tenants.List {
		if inbound.Knows(t, c.Provider) {
			able = append(able, t)
		}
	}
	switch len(able) {
	case 0:
		return nil, fmt.Errorf("%s: is no provider: %s and the names under inbound.parsers in tenants.yaml are", c.Provider, strings.Join(configs.BuiltInProviders, ", "))
	case 1:
		return able[0], nil
	}
	return nil, fmt.Errorf("%s: %d tenants could be meant: say which with --tenant", c.Provider, len(able))
}

func (c *inTestCommand) body() ([]byte, error) {
	file := os.Stdin
	if c.File != "-" {
		var err error
		if file, err = os.Open(c.File); err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
	}
	body, err := io.ReadAll(io.LimitReader(file, inbound.MaxBody+1))
	if err == nil && len(body) > inbound.MaxBody {
		err = fmt.Errorf("%s: is longer than a delivery may be: %d bytes", c.File, inbound.MaxBody)
	}
	return body, err
}

// pointed is the expression with a mark below the place that does not fit, where the error has one.
func pointed(err error) string {
	var f *mapping.Fault
	if !errors.As(err, &f) || f.Line == 0 {
		return ""
	}
	lines := strings.Split(f.Text, "\n")
	if f.Line > len(lines) {
		return ""
	}
	line := strings.ReplaceAll(lines[f.Line-1], "\t", " ")
	return fmt.Sprintf("\n  %s\n  %s^", line, strings.Repeat(" ", min(f.Column-1, utf8.RuneCountInString(line))))
}

// chosen are the flags that choose deliveries.
type chosen struct {
	Tenant   string    `placeholder:"NAME" help:"Of this tenant only."`
	Provider string    `placeholder:"NAME" help:"Of this provider only."`
	Since    ops.Since `placeholder:"TIME" help:"That came from this time on: 2026-11-28T05:21:29Z, or how long ago: 90m."`
}

type inAsideCommand struct {
	chosen
	JSON bool `name:"json" help:"Print them whole, one JSON line each, with their bodies."`
}

// Run prints what is kept, whether an edge runs or not.
func (c *inAsideCommand) Run(p *program) error {
	settings, _, err := p.load()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		_, _ = fmt.Fprintln(table, "CAME\tTENANT\tPROVIDER\tBYTES\tWHY")
	}
	damaged := 0
	err = aside.Read(settings.AsideDir(), func(e *aside.Entry, wrong error) (err error) {
		switch {
		case wrong != nil:
			damaged++
		case !e.Chosen(c.Tenant, c.Provider, c.Since.Time):
		case c.JSON:
			_, err = p.stdout.Write(aside.AppendLine(nil, e))
		default:
			_, err = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", e.Time.UTC().Format(time.RFC3339), e.Tenant, e.Provider, len(e.Body), oneLine(e.Why))
		}
		return err
	})
	err = errors.Join(err, table.Flush())
	if err == nil && damaged > 0 {
		err = fmt.Errorf("in: %d damaged lines in %s", damaged, settings.AsideDir())
	}
	return err
}

// oneLine keeps a reason within its row.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

type inReplayCommand struct {
	chosen
	Admin string `placeholder:"ADDRESS" help:"Admin address of the running edge; the settings' admin where there is none."`
	JSON  bool   `name:"json" help:"Print what the edge answered, as JSON."`
}

// Run asks the running edge: it alone writes the journal, and the files of what is kept aside.
func (c *inReplayCommand) Run(p *program) error {
	settings, _, err := p.load()
	if err != nil {
		return err
	}
	remote := ops.Remote{Program: "edge", Topic: "in", Admin: settings.Admin, Given: c.Admin}
	var answer deliveries.Answer
	if err := remote.Ask("/inbound/replay", nil, deliveries.Request{Tenant: c.Tenant, Provider: c.Provider, Since: c.Since.String()}, &answer); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(answer)
	}
	_, _ = fmt.Fprintf(p.stdout, "%d done, %d stay\n", answer.Done, answer.Stay)
	for _, r := range answer.Reasons {
		_, _ = fmt.Fprintf(p.stdout, "%d of %s %s: %s\n", r.Count, r.Tenant, r.Provider, oneLine(r.Why))
	}
	if answer.Damaged > 0 {
		return fmt.Errorf("in: %d damaged lines in %s", answer.Damaged, settings.AsideDir())
	}
	return nil
}
