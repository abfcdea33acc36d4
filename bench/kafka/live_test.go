package kafka

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"waypost/edge/event"
)

// watched is a stream of events that a test reads.
type watched struct {
	t     *testing.T
	lines *bufio.Scanner
	end   context.CancelFunc
	last  string // id of the event that came last
}

// watched opens the stream of a sink: at its admin listener, or with a tenant's token.
func (p *sinkProcess) watched(ctx context.Context, tenant int, query, last string) *watched {
	p.t.Helper()
	ctx, end := context.WithCancel(ctx)
	p.t.Cleanup(end)
	base := p.admin
	if tenant > 0 {
		base = p.api
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/events/stream?"+query, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	if tenant > 0 {
		r.Header.Set("Authorization", "Bearer "+tokenOf(tenant))
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(r)
	if err != nil || response.StatusCode != http.StatusOK {
		p.t.Fatalf("%v, %v; %s", response, err, p.log())
	}
	w := &watched{t: p.t, lines: bufio.NewScanner(response.Body), end: func() { end(); _ = response.Body.Close() }}
	w.lines.Buffer(nil, 1<<20)
	p.t.Cleanup(w.end)
	return w
}

// shown is what a test looks at of an event.
type shown struct {
	ID   string
	Data struct {
		Tenant            int
		Message, Prospect string
		First             string
	}
}

// partition is where the event lies.
func (e *shown) partition(partitions int) int {
	key := event.AppendKey(nil, &event.Event{Tenant: uint32(e.Data.Tenant), Message: []byte(e.Data.Message), Prospect: []byte(e.Data.Prospect)})
	return int(event.PartitionHash(key) % uint32(partitions))
}

// next reads one event.
func (w *watched) next() shown {
	w.t.Helper()
	kind, id := "", ""
	for w.lines.Scan() {
		name, value, _ := strings.Cut(w.lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			var e shown
			if err := json.Unmarshal([]byte(value), &e); err != nil || kind != "email.clicked" {
				w.t.Fatalf("%s %s: %v", kind, value, err)
			}
			w.last = id
			return e
		}
	}
	w.t.Fatalf("the stream ended: %v", w.lines.Err())
	return shown{}
}

// Any sink shows all events of the topic, each once, in the order of their partitions: also what a producer repeats, also to who comes back, at another sink, when
// the first was killed. A tenant sees its own, and firsts are those of waypost.unique.
func TestLiveOnKafka(t *testing.T) {
	long(t)
	s := newSinks(t, 1, 4)
	s.api = true
	ctx := deadline(t, 8*time.Minute)
	first, second := s.sink(t.TempDir()), s.sink(t.TempDir())
	seen, after := map[uint64]bool{}, make([]uint64, s.partitions)
	take := func(w *watched, n int) {
		t.Helper()
		for range n {
			e := w.next()
			_, number, _ := strings.Cut(e.ID, "-")
			sequence, err := strconv.ParseUint(number, 10, 64)
			p := e.partition(s.partitions)
			if err != nil || seen[sequence] || sequence <= after[p] {
				t.Fatalf("partition %d: event %s after %d, seen before: %v", p, e.ID, after[p], seen[sequence])
			}
			seen[sequence], after[p] = true, sequence
		}
	}
	w := first.watched(ctx, 0, "", "")
	s.click(ctx, 1000)
	take(w, 1000)
	s.again(ctx, 1000) // repeated, as by an edge that did not hear its answer
	s.click(ctx, 500)
	take(w, 250)
	last := w.last
	w.end()
	first.kill()
	s.again(ctx, 1500)
	s.click(ctx, 500)
	w = second.watched(ctx, 0, "", last)
	take(w, 750)
	s.again(ctx, 2000)
	w.end()
	w = second.watched(ctx, 0, "", w.last)
	s.click(ctx, 100)
	take(w, 100)

	own := second.watched(ctx, 2, "last=10", "")
	for range 10 {
		if e := own.next(); e.Data.Tenant != 2 || e.Data.First != "" {
			t.Errorf("tenant 2 sees %+v", e)
		}
	}
	var want, got []string
	for _, lines := range s.want {
		want = append(want, lines...)
	}
	second.awaitLevel(ctx, s.partitions)
	firsts := second.watched(ctx, 0, "first=any&since=oldest", "")
	persons := 0
	all := map[string]bool{}
	for _, line := range want {
		if words := strings.Fields(line); strings.Contains(words[2], "any") {
			all[words[1]+" "+words[2]] = true
		}
		if strings.Contains(line, "person") {
			persons++
		}
	}
	for range len(all) {
		e := firsts.next()
		got = append(got, fmt.Sprint(e.ID, " ", e.Data.First))
	}
	for _, line := range got {
		if !all[line] {
			t.Errorf("a first that is none, or came twice: %s", line)
		}
		delete(all, line)
	}
	w = second.watched(ctx, 0, "first=person&since=oldest", "")
	for range persons {
		w.next()
	}
	if n, there := second.metric(ctx, "waypost_sink_live_gaps_total"); n != 0 || !there {
		t.Errorf("%v gaps were told", n)
	}
	second.noAlarms(ctx)
	second.stop()
}

// again repeats the last n events in new batches, each partition's in its order. Deciding drops nothing of it: they are repeats of their own clicks.
func (s *sinks) again(ctx context.Context, n int) {
	s.t.Helper()
	for p := range s.partitions {
		records := s.sent[p][max(len(s.sent[p])-n/s.partitions, 0):]
		if _, err := s.producer.Produce(ctx, p, records); err != nil {
			s.t.Fatal(err)
		}
		s.offsets[p] += int64(len(records))
	}
}
