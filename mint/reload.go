package main

import (
	"errors"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"waypost/configs"
	"waypost/configs/ops"
	"waypost/configs/reload"
	"waypost/mint/link"
	"waypost/mint/server"
)

// reloader keeps mint in step with its tenants and keys: on SIGHUP, or with reload_on_change whenever one of the files changes.
type reloader struct {
	*reload.Attempts
	load  func() (*configs.Mint, *configs.Tenants, error)
	mint  *server.Server
	admin *ops.Server

	// Only watch's goroutine touches these, once it runs.
	settings *configs.Mint
	tenants  *configs.Tenants
	keys     *link.Keyring
	seen     [2]reload.Signature // of keys and tenants
}

// newReloader reads the files for the first time. Give it mint before it watches.
func newReloader(p *program, settings *configs.Mint, admin *ops.Server, log *slog.Logger) (*reloader, error) {
	r := &reloader{load: p.loadAgain, admin: admin, settings: settings}
	r.Attempts = reload.NewAttempts(log, func() []any { return []any{"tenants", len(r.tenants.List)} })
	r.register(admin.Registry)
	var err error
	r.tenants, r.keys, err = r.read()
	return r, err
}

// watch reloads until stop is closed.
func (r *reloader) watch(hangup <-chan os.Signal, stop <-chan struct{}) {
	reload.Watch(hangup, stop, func() { r.try("signal") }, func() {
		if now := r.look(); r.settings.ReloadOnChange && (!now[0].Same(r.seen[0]) || !now[1].Same(r.seen[1])) {
			r.try("files changed")
		}
	})
}

func (r *reloader) look() [2]reload.Signature {
	return [2]reload.Signature{reload.Look(r.settings.Keys), reload.Look(r.settings.Tenants)}
}

func (r *reloader) try(why string) {
	r.Try(why, r.take)
	r.admin.SetTrouble(r.Reasons()...)
}

// take takes up tenants and keys. Of mint.yaml only where they are counts; its other settings need a restart.
func (r *reloader) take() error {
	tenants, keys, err := r.read()
	if err != nil {
		return err
	}
	if err := r.mint.Reload(keys, tenants); err != nil {
		return err
	}
	r.tenants, r.keys = tenants, keys
	return nil
}

// read reads both files. They are looked at before: what changes while they are read shows as a change later.
func (r *reloader) read() (*configs.Tenants, *link.Keyring, error) {
	r.seen = r.look()
	settings, tenants, err := r.load()
	if err != nil {
		return nil, nil, err
	}
	if settings.Keys != r.settings.Keys || settings.Tenants != r.settings.Tenants {
		return nil, nil, errors.New("keys and tenants cannot be other files without a restart")
	}
	keys, err := link.LoadKeyring(settings.Keys)
	return tenants, keys, err
}

func (r *reloader) register(registry prometheus.Registerer) {
	total := func(result string, read func() uint64) {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "waypost_mint_reloads_total", Help: "Times that changed files were taken up or refused.", ConstLabels: prometheus.Labels{"result": result},
		}, func() float64 { return float64(read()) }))
	}
	total("done", func() uint64 { done, _, _ := r.Stats(); return done })
	total("refused", func() uint64 { _, refused, _ := r.Stats(); return refused })
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "waypost_mint_reload_timestamp_seconds", Help: "When files were taken up last, the start included, in Unix time.",
	}, func() float64 { _, _, last := r.Stats(); return float64(last.UnixMilli()) / 1000 }))
}

// loadAgain reads the settings again, as the program did at its start.
func (p *program) loadAgain() (*configs.Mint, *configs.Tenants, error) {
	settings, tenants, faults := configs.LoadMint(p.flags.Path("mint"), p.env, p.flags.Tenants...)
	return settings, tenants, faults.Err()
}
