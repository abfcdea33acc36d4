// Command bench runs Waypost's programs for people and for tests, and measures them.
//
//	bench run      everything on this machine with a demo tenant: what `make run` calls
//	bench load     offers requests at a fixed rate and at the maximum, and says what each costs
//	bench compare  the edge's redirects beside those of nginx and haproxy, and of any other server
//	bench length   how long links become, against the same contents in other tokens
//	bench kafka    a real Apache Kafka of one or three nodes
//	bench crash    kills the programs at random and at named points, and checks that no click was lost or doubled
//	bench report   what the others wrote by --json, as Markdown and as a page with plots
//	bench soak     a steady load for minutes or days, with restarts, and what grew in the programs
//
// It has no settings file: flags only, see `bench COMMAND --help`. `bench run` listens on 127.0.0.1 at 8080 (edge), 8081 (mint), 8090
// (receiver) and 9080 to 9082 (admin); --ports moves them all. The other commands take free ports.
//
// Signals: SIGINT and SIGTERM stop what was started, in order; a second one ends it at once.
//
// Exit codes: 0 fine; 1 could not run, or the verdict is bad; 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"waypost/bench/crash"
	"waypost/bench/demo"
	"waypost/bench/kafka"
	"waypost/bench/length"
	"waypost/bench/load"
	"waypost/bench/report"
	"waypost/bench/soak"
	"waypost/configs"
)

// commands are the subcommands. Each has a Run(context.Context, *kong.Context) error that prints on k.Stdout and ends early, without an
// error, when the context is over; its error is printed by run as one line.
type commands struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Run     demo.Command        `cmd:"" help:"Run edge, mint and sink with a demo tenant and a webhook receiver."`
	Load    load.Command        `cmd:"" help:"Offer requests at a fixed rate and at the maximum, and say what each costs."`
	Compare load.CompareCommand `cmd:"" help:"The edge's redirects against a bare fasthttp 302, nginx, haproxy, and any other server, in the same run."`
	Length  length.Command      `cmd:"" help:"How long links become, on a list of URLs: Waypost's, JWT, HMAC, Fernet."`
	Kafka   kafka.Command       `cmd:"" help:"Run a real Apache Kafka on this machine."`
	Crash   crash.Command       `cmd:"" help:"Kill edge and sink under load, again and again, and check that no click was lost or doubled."`
	Report  report.Command      `cmd:"" help:"Make results readable: Markdown, and one page with plots."`
	Soak    soak.Command        `cmd:"" help:"Keep up a steady load with restarts, and say whether anything grew or got lost."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends bench at once, and its children with it
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	chosen, exit, done := configs.Parse(&commands{}, "bench", "Runs Waypost's programs for people and for tests, and measures them.",
		args, stdout, stderr,
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Vars{"version": "bench " + configs.Version()}, crash.Vars(),
	)
	if done {
		return exit
	}
	err := chosen.Run()
	switch {
	case err == nil:
		return configs.ExitOK
	case errors.Is(err, crash.ErrVerdict), errors.Is(err, soak.ErrVerdict): // said already, as the last line of stdout
		return configs.ExitRun
	}
	_, _ = fmt.Fprintf(stderr, "bench: %v\n", err)
	return configs.ExitRun
}
