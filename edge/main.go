// Edge redirects the people who follow links, and writes down who clicked what before it answers.
//
//	edge [serve] [--replace]   answer links (the default); with --replace in the place of the edge that runs on the same journal
//	edge blocks add WHAT       follow no link of a tenant, mailing, prospect, host or key, or one link; also remove, list
//	edge machines test AGENT   how a visit by a user agent is labelled; also print: the list that comes with the program
//	edge journal cat DIR       the events of a journal, one JSON line each
//	edge journal tail DIR      the last events, and new ones as they come
//	edge journal verify DIR    read every record, say which is damaged
//	edge journal ship DIR      ship to Kafka what a dead edge left behind
//	edge in test PROVIDER FILE map a provider's delivery, and print its events
//	edge in aside              the deliveries that could not be mapped
//	edge in replay             have the running edge map them again
//
// Settings: configs/edge.yaml or --config FILE, and the tenants and the key file that it names.
//
// Ports: 127.0.0.1:8080 (links, /robots.txt, providers' webhooks), admin 127.0.0.1:9080 (/metrics, /healthz, /readyz, pprof); both from the settings. A socket for links that a service
// manager has opened (LISTEN_PID, LISTEN_FDS=1) counts more.
//
// Signals: SIGTERM and SIGINT stop taking connections, answer what is under way, close the journal, ship it and end; a second one, or drain_timeout,
// ends at once: what is in the journal stays there.
// SIGHUP takes up tenants, keys, blocks and machines anew.
//
// Exit codes: 0 fine; 1 could not run, or the journal is damaged; 2 faults in the settings, or wrong usage.
package main

import (
	"io"
	"os"

	"waypost/configs"
	"waypost/configs/broker"
	"waypost/edge/inbound"
)

func main() {
	os.Exit(run(configs.Signals(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// commandLine is what kong reads.
type commandLine struct {
	configs.Flags

	Serve    serveCommand    `cmd:"" default:"withargs" help:"Answer links (the default)."`
	Blocks   blocksCommand   `cmd:"" help:"Say which links are not followed any more."`
	Machines machinesCommand `cmd:"" help:"Try the rules that tell visits of programs from those of people."`
	Journal  journalCommand  `cmd:"" help:"Look into a journal's directory."`
	In       inCommand       `cmd:"" help:"Try and mend what becomes of mail providers' webhooks."`
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
	command, exit, done := configs.Parse(&cli, "edge", "Redirects the people who follow links, and writes down who clicked what.", args, stdout, stderr)
	if done {
		return exit
	}
	cli.Flags.Tenants = []configs.TenantCheck{inbound.CheckTenant}
	p := &program{cli.Flags, signals, env, stdout, stderr}
	if p.flags.Check || p.flags.PrintConfig || p.flags.Version {
		_, _, exit, _ := configs.Open(p.flags, env, stdout, stderr, broker.OnlineEdge)
		return exit
	}
	return configs.Exit("edge", command.Run(p), stderr)
}
