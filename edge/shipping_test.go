package main

import (
	"bytes"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const kafkaAway = "  consumers: [kafka]\nkafka:\n  brokers: [127.0.0.1:1]\ndrain_timeout: 5s\n"

// An edge whose brokers are away redirects, says so, stays ready, and ends without a fault; its events stay in the journal.
func TestKafkaAwayIsOnlyTold(t *testing.T) {
	p := startEdge(t, t.TempDir(), kafkaAway)
	if _, err := p.dial().follow(p.token(1), "test"); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for {
		code, body := p.get("/readyz")
		if code != http.StatusOK && !strings.Contains(body, "starting") {
			t.Fatalf("readyz: %d %s", code, body)
		}
		if strings.Contains(body, "kafka: topic waypost.events: ") && p.metric("waypost_edge_ship_trouble") == 1 && p.metric("waypost_edge_ship_lag_records") >= 1 &&
			p.metric("waypost_edge_ship_lag_seconds") > 0 && p.metric(`waypost_edge_ship_retries_total{error="connection"}`) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("readyz: %s", body)
		}
		<-time.After(20 * time.Millisecond)
	}
	code, out, errs := shipJournal(p)
	if code != 1 || out != "" || !strings.Contains(errs, "it ships by itself") {
		t.Errorf("journal ship beside a living edge: %d %q %q", code, out, errs)
	}
	p.signal(syscall.SIGTERM) // after drain_timeout
	p.end(0)
	if !strings.Contains(p.stderr.String(), "the rest stays in the journal") {
		t.Errorf("nothing said of what is not shipped:\n%s", p.stderr)
	}
	if events := p.cat(); len(events) != 1 {
		t.Errorf("%d events in the journal", len(events))
	}
}

func TestJournalShipNeedsKafka(t *testing.T) {
	p := startEdge(t, t.TempDir(), "  consumers: [sink]\n")
	p.signal(syscall.SIGTERM)
	p.end(0)
	if code, out, errs := shipJournal(p); code != 1 || out != "" || errs != "edge: kafka: no brokers are set\n" {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

func shipJournal(p *process) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(nil, []string{"--config", filepath.Join(p.dir, "edge.yaml"), "journal", "ship", filepath.Join(p.dir, "journal")}, nil, &out, &errs)
	return code, out.String(), errs.String()
}

func TestLagInRecords(t *testing.T) {
	for _, c := range []struct {
		lag, bytes, records uint64
		want                float64
	}{{0, 0, 0, 0}, {1024, 0, 0, 2}, {1000, 3000, 10, 3}} {
		if got := lagRecords(c.lag, c.bytes, c.records); got != c.want {
			t.Errorf("lagRecords(%d, %d, %d) = %v, want %v", c.lag, c.bytes, c.records, got, c.want)
		}
	}
}
