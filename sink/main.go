// Sink reads the journals of this machine's edges, decides which click was the first of its recipient, link and message, and sends webhooks.
//
//	sink [serve]            read, decide, deliver (the default)
//	sink store cat          the unique decisions, one JSON line each
//	sink store floors       the lowest day of each tenant
//	sink store positions    how far each run of each journal has been read
//	sink store due          deliveries that wait for an attempt
//	sink store dead         deliveries that were given up
//	sink store attempts     the log of attempts
//	sink store kept         the events that were told
//	sink store tombstones   keyed hashes of people who were forgotten
//	sink hooks list         each endpoint: what is due to it, whether it fails, why and since when
//	sink hooks attempts     what came of each attempt, the newest first
//	sink hooks test         send samples to an endpoint and show what it answers
//	sink hooks disable      end attempts at an endpoint; what it would be told is kept
//	sink hooks enable       begin them again
//	sink hooks replay       send dead letters, what waits, or what was delivered again now
//	sink tail               print events as they are decided, until a signal comes
//	sink forget             remove a person from what is kept, and say what stays where
//	sink topics create      make the topics of Kafka that are missing
//	sink topics check       say what is wrong with the topics; exit 1 when something is
//	sink topics describe    print the topics and their settings
//
// The store commands read the store of a sink that is not running; the hooks commands and tail ask the admin listener of one that is. Forget asks it too, and works on the store where none is running.
//
// Settings: configs/sink.yaml or --config FILE, and the tenants file that it names.
//
// Ports: admin 127.0.0.1:9082 (/metrics, /healthz, /readyz, pprof, /hooks, /forget, /v1/events/stream), and the API 127.0.0.1:8082 where a
// tenant has a token, from the settings.
//
// Signals: SIGTERM and SIGINT stop reading, finish the deliveries under way and end; a second one ends at once. After drain_timeout deliveries
// under way are cut off; they are made again at the next start. SIGHUP takes up the database of places anew. SIGKILL is safe at any moment.
//
// Exit codes: 0 fine; 1 could not run: the admin port is taken, another sink has the store, the disk is full; 2 faults in the settings, or
// wrong usage.
package main

import (
	"io"
	"os"

	"waypost/configs"
	"waypost/configs/broker"
	"waypost/sink/internal/hooks"
	"waypost/sink/internal/tail"
	"waypost/sink/internal/topics"
)

func main() {
	os.Exit(run(configs.Signals(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// commandLine is what kong reads.
type commandLine struct {
	configs.Flags

	Serve  serveCommand        `cmd:"" default:"withargs" help:"Read, decide, deliver (the default)."`
	Store  storeCommand        `cmd:"" help:"What the store of a sink that is not running holds."`
	Forget hooks.ForgetCommand `cmd:"" help:"Remove a person from what the sink keeps, and say what stays where until when."`
	Hooks  hooks.Command       `cmd:"" help:"The webhooks of a sink that is running: how each endpoint does, attempts, tests, replays."`
	Tail   tail.Command        `cmd:"" help:"Print events as a sink that is running decides them, until a signal comes."`
	Topics topics.Command      `cmd:"" help:"The topics of Kafka: make, check or describe them."`
	Replay replayCommand       `cmd:"" help:"Send dead letters again, with Kafka."`

	Migrate migrateCommand `cmd:"" help:"Bring to Kafka what a sink on one machine knew, so that no click is first twice."`
}

// program is what every command runs in.
type program struct {
	cfg     *configs.Sink
	tenants *configs.Tenants
	signals <-chan os.Signal
	stdout  io.Writer
	stderr  io.Writer
}

// run is the program. It gives the exit code.
func run(signals <-chan os.Signal, args, env []string, stdout, stderr io.Writer) int {
	var cli commandLine
	command, exit, done := configs.Parse(&cli, "sink", "Decides which click was the first, and sends webhooks.", args, stdout, stderr)
	if done {
		return exit
	}
	screen := &tail.Screen{Signals: signals, Out: stdout, Err: stderr}
	if cli.Tail.URL != "" && command.Command() == "tail" { // of a sink elsewhere: there need be no settings here
		return configs.Exit("sink", command.Run(screen), stderr)
	}
	cfg, tenants, exit, done := configs.Open(cli.Flags, env, stdout, stderr, broker.OnlineSink)
	if done {
		return exit
	}
	screen.Admin = cfg.Admin
	p := &program{cfg, tenants, signals, stdout, stderr}
	err := command.Run(p, &topics.Cluster{Settings: cfg.Kafka, Tenants: tenants, Out: stdout},
		&hooks.Operator{Admin: cfg.Admin, Out: stdout, Local: p.forgetHere}, screen)
	return configs.Exit("sink", err, stderr)
}
