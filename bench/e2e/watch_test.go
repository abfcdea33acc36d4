package e2e

import (
	"bufio"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// watcher reads the sink's live stream as a browser would.
type watcher struct {
	mu    sync.Mutex
	began bool
	shown []shown
}

// shown is one event of the stream: its cursor, its type, and its document.
type shown struct{ cursor, kind, data string }

// watch begins to read the stream of the message. With a cursor it goes on behind the event of that cursor. It returns when what happens from now on will be shown.
func (j *journey) watch(query, cursor string) *watcher {
	j.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, j.Sinks[0].Admin+"/v1/events/stream?tenant=acme&message="+journeyMessage+query, http.NoBody)
	if err != nil {
		j.t.Fatal(err)
	}
	if cursor != "" {
		q.Header.Set("Last-Event-ID", cursor)
	}
	response, err := j.client.RoundTrip(q)
	if err != nil {
		cancel()
		j.t.Fatal(err)
	}
	w := &watcher{}
	var reading sync.WaitGroup
	reading.Go(func() { w.read(bufio.NewScanner(response.Body)) })
	j.t.Cleanup(func() {
		cancel()
		reading.Wait()
		_ = response.Body.Close()
	})
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		j.t.Fatalf("the stream: %d %s", response.StatusCode, response.Header.Get("Content-Type"))
	}
	wait(j.t, "the stream to begin", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.began
	})
	return w
}

// read takes the events until the stream ends. A cursor without an event says where the stream stands.
func (w *watcher) read(lines *bufio.Scanner) {
	lines.Buffer(nil, 1<<20)
	var next shown
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			next.cursor = value
		case "event":
			next.kind = value
		case "data":
			next.data = value
		case "":
			w.mu.Lock()
			w.began = w.began || next.cursor != ""
			if next.data != "" {
				w.shown = append(w.shown, next)
			}
			w.mu.Unlock()
			next = shown{}
		}
	}
}

// inStream is an event as the stream shows it: what it begins and ends with, and whether there is nothing between.
type inStream struct {
	begin, end string
	whole      bool
}

// saw waits until the stream has shown these events, and checks that they came in this order and no others before or between them.
func (w *watcher) saw(t *testing.T, wanted []inStream) []shown {
	t.Helper()
	var events []shown
	wait(t, "the stream to show all that happened", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		events = slices.Clone(w.shown)
		return len(events) >= len(wanted)
	})
	if len(events) > len(wanted) {
		t.Errorf("%d events were shown, want %d", len(events), len(wanted))
	}
	for i, want := range wanted {
		got := events[i]
		if !strings.HasPrefix(got.data, want.begin) || !strings.HasSuffix(got.data, want.end) || want.whole && len(got.data) != len(want.begin)+len(want.end) {
			t.Errorf("event %d was shown as\n%s\nwant\n%s ... %s", i, got.data, want.begin, want.end)
		}
		if !strings.Contains(got.data, `"type":"`+got.kind+`"`) {
			t.Errorf("shown as %s: %s", got.kind, got.data)
		}
	}
	return events
}

// wanted are the steps from one on as the stream shows them: the document that the standard format's receiver was sent, or where nobody was sent one the journal's, with what the sink adds to it;
// and at its end what it was the first of, where the stream says that.
func (j *journey) wanted(steps []step, events []told, firstsOnly, saysFirst bool) (all []inStream) {
	j.t.Helper()
	for i, s := range steps {
		want := inStream{begin: string(events[i].document), end: "}}"}
		if s.told {
			want.begin, want.whole = string(j.deliveriesOf("standard", events[i].ID)[0].Body), true
		}
		want.begin = strings.TrimSuffix(want.begin, "}}")
		if s.told && saysFirst {
			want.end = `,"first":"any,person"}}`
		}
		if s.told || !firstsOnly {
			all = append(all, want)
		}
	}
	return all
}
