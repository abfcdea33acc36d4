package kafka

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waypost/edge/event"
)

// tenantOf is the tenant of one of the events that click made.
func tenantOf(id string) int {
	parsed, err := event.ParseID([]byte(id))
	if err != nil {
		return 0
	}
	return 1 + int(parsed.Sequence%3)
}

// Somebody is forgotten at one sink while an endpoint is down: no sink sends what waited for the person, also after they were killed and started anew. Everything of the others comes, and what the person does later.
func TestForgottenOnKafka(t *testing.T) {
	long(t)
	s := newSinks(t, 1, 4)
	ctx := deadline(t, 8*time.Minute)
	var mended atomic.Bool
	here := newHooks(t, "127.0.0.1:0", func(string) int {
		if !mended.Load() {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	}, "/crm")
	s.endpoints = endpointYAML("crm", here.server.URL())
	dirs := []string{t.TempDir(), t.TempDir()}
	first, second := s.sink(dirs[0]), s.sink(dirs[1])
	first.awaitLevel(ctx, 2)
	second.awaitLevel(ctx, 2)
	s.click(ctx, 300)
	s.awaitUnique(ctx)
	second.await(ctx, "deliveries wait", func() bool {
		held, there := second.metric(ctx, "waypost_sink_kafka_held_total")
		return there && held > 0
	})
	gone := slices.DeleteFunc(s.persons(), func(id string) bool { return tenantOf(id) != 1 })
	answer := string(first.post(ctx, "/forget", `{"tenant":"1","prospect":"456"}`))
	if !strings.Contains(answer, `"where":"waypost.unique"`) || strings.Contains(answer, `"removed"`) {
		t.Errorf("answer %s", answer)
	}
	first.kill()
	mended.Store(true)
	second.stop()
	first, second = s.sink(dirs[0]), s.sink(dirs[1])
	first.awaitLevel(ctx, 2)
	second.awaitLevel(ctx, 2)
	s.click(ctx, 300)
	s.awaitUnique(ctx)
	want := slices.DeleteFunc(s.persons(), func(id string) bool { return slices.Contains(gone, id) })
	first.await(ctx, "everything of the others, and what is new", func() bool { return len(here.accepted("/crm")) >= len(want) })
	for id := range here.accepted("/crm") {
		if slices.Contains(gone, id) {
			t.Errorf("%s was sent: its person is forgotten", id)
		}
	}
	if len(gone) < 20 || len(want) < 100 {
		t.Errorf("%d were forgotten, %d not: too few to prove anything", len(gone), len(want))
	}
	dropped := 0.0
	for _, p := range []*sinkProcess{first, second} {
		n, _ := p.metric(ctx, "waypost_sink_kafka_forgotten_total")
		dropped += n
	}
	if dropped == 0 {
		t.Error("nothing was dropped")
	}
	first.noAlarms(ctx)
	second.noAlarms(ctx)
	first.stop()
	second.stop()
}
