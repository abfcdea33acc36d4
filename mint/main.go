// Mint turns the links of outgoing mail into links of one's own: Outreach posts the links of each mail, other programs its bodies, mint answers with signed replacements.
//
//	mint [serve]                          answer requests of Outreach and of mail programs (the default)
//	mint keys init|rotate|list|retire     the link keys that mint and edge share
//	mint link --tenant T URL              one link by hand
//	mint open LINK                        what a link holds, as JSON
//	mint filter test EXPRESSION URL...    what a filter does with links
//	mint try FILE --tenant T              sign a request, post it to the running mint, show the answer
//
// Settings: configs/mint.yaml or --config FILE, and the tenants and key files that it names.
//
// Ports: 127.0.0.1:8081 (POST /outreach/TENANT, POST /outreach, POST /v1/messages/TENANT, POST /v1/links/TENANT, POST /v1/filter/test/TENANT), admin 127.0.0.1:9081 (/metrics, /healthz, /readyz, pprof); both from the settings.
//
// Signals: SIGTERM and SIGINT stop taking connections, answer what is under way and end; a second one, or drain_timeout, ends at once. SIGHUP takes up tenants and keys anew.
//
// Exit codes: 0 fine; 1 could not run, or what was asked for was refused; 2 faults in the settings, or wrong usage.
package main

import (
	"fmt"
	"io"
	"os"

	"waypost/configs"
	"waypost/mint/filter"
)

func main() {
	os.Exit(run(configs.Signals(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// commandLine is what kong reads.
type commandLine struct {
	configs.Flags

	Serve  serveCommand  `cmd:"" default:"withargs" help:"Answer requests of Outreach and of mail programs (the default)."`
	Keys   keysCommand   `cmd:"" help:"The link keys that mint and edge share."`
	Link   linkCommand   `cmd:"" help:"Mint one link by hand."`
	Open   openCommand   `cmd:"" help:"Print what a link holds, as JSON, or why it does not open (exit 1)."`
	Filter filterCommand `cmd:"" help:"Try a filter."`
	Try    tryCommand    `cmd:"" help:"Sign a request with the tenant's first Outreach secret, post it to the running mint, show the answer."`
}

// program is what every command runs in.
type program struct {
	flags   configs.Flags
	signals <-chan os.Signal
	env     []string
	stdout  io.Writer
	stderr  io.Writer
}

// run is the program. It gives the exit code.
func run(signals <-chan os.Signal, args, env []string, stdout, stderr io.Writer) int {
	var cli commandLine
	command, exit, done := configs.Parse(&cli, "mint", "Turns the links of outgoing mail into links of one's own.", args, stdout, stderr)
	if done {
		return exit
	}
	if cli.Config == "" {
		cli.Config = "configs/mint.yaml"
	}
	cli.Tenants = []configs.TenantCheck{filter.CheckTenant}
	p := &program{cli.Flags, signals, env, stdout, stderr}
	if p.flags.Check || p.flags.PrintConfig || p.flags.Version {
		_, _, exit, _ := p.settings()
		return exit
	}
	return configs.Exit("mint", command.Run(p), stderr)
}

// settings loads mint.yaml and the tenants, or prints their faults.
func (p *program) settings() (*configs.Mint, *configs.Tenants, int, bool) {
	return configs.Open[configs.Mint](p.flags, p.env, p.stdout, p.stderr)
}

// load is settings for commands.
func (p *program) load() (*configs.Mint, *configs.Tenants, error) {
	mint, tenants, exit, done := p.settings()
	if done {
		return nil, nil, configs.Told(exit)
	}
	return mint, tenants, nil
}

// tenantNamed finds the tenant that a flag names.
func tenantNamed(tenants *configs.Tenants, name string) (*configs.Tenant, error) {
	if t := tenants.ByName(name); t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("--tenant %s: no such tenant in the settings", name)
}
