package load

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/valyala/fasthttp"
)

// ReceiverCommand is the receiver of webhooks: a process of its own, so that its CPU can be told. It writes each into a book, answers 200, and verifies nothing.
type ReceiverCommand struct {
	Book   string `required:"" help:"The book." type:"path"`
	Listen string `default:"127.0.0.1:0" help:"Address."`
}

// Run serves until ctx ends.
func (c *ReceiverCommand) Run(ctx context.Context, k *kong.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM) // Ctrl-C does not reach it: the bench ends it
	defer stop()
	b, err := openBook(c.Book)
	if err != nil {
		return err
	}
	defer b.close()
	return serveHidden(ctx, k.Stdout, "receiver", c.Listen, &fasthttp.Server{NoDefaultServerHeader: true, CloseOnShutdown: true, Handler: b.receive})
}

// receive takes one webhook, of the standard format.
func (b *book) receive(ctx *fasthttp.RequestCtx) {
	message, err := messageOf(ctx.PostBody())
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadRequest)
		return
	}
	b.add(message, monotonic())
}

var (
	messageKey = []byte(`"message":"`)
	errMessage = errors.New("receiver: no event with a message's number")
)

// messageOf finds the number of the message in an event.
func messageOf(event []byte) (uint64, error) {
	_, rest, _ := bytes.Cut(event, messageKey)
	digits, _, _ := bytes.Cut(rest, []byte(`"`))
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil || n == 0 {
		return 0, errMessage
	}
	return n, nil
}

// receiver is the receiver's process, and its book.
type receiver struct {
	*child
	book *book
	addr string
}

// startReceiver starts one on the core, with room for so many webhooks.
func startReceiver(ctx context.Context, dir string, core, room int) (*receiver, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "webhooks")
	b, err := makeBook(path, room)
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, core, filepath.Join(dir, "receiver.log"), "receiver", self, "load", "receiver", "--book="+path)
	if err != nil {
		b.close()
		return nil, err
	}
	on, err := c.origin("on")
	if err != nil {
		c.stop()
		b.close()
		return nil, err
	}
	return &receiver{c, b, strings.TrimPrefix(on, "http://")}, nil
}

func (r *receiver) stop() {
	r.child.stop()
	r.book.close()
}
