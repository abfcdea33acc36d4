// Package tail is `sink tail`: it follows the stream of events of a running sink, and prints a line for each.
package tail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"waypost/configs/ops"
	"waypost/sink/live"
)

// Command is what kong reads.
type Command struct {
	Admin   string   `placeholder:"ADDRESS" help:"Admin address of the running sink; the settings' admin where there is none."`
	URL     string   `name:"url" placeholder:"URL" help:"In place of --admin, where the sink's API is reached, such as https://waypost.example.com. No settings are read then."`
	Token   string   `placeholder:"TOKEN" env:"WAYPOST_TOKEN" help:"With --url: a token of the tenant's (api_tokens), or file:PATH of one."`
	Type    []string `placeholder:"TYPE" help:"Of these types only: clicked, opened, bounced, ..."`
	Tenant  string   `placeholder:"TENANT" help:"Of this tenant only: its name or number."`
	Message string   `placeholder:"ID" help:"Of this mail only: the id that the sender gave it, or Postmark's MessageID."`
	First   string   `placeholder:"WHOSE" help:"Firsts only: any (of any client), person, or unique: those that webhooks are sent for."`
	Last    int      `placeholder:"N" help:"Begin with the last N events, at most 1000."`
	Since   string   `placeholder:"TIME" help:"Begin there: 2026-11-28T05:21:29Z, or how long ago: 90m; oldest: with the oldest that is kept."`
	JSON    bool     `name:"json" help:"Print the events as they are, one a line."`
}

// Screen is what the command works with.
type Screen struct {
	Admin    string           // the admin address of the sink's settings
	Signals  <-chan os.Signal // which end it
	Out, Err io.Writer
}

// Times of a connection.
const (
	silence      = 4 * 15 * time.Second // heartbeats come every 15 s: a connection without is dead
	usualRetry   = 2 * time.Second
	longestRetry = time.Minute
)

// follower is a running command.
type follower struct {
	*Command
	*Screen
	target *url.URL
	token  string
	client *http.Client
	last   string        // id of the event that came last
	retry  time.Duration // before the next connection
	heard  bool          // a stream has begun
}

// endedError is an answer after which to come back makes no sense.
type endedError struct{ text string }

func (e *endedError) Error() string { return "tail: " + e.text }

// Run is `sink tail`. It ends with a signal.
func (c *Command) Run(s *Screen) error {
	f := &follower{Command: c, Screen: s, retry: usualRetry, client: &http.Client{Transport: &http.Transport{}}}
	defer f.client.CloseIdleConnections()
	if err := f.aim(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-s.Signals:
		cancel()
		return <-ended
	}
}

// aim says what is asked, and of whom.
func (f *follower) aim() (err error) {
	f.target = &url.URL{Scheme: "http", Host: ops.Reach(cmp.Or(f.Command.Admin, f.Screen.Admin))}
	if f.URL != "" {
		f.target, err = url.Parse(f.URL)
		if err != nil || f.target.Host == "" || f.target.Scheme != "http" && f.target.Scheme != "https" {
			return fmt.Errorf("tail: --url = %s: must be a URL such as https://waypost.example.com", f.URL)
		}
		if f.token, err = token(f.Token); err != nil {
			return err
		}
	}
	f.target.Path = strings.TrimSuffix(strings.TrimSuffix(f.target.Path, live.Path), "/") + live.Path
	query := url.Values{}
	for name, value := range map[string]string{"tenant": f.Tenant, "message": f.Message, "first": f.First, "since": f.Since} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if len(f.Type) > 0 {
		query["type"] = f.Type
	}
	if f.Last != 0 {
		query.Set("last", strconv.Itoa(f.Last))
	}
	f.target.RawQuery = query.Encode()
	return nil
}

// token reads the token as settings have secrets.
func token(text string) (string, error) {
	path, ok := strings.CutPrefix(text, "file:")
	if !ok {
		return text, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("tail: --token: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// run connects again and again. What fails at first, or for good, ends it.
func (f *follower) run(ctx context.Context) error {
	for {
		begun, err := f.connection(ctx)
		var ended *endedError
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // a signal came: that is no fault
		case errors.As(err, &ended):
			return ended
		case !f.heard:
			return fmt.Errorf("tail: %s: %w", f.target.Host, reason(err))
		}
		if begun { // once, and not at each try that follows
			_, _ = fmt.Fprintf(f.Err, "sink: tail: %s: %v: trying again\n", f.target.Host, reason(err))
		}
		timer := time.NewTimer(f.retry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// reason leaves out the query, which may name people.
func reason(err error) error {
	var inner *url.Error
	if errors.Is(err, syscall.ECONNREFUSED) {
		return errors.New("connection refused: is the sink running?")
	}
	if errors.As(err, &inner) {
		return inner.Err
	}
	return err
}

// connection reads one stream to its end. begun says whether there was one.
func (f *follower) connection(ctx context.Context) (begun bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.target.String(), http.NoBody)
	if err != nil {
		return false, err
	}
	request.Header.Set("Accept", "text/event-stream")
	if f.token != "" {
		request.Header.Set("Authorization", "Bearer "+f.token)
	}
	if f.last != "" {
		request.Header.Set("Last-Event-ID", f.last)
	}
	quiet := time.AfterFunc(silence, cancel)
	defer quiet.Stop()
	response, err := f.client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return false, refused(response)
	}
	f.heard = true
	stream := newStream(response.Body, func() { quiet.Reset(silence) })
	for {
		m, err := stream.next()
		if err != nil {
			return true, fmt.Errorf("the stream ended%s: %w", said(stream.comment), err)
		}
		if m.id != "" {
			f.last = m.id
		}
		if m.retry > 0 {
			f.retry = min(m.retry, longestRetry)
		}
		if err := f.print(&m); err != nil {
			return true, &endedError{err.Error()}
		}
	}
}

func said(comment string) string {
	if comment == "" || comment == "heartbeat" {
		return ""
	}
	return " (" + shown(comment) + ")"
}

// refused is the reason of an answer that is no stream.
func refused(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10)) // cut short it is no sink's
	sink := ops.Remote{Program: "sink"}
	full := response.Status + ": " + shown(sink.Fault(text))
	if response.StatusCode < http.StatusInternalServerError {
		return &endedError{full}
	}
	return errors.New(full)
}
