package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"waypost/configs"
	"waypost/configs/ops"
	"waypost/mint/server"
)

type serveCommand struct{}

// Run serves until a signal.
func (*serveCommand) Run(p *program) error {
	settings, _, err := p.load()
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	log := settings.Log.Logger(p.stderr)
	admin, err := ops.Start(settings.Admin, log)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	defer closeAdmin(admin)
	reload, err := newReloader(p, settings, admin, log)
	if err != nil {
		return err
	}
	mint, err := server.New(server.Options{Settings: settings, Tenants: reload.tenants, Keys: reload.keys, Registry: admin.Registry, Log: log})
	if err != nil {
		return err
	}
	reload.mint = mint
	listener, err := net.Listen("tcp", settings.Listen)
	if err != nil {
		return fmt.Errorf("listen %s: %w", settings.Listen, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- mint.Serve(listener) }()
	var watching sync.WaitGroup
	stopWatching := make(chan struct{})
	watching.Go(func() { reload.watch(hangup, stopWatching) })
	defer watching.Wait()
	defer close(stopWatching)
	admin.SetReady()
	_, _ = fmt.Fprintf(p.stdout, "mint ready on http://%s admin http://%s\n", listener.Addr(), admin.Addr())

	select {
	case err := <-ended:
		return fmt.Errorf("listener ended: %w", err)
	case <-p.signals:
	}
	admin.SetReady("draining")
	return p.drain(mint, settings)
}

// drain lets the requests under way be answered, until the timeout or a second signal.
func (p *program) drain(mint *server.Server, settings *configs.Mint) error {
	ctx, cancel := context.WithTimeout(context.Background(), settings.DrainTimeout)
	defer cancel()
	go func() {
		select {
		case <-p.signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	switch err := mint.Shutdown(ctx); err {
	case nil:
		return nil
	case context.DeadlineExceeded:
		return fmt.Errorf("drain_timeout (%v) is over: requests were cut", settings.DrainTimeout)
	case context.Canceled:
		return fmt.Errorf("second signal: requests were cut")
	default:
		return fmt.Errorf("drain: %w", err)
	}
}

func closeAdmin(admin *ops.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = admin.Close(ctx)
}
