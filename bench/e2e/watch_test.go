package e2e

import (
	"bufio"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, j.Sinks[0].Admin+"/v1/events/stream?tenant=example&message="+journeyMessage+query, http.NoBody)
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

// saw waits until the stream has shown these documents, and checks that they came in this order and no others before or between them. It gives the events.
func (w *watcher) saw(t *testing.T, documents []string) []shown {
	t.Helper()
	var events []shown
	wait(t, "the stream to show all that happened", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		events = slices.Clone(w.shown)
		return len(events) >= len(documents)
	})
	var got []string
	for _, e := range events {
		got = append(got, e.data)
		if !strings.Contains(e.data, `"type":"`+e.kind+`"`) {
			t.Errorf("shown as %s: %s", e.kind, e.data)
		}
	}
	if d := cmp.Diff(documents, got); d != "" {
		t.Errorf("shown (-want +got):\n%s", d)
	}
	return events
}

// inStream are the documents of steps as the stream shows them: with what each was the first of, where the stream says so.
func inStream(steps []step, events []told, firstsOnly, saysFirst bool) (documents []string) {
	for i, s := range steps {
		document := string(events[i].document)
		if s.told && saysFirst {
			document = strings.TrimSuffix(document, "}}") + `,"first":"any,person"}}`
		}
		if s.told || !firstsOnly {
			documents = append(documents, document)
		}
	}
	return documents
}
