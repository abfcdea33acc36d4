package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/valyala/fasthttp"
)

// BareCommand is the yardstick: fasthttp answering 302 and nothing else, with the headers that it is given.
type BareCommand struct {
	Listen string   `default:"127.0.0.1:0" help:"Address."`
	Header []string `sep:"none" help:"A header of the answer, NAME: VALUE; as often as needed."`
}

// Run serves until ctx ends.
func (c *BareCommand) Run(ctx context.Context, k *kong.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM) // Ctrl-C does not reach it: the bench ends it
	defer stop()
	server, err := bareServer(c.Header)
	if err != nil {
		return err
	}
	return serveHidden(ctx, k.Stdout, "bare", c.Listen, server)
}

// serveHidden is what a server of the bench's own does as a process: it says where it listens, and serves until ctx ends.
func serveHidden(ctx context.Context, stdout io.Writer, name, listen string, server *fasthttp.Server) error {
	listener, err := net.Listen("tcp4", listen)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(stdout, "%s ready on http://%s gomaxprocs %d\n", name, listener.Addr(), runtime.GOMAXPROCS(0))
	defer context.AfterFunc(ctx, func() { _ = server.Shutdown() })()
	return server.Serve(listener)
}

func bareServer(lines []string) (*fasthttp.Server, error) {
	type header struct {
		name  string
		value []byte
	}
	var headers []header
	contentType := false
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("bare: header %q: want NAME: VALUE", line)
		}
		contentType = contentType || strings.EqualFold(name, "Content-Type")
		headers = append(headers, header{name, []byte(strings.TrimSpace(value))})
	}
	return &fasthttp.Server{
		Name:                  "",
		NoDefaultServerHeader: true,
		NoDefaultContentType:  !contentType,
		CloseOnShutdown:       true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.Response.SetStatusCode(fasthttp.StatusFound)
			for i := range headers {
				ctx.Response.Header.SetBytesV(headers[i].name, headers[i].value)
			}
		},
	}, nil
}

// bare is the yardstick's process.
type bare struct{ *child }

func startBare(ctx context.Context, dir string, core int, headers []string) (*bare, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"load", "bare"}
	for _, h := range headers {
		args = append(args, "--header="+h)
	}
	c, err := startChild(ctx, core, filepath.Join(dir, "bare.log"), "bare", self, args...)
	if err != nil {
		return nil, err
	}
	return &bare{c}, nil
}

func (b *bare) addr() (netip.AddrPort, error) {
	on, err := b.origin("on")
	if err != nil {
		return netip.AddrPort{}, err
	}
	return parseAddr(on)
}
