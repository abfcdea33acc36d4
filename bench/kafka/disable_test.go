package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// turn is `sink hooks disable` or enable.
func (p *sinkProcess) turn(ctx context.Context, word string, tenant int, endpoint string) (changed bool) {
	p.t.Helper()
	text := p.post(ctx, "/hooks/"+word, fmt.Sprintf(`{"tenant":"%d","endpoint":%q}`, tenant, endpoint))
	var answer struct{ Changed bool }
	if err := json.Unmarshal(text, &answer); err != nil {
		p.t.Fatalf("%v: %s; %s", err, text, p.log())
	}
	return answer.Changed
}

// disabled waits until the sink counts so many disabled endpoints.
func (p *sinkProcess) disabled(ctx context.Context, n int) {
	p.t.Helper()
	p.await(ctx, fmt.Sprintf("%d disabled endpoints", n), func() bool {
		is, there := p.metric(ctx, "waypost_sink_endpoints_disabled")
		return there && int(is) == n
	})
}

// An endpoint that is gone gets no attempts from any sink, also after one was killed and both were started anew; when it is enabled at one, all that it was not told follows. The operator is told of both.
func TestDisabledOnKafka(t *testing.T) {
	long(t)
	s := newSinks(t, 1, 4)
	ctx := deadline(t, 8*time.Minute)
	var mended atomic.Bool
	here := newHooks(t, "127.0.0.1:0", func(path string) int {
		if path == "/sick" && !mended.Load() {
			return http.StatusGone
		}
		return http.StatusOK
	}, "/sick", "/operator")
	s.endpoints, s.operator = endpointYAML("sick", here.server.URL()), here.server.URL()+"/operator"
	dirs := []string{t.TempDir(), t.TempDir()}
	first, second := s.sink(dirs[0]), s.sink(dirs[1])
	first.awaitLevel(ctx, 2)
	second.awaitLevel(ctx, 2)
	s.click(ctx, 300)
	first.disabled(ctx, 3) // one of each tenant
	second.disabled(ctx, 3)
	told := func(of string) int {
		tenants := map[int]bool{}
		for id := range here.accepted("/operator") {
			here.mu.Lock()
			body := here.bodies["/operator"+id]
			here.mu.Unlock()
			var event struct {
				Type string
				Data struct {
					Tenant   int
					Endpoint string
				}
			}
			if err := json.Unmarshal([]byte(body), &event); err != nil || event.Data.Endpoint != "sick" {
				t.Errorf("%v: %s", err, body)
			}
			if event.Type == of {
				tenants[event.Data.Tenant] = true
			}
		}
		return len(tenants)
	}
	second.await(ctx, "the operator is told", func() bool { return told("endpoint.disabled") == 3 })

	first.kill()
	second.stop()
	mended.Store(true)
	first, second = s.sink(dirs[0]), s.sink(dirs[1])
	s.click(ctx, 300)
	first.awaitLevel(ctx, 2)
	second.awaitLevel(ctx, 2)
	second.await(ctx, "deliveries are put off", func() bool {
		held, there := second.metric(ctx, "waypost_sink_kafka_held_total")
		return there && held > 0
	})
	first.disabled(ctx, 3)
	if n := len(here.accepted("/sick")); n != 0 {
		t.Errorf("%d webhooks were sent to an endpoint that is disabled", n)
	}
	for tenant := 1; tenant <= 3; tenant++ {
		if !second.turn(ctx, "enable", tenant, "sick") || second.turn(ctx, "enable", tenant, "sick") {
			t.Error("enabling changes something once")
		}
	}
	first.disabled(ctx, 0)
	second.await(ctx, "what it was not told, and what had not been given up", func() bool {
		return len(here.accepted("/sick"))+len(s.records(ctx, "waypost.dead")) >= len(s.persons())
	})
	second.await(ctx, "the operator is told", func() bool { return told("endpoint.enabled") == 3 })
	first.noAlarms(ctx)
	second.noAlarms(ctx)
	first.stop()
	second.stop()
}
