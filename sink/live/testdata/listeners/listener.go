// A listener in Go: the sink's stream of events, each type with a function of its own. It needs nothing but the standard library. STREAM is the stream's URL, TOKEN a token of the
// tenant's (api_tokens). After a broken connection it goes on where it was. It ends with its standard input.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// Event is what this program needs of one.
type Event struct {
	Data struct {
		Message, Recipient, First, Reason string
		Link                              struct{ Destination, Original string }
	}
}

// Tracker calls a function for each event of a type.
type Tracker struct {
	handlers map[string]func(*Event)
	last     string // id of the last event that was handled
}

// On sets the function for a type.
func (t *Tracker) On(kind string, handle func(*Event)) {
	if t.handlers == nil {
		t.handlers = map[string]func(*Event){}
	}
	t.handlers[kind] = handle
}

var errRefused = errors.New("refused")

// Listen handles events until ctx is done.
func (t *Tracker) Listen(ctx context.Context, url, token string) error {
	for {
		err := t.connection(ctx, url, token)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errRefused) {
			return err
		}
		fmt.Fprintln(os.Stderr, "connection lost:", err)
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
		}
	}
}

func (t *Tracker) connection(ctx context.Context, url, token string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if t.last != "" {
		request.Header.Set("Last-Event-ID", t.last)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(response.Body)
		if response.StatusCode < 500 {
			return fmt.Errorf("%w: %s", errRefused, reason)
		}
		return errors.New(string(reason))
	}
	lines, message := bufio.NewScanner(response.Body), map[string]string{}
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), ": "); ok {
			message[name] = value
		}
		if lines.Text() != "" {
			continue
		}
		if err := t.handle(message["event"], message["data"]); err != nil {
			return err
		}
		if id := message["id"]; id != "" {
			t.last = id // not before the event was handled
		}
		clear(message)
	}
	return cmp.Or(lines.Err(), io.EOF)
}

func (t *Tracker) handle(kind, data string) error {
	handle := t.handlers[kind]
	if handle == nil || data == "" {
		return nil
	}
	var event Event
	into := any(&event)
	if kind == "gap" { // {"reason": "..."}
		into = &event.Data
	}
	if err := json.Unmarshal([]byte(data), into); err != nil {
		return err
	}
	handle(&event)
	return nil
}

func main() {
	var tracker Tracker

	tracker.On("email.opened", func(e *Event) {
		fmt.Printf("%s opened message %s\n", e.Data.Recipient, e.Data.Message)
	})
	tracker.On("email.clicked", func(e *Event) {
		if strings.Contains(e.Data.First, "person") {
			fmt.Printf("%s clicked %s\n", e.Data.Recipient, cmp.Or(e.Data.Link.Original, e.Data.Link.Destination))
		}
	})
	tracker.On("email.bounced", func(e *Event) {
		fmt.Printf("message %s bounced: no more mails to %s\n", e.Data.Message, e.Data.Recipient)
	})
	tracker.On("gap", func(e *Event) { fmt.Fprintln(os.Stderr, "events may be missing:", e.Data.Reason) })

	ctx, end := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		end()
	}()
	if err := tracker.Listen(ctx, os.Getenv("STREAM"), os.Getenv("TOKEN")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
