package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"waypost/bench/demo"
	"waypost/bench/kafka"
	"waypost/bench/stack"
)

// startKafka starts one node. Without Java or Maven a test can tell nothing: on a person's machine that is said loudly, in CI it is a failure.
func startKafka(t *testing.T) (c *kafka.Cluster, block stack.Keys) {
	t.Helper()
	jars, err := filepath.Abs("../../var/kafka/jars") // all tests share them
	if err != nil {
		t.Fatal(err)
	}
	c, err = kafka.Start(t.Context(), kafka.Options{Dir: t.TempDir(), Jars: jars, Light: true, HeapMB: 384})
	if (errors.Is(err, kafka.ErrNoJava) || errors.Is(err, kafka.ErrNoMaven)) && os.Getenv("CI") == "" {
		t.Skipf("NOT TESTED ON A REAL BROKER: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, stack.Keys{"brokers": c.Bootstrap(), "replication": 1, "min_insync": 1, "partitions": 3}
}

// mail asks for links of one mail, n of them, and gives them by original.
func (h *house) mail(mailing string, n int) map[string]string {
	h.t.Helper()
	urls := map[string]string{}
	for i := range n {
		urls[fmt.Sprintf("https://www.example.com/%s/%d", mailing, i)] = fmt.Sprintf("https://e.example/%s/%d", mailing, i)
	}
	links, byOriginal := h.links("demo", demo.OutreachSecret, request(h.t, mailing, urls)), map[string]string{}
	for original, value := range urls {
		byOriginal[original] = links[value]
	}
	return byOriginal
}

// clickAll follows each link on the first edge.
func (h *house) clickAll(links map[string]string) {
	h.t.Helper()
	for original, link := range links {
		h.click(http.MethodGet, onHost(h.t, link, strings.TrimPrefix(h.Edges[0].URL, "http://")), strings.Replace(original, "www.example.com", "e.example", 1))
	}
}

// From one machine to Kafka: what was clicked before is no first again, what was due is delivered, what comes after is new.
func TestMigrate(t *testing.T) {
	_, block := startKafka(t)
	var refuse atomic.Bool
	refuse.Store(true)
	dir := t.TempDir()
	anyHost := func(_ string, endpoints []stack.Endpoint) []stack.Tenant {
		return []stack.Tenant{{Number: 1, Name: "demo", Secrets: []string{demo.OutreachSecret}, Endpoints: endpoints, Keys: stack.Keys{"any_host": true}}}
	}
	// Retried soon, and for longer than any machine needs: what is refused on either side of the migration is neither given up nor put off by a format's minutes.
	dispatch := stack.Keys{"retries": slices.Repeat([]string{"2s"}, 90)}
	h := openAt(t, dir, stack.Config{Sink: stack.Keys{"dispatch": dispatch}}, anyHost, func(path string) int {
		if path == "/postmark" && refuse.Load() {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	before := h.mail("1", 20)
	h.clickAll(before)
	for original := range before {
		wait(t, "the webhook of "+original, func() bool { return len(h.deliveries("/standard", original)) > 0 })
	}
	if err := h.Sinks[0].Stop(t.Context()); err != nil { // what is clicked now nobody has read
		t.Fatal(err)
	}
	unread := h.mail("2", 10)
	h.clickAll(unread)
	h.stop()

	receiver := h.receiver
	h.Stack.Close()
	again, err := stack.New(stack.Config{Dir: dir, Bin: programs, Kafka: block, Sink: stack.Keys{"store": filepath.Join(dir, "store-kafka"), "dispatch": dispatch}})
	if err != nil {
		t.Fatal(err)
	}
	again.Tenants, h.Stack, h.receiver = h.Tenants, again, receiver
	if err := h.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"topics", "create"}, {"migrate", "--from", filepath.Join(dir, "store")}, {"migrate", "--from", filepath.Join(dir, "store")}} {
		out, err := h.Run(t.Context(), "sink", append(args, "--config", h.Settings(h.Sinks[0]))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s", out)
	}
	h.start()
	h.clickAll(before)
	h.clickAll(unread)
	after := h.mail("3", 10)
	h.clickAll(after)
	refuse.Store(false)
	var originals []string
	for _, links := range []map[string]string{before, unread, after} {
		for original := range links {
			h.arrived(original)
			originals = append(originals, original)
		}
	}
	if _, err := h.Run(t.Context(), "sink", "migrate", "--from", filepath.Join(dir, "store"), "--config", h.Settings(h.Sinks[0])); err == nil || !strings.Contains(err.Error(), "holds a first already") {
		t.Errorf("a migration after a sink has decided: %v", err)
	}
	h.stop()
	for _, original := range originals {
		if n := len(h.deliveries("/standard", original)); n != 1 {
			t.Errorf("%s: %d standard webhooks, want one", original, n)
		}
	}
}
