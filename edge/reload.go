package main

import (
	"errors"
	"log/slog"
	"os"

	"waypost/configs"
	"waypost/configs/reload"
	"waypost/edge/internal/blocks"
	"waypost/edge/internal/machines"
	"waypost/edge/server"
	"waypost/mint/link"
)

// reloader keeps the edge in step with its files: blocks whenever their file changes, tenants, keys and machines on SIGHUP, or with reload_on_change too.
type reloader struct {
	*reload.Attempts
	load func() (*configs.Edge, *configs.Tenants, error)
	edge *server.Server

	// Only watch's goroutine touches these, once it runs.
	settings *configs.Edge
	rules    rules
	env      []string
	seen     signatures
	pending  bool // tenants, keys and machines were refused, perhaps for the blocks' sake: the next change tries all again
}

// signatures are the states of the files.
type signatures struct {
	keys, tenants, machines, blocks reload.Signature
}

// differs says whether anything shows that keys, tenants or machines have changed. Blocks are looked at for themselves.
func (s signatures) differs(t signatures) bool {
	return !s.keys.Same(t.keys) || !s.tenants.Same(t.tenants) || !s.machines.Same(t.machines)
}

// rules are what the edge decides by.
type rules struct {
	keys     *link.Keyring
	tenants  *configs.Tenants
	blocks   *blocks.Set
	machines *machines.Set
}

// newReloader reads the files for the first time. Give it the edge before it watches.
func newReloader(p *program, settings *configs.Edge, log *slog.Logger) (*reloader, error) {
	r := &reloader{load: p.load, settings: settings, env: p.env}
	r.Attempts = reload.NewAttempts(log, func() []any {
		return []any{"tenants", len(r.rules.tenants.List), "blocks", r.rules.blocks.Len(), "machines", r.rules.machines.Len()}
	})
	var err error
	r.rules, err = r.read()
	return r, err
}

// watch reloads until stop is closed: when files change, and all of them at a hangup.
func (r *reloader) watch(hangup <-chan os.Signal, stop <-chan struct{}) {
	reload.Watch(hangup, stop, func() { r.Try("signal", r.everything) }, r.lookAround)
}

func (r *reloader) lookAround() {
	now, seen := r.look(), r.seen
	switch {
	case r.settings.ReloadOnChange && now.differs(seen):
		r.Try("files changed", r.everything)
	case now.blocks.Same(seen.blocks):
	case r.pending:
		r.Try("blocks changed", r.everything)
	default:
		r.Try("blocks changed", r.blocks)
	}
}

func (r *reloader) look() signatures {
	at := r.settings
	return signatures{reload.Look(at.Keys), reload.Look(at.Tenants), reload.Look(at.Machines), reload.Look(at.Blocks)}
}

// everything takes up tenants, keys, machines and blocks. Of edge.yaml only where they are counts; its other settings need a restart.
func (r *reloader) everything() error {
	next, err := r.read()
	if r.pending = err != nil; r.pending {
		return err
	}
	r.take(next)
	return nil
}

// blocks takes up the blocks alone.
func (r *reloader) blocks() error {
	r.seen.blocks = reload.Look(r.settings.Blocks)
	set, err := blocks.Load(r.settings.Blocks, r.rules.tenants)
	if err != nil {
		return err
	}
	r.take(rules{r.rules.keys, r.rules.tenants, set, r.rules.machines})
	return nil
}

func (r *reloader) take(next rules) {
	r.rules = next
	r.edge.Reload(next.keys, next.tenants, next.blocks, next.machines)
}

// read reads all files. They are looked at before: what changes while they are read shows as a change later.
func (r *reloader) read() (next rules, err error) {
	r.seen = r.look()
	settings, tenants, err := r.load()
	if err != nil {
		return next, err
	}
	if now := r.settings; settings.Keys != now.Keys || settings.Tenants != now.Tenants || settings.Blocks != now.Blocks || settings.Machines != now.Machines {
		return next, errors.New("keys, tenants, blocks and machines cannot be other files without a restart")
	}
	var keysFault, blocksFault error
	next.tenants = tenants
	next.keys, keysFault = link.LoadKeyring(settings.Keys)
	next.blocks, blocksFault = blocks.Load(settings.Blocks, tenants)
	known, faults := configs.LoadMachines(settings.Machines, r.env)
	if err := errors.Join(keysFault, blocksFault, faults.Err()); err != nil {
		return next, err
	}
	next.machines = machines.New(known.Rules)
	return next, nil
}

// load reads the settings again, as the program did at its start.
func (p *program) load() (*configs.Edge, *configs.Tenants, error) {
	settings, tenants, faults := configs.LoadEdge(p.flags.Path("edge"), p.env, p.flags.Tenants...)
	return settings, tenants, faults.Err()
}
