package configs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit statuses of every program.
const (
	ExitOK    = 0 // done
	ExitRun   = 1 // could not run: a taken port, a missing directory
	ExitUsage = 2 // faults in the settings, or wrong usage
)

// Flags are the flags that every program has. Embed them in the struct that kong parses into:
//
//	var cli struct {
//		configs.Flags
//		...
//	}
type Flags struct {
	Config      string `name:"config" placeholder:"FILE" help:"The settings file (configs/${program}.yaml)."`
	Check       bool   `name:"check" help:"Check the settings, print every fault, and exit: 0 when there is none, else 2."`
	Online      bool   `name:"online" help:"With --check: also connect to what the settings name, and print what is wrong there; exit 1 when something is."`
	PrintConfig bool   `name:"print-config" help:"Print the settings in force, secrets masked, and exit."`
	Version     bool   `name:"version" help:"Print the version and exit."`

	Tenants []TenantCheck `kong:"-"` // what the program itself has to say of tenants
}

// Path is the settings file of a program: what --config names, else the shipped one.
func (f Flags) Path(program string) string {
	if f.Config != "" {
		return f.Config
	}
	return "configs/" + program + ".yaml"
}

// Parse reads the command line into cli, a pointer to a struct with Flags. When done is true, the program ends with exit: help was printed, or a mistake of usage told on stderr.
// Without it, ctx has the command that was chosen. More options of kong may follow.
func Parse(cli any, program, description string, args []string, stdout, stderr io.Writer, more ...kong.Option) (ctx *kong.Context, exit int, done bool) {
	defer func() {
		if status, ok := recover().(exitStatus); ok {
			ctx, exit, done = nil, int(status), true
		}
	}()
	options := append([]kong.Option{
		kong.Name(program),
		kong.Description(description),
		kong.Vars{"program": program},
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
		kong.Exit(func(status int) { panic(exitStatus(status)) }), // kong goes on after Exit otherwise
	}, more...)
	parser, err := kong.New(cli, options...)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	ctx, err = parser.Parse(args)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v; see %s --help\n", program, err, program)
		return nil, ExitUsage, true
	}
	return ctx, 0, false
}

type exitStatus int

// Open carries out the common flags for the program whose settings are T (Edge, Mint or Sink): it loads the settings, prints their faults on stderr, and does what --check,
// --print-config and --version ask. When done is true, the program ends with exit.
//
//	cfg, tenants, exit, done := configs.Open[configs.Edge](cli.Flags, env, stdout, stderr)
//	if done {
//		return exit
//	}
//
// online are what --check --online asks, each giving what is wrong, one problem a line; they are not called for settings with faults.
func Open[T Edge | Mint | Sink](flags Flags, env []string, stdout, stderr io.Writer, online ...func(*T, *Tenants) []string) (cfg *T, tenants *Tenants, exit int, done bool) {
	cfg = new(T)
	settings := defaulted(cfg)
	if flags.Version {
		_, _ = fmt.Fprintln(stdout, settings.name(), Version())
		return nil, nil, ExitOK, true
	}
	if flags.Online && !flags.Check {
		_, _ = fmt.Fprintf(stderr, "%s: --online goes with --check; see %s --help\n", settings.name(), settings.name())
		return nil, nil, ExitUsage, true
	}
	path := flags.Path(settings.name())
	l := load(settings, path, env, flags.Tenants...)
	if len(l.faults) > 0 {
		_, _ = fmt.Fprintln(stderr, l.faults.Error())
	}
	if flags.Check {
		report(path, l, stdout, stderr)
	}
	switch {
	case len(l.faults) > 0:
		return nil, nil, ExitUsage, true
	case flags.PrintConfig:
		printSettings(stdout, path, settings, l.tenants)
		return nil, nil, ExitOK, true
	case flags.Online:
		return nil, nil, checkOnline(path, settings, func() (problems []string) {
			for _, ask := range online {
				problems = append(problems, ask(cfg, l.tenants)...)
			}
			return problems
		}, stdout, stderr), true
	case flags.Check:
		return nil, nil, ExitOK, true
	}
	return cfg, l.tenants, ExitOK, false
}

// Told is an error of which stderr already knows; its value is the exit status. A command returns it where Open said that the program is done.
type Told int

// Error is never printed.
func (Told) Error() string { return "told already" }

// Exit gives the exit status for what a command returned, and prints on stderr, in one line, what was not told yet.
func Exit(program string, err error, stderr io.Writer) int {
	var told Told // kong wraps what a command returns
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &told):
		return int(told)
	}
	_, _ = fmt.Fprintf(stderr, "%s: %v\n", program, err)
	return ExitRun
}

// Signals gives the signals that end a program.
func Signals() <-chan os.Signal {
	// Two places: the second signal must not be lost while the first is being served.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	return signals
}

// report is what --check says besides the faults.
func report(path string, l loaded, stdout, stderr io.Writer) {
	for _, warning := range l.warnings {
		_, _ = fmt.Fprintf(stderr, "warning: %s\n", warning)
	}
	if len(l.faults) == 0 {
		_, _ = fmt.Fprintf(stdout, "%s: no faults, %s, %s\n", path, count(len(l.warnings), "warning"), count(len(l.tenants.List), "tenant"))
	}
}

// checkOnline is what --check says with --online, and the exit status.
func checkOnline(path string, settings program, ask func() []string, stdout, stderr io.Writer) int {
	if k := settings.kafka(); k == nil || !k.On() {
		_, _ = fmt.Fprintf(stdout, "%s: nothing to connect to\n", path)
		return ExitOK
	}
	problems := ask()
	for _, problem := range problems {
		_, _ = fmt.Fprintln(stderr, problem)
	}
	if len(problems) > 0 {
		return ExitRun
	}
	_, _ = fmt.Fprintf(stdout, "%s: no problems online\n", path)
	return ExitOK
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// printSettings writes the settings in force and the tenants as two YAML documents.
func printSettings(w io.Writer, path string, settings program, tenants *Tenants) {
	_, tenantsPath := settings.files()
	_, lines := settings.group().render()
	_, _ = fmt.Fprintf(w, "# %s\n%s\n---\n# %s\n", path, strings.Join(lines, "\n"), *tenantsPath)
	file := tenantsFile{list: tenants.List}
	inline, lines := tenantList{&file}.render()
	if lines == nil {
		_, _ = fmt.Fprintln(w, "tenants: "+inline)
		return
	}
	_, _ = fmt.Fprintf(w, "tenants:\n  %s\n", strings.Join(lines, "\n  "))
}

// defaulted sets the defaults of a program's settings.
func defaulted(cfg any) program {
	switch cfg := cfg.(type) {
	case *Edge:
		*cfg = DefaultEdge()
		return cfg
	case *Mint:
		*cfg = DefaultMint()
		return cfg
	case *Sink:
		*cfg = DefaultSink()
		return cfg
	}
	panic("BUG: not a program's settings")
}
