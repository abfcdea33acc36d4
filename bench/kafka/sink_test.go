package kafka

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"

	"waypost/edge/event"
	"waypost/edge/ship"
)

// buildSink builds the sink with its fault points.
func buildSink(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sink")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "faults", "-o", path, "waypost/sink").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// sinks is a test with a cluster, its topics, and the events in them.
type sinks struct {
	t          *testing.T
	program    string
	cluster    *Cluster
	partitions int
	producer   *ship.Producer
	run        uint64
	sequence   uint64
	offsets    []int64
	firsts     map[string]*[2]bool
	want       [][]string // of each partition: what unique must hold
	sent       [][]ship.Record
	endpoints  string // in YAML, of every tenant
	operator   string // URL of the operator's receiver; empty: none
	api        bool   // every tenant N has the API's token tokenOf(N)
}

func newSinks(t *testing.T, nodes, partitions int) *sinks {
	s := &sinks{t: t, program: buildSink(t), cluster: startTest(t, Options{Nodes: nodes}), partitions: partitions, run: 7, offsets: make([]int64, partitions),
		firsts: map[string]*[2]bool{}, want: make([][]string, partitions), sent: make([][]ship.Record, partitions)}
	s.refusedWithoutTopics()
	k := small(s.cluster, Plain)
	k.Partitions = partitions
	createAll(t, k)
	var err error
	s.producer, err = ship.NewProducer(ship.ProducerOptions{Connection: ship.Connection{Brokers: s.cluster.Bootstrap(), Topic: "waypost.events", Timeout: 3 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.producer.Close)
	return s
}

// refusedWithoutTopics holds the sink to refuse a cluster that has not what it needs.
func (s *sinks) refusedWithoutTopics() {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), s.program, "--config", s.configure(s.t.TempDir())).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "waypost.events: the topic is missing") {
		s.t.Errorf("a sink without topics: %v, %s", err, out)
	}
}

// click adds n events, some of them repeats, some of machines, and says what each must become: an oracle of two maps.
func (s *sinks) click(ctx context.Context, n int) {
	s.t.Helper()
	batches := make([][]ship.Record, s.partitions)
	for range n {
		s.sequence++
		now := time.Now().UTC()
		e := event.Event{
			ID: event.ID{Run: s.run, Sequence: s.sequence}, Type: event.Clicked, Time: now.Truncate(time.Microsecond), Tenant: 1 + uint32(s.sequence%3), TenantName: "demo",
			Message: fmt.Appendf(nil, "%d", rand.N(s.sequence/2+10)), Prospect: []byte("456"), Destination: []byte("https://www.example.com/"),
			Original: []byte("https://www.example.com/"), Minted: now.Truncate(time.Minute), RetentionDays: 45, Method: []byte("GET"),
		}
		if rand.N(4) == 0 {
			e.Labels = event.Machine
		}
		key := event.AppendKey(nil, &e)
		p := int(event.PartitionHash(key) % uint32(s.partitions))
		batches[p] = append(batches[p], ship.Record{Key: key, Value: event.AppendDocument(nil, &e)})
		s.expect(p, string(key), e.ID, e.Labels == event.Machine)
	}
	for p, records := range batches {
		s.sent[p] = append(s.sent[p], records...)
		if _, err := s.producer.Produce(ctx, p, records); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *sinks) expect(p int, key string, id event.ID, machine bool) {
	f := s.firsts[key]
	if f == nil {
		f = &[2]bool{}
		s.firsts[key] = f
	}
	var words []string
	if !f[0] {
		f[0] = true
		words = append(words, "any")
	}
	if !machine && !f[1] {
		f[1] = true
		words = append(words, "person")
	}
	if len(words) > 0 {
		s.want[p] = append(s.want[p], fmt.Sprintf("%d %s %s", s.offsets[p], id, strings.Join(words, ",")))
	}
	s.offsets[p]++
}

// awaitUnique reads unique with the readers' rule until it holds as much as it must, and compares. It returns how many records the rule dropped.
func (s *sinks) awaitUnique(ctx context.Context) (repeated int) {
	s.t.Helper()
	for p := range s.partitions {
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: s.cluster.Bootstrap(), Topic: "waypost.unique", Partition: p, MaxWait: 100 * time.Millisecond, MaxBytes: 8 << 20})
		last := int64(-1)
		var got []string
		for {
			patience := 90 * time.Second
			if len(got) >= len(s.want[p]) {
				patience = 500 * time.Millisecond // whether more comes
			}
			m, err := fetch(ctx, r, patience)
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			if err != nil {
				s.t.Fatal(err)
			}
			line, source := uniqueLine(s.t, &m)
			if source <= last {
				repeated++
				continue
			}
			last = source
			got = append(got, line)
		}
		_ = r.Close()
		if diff := cmp.Diff(s.want[p], got); diff != "" {
			s.t.Fatalf("partition %d (-want +got):\n%.3000s", p, diff)
		}
	}
	return repeated
}

func uniqueLine(t *testing.T, m *kafka.Message) (line string, source int64) {
	headers := map[string]string{}
	for _, h := range m.Headers {
		headers[h.Key] = string(h.Value)
	}
	var decoder event.Decoder
	var e event.Event
	if err := decoder.Decode(&e, m.Value); err != nil {
		t.Fatal(err)
	}
	source, err := strconv.ParseInt(headers["source-offset"], 10, 64)
	if err != nil || string(m.Key) != string(event.AppendKey(nil, &e)) || headers["content-type"] != "application/cloudevents+json; charset=UTF-8" {
		t.Fatalf("key %q, headers %v of %s", m.Key, headers, m.Value)
	}
	return fmt.Sprintf("%d %s %s", source, e.ID, headers["first"]), source
}

// sinkProcess is a running sink.
type sinkProcess struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	admin  string
	api    string // empty: it has none
	ended  chan struct{}
	stderr *os.File
}

// configure writes the settings of a sink into dir.
func (s *sinks) configure(dir string) (settingsFile string) {
	s.t.Helper()
	tenants := "tenants:\n"
	for n := 1; n <= 3; n++ {
		tokens := ""
		if s.api {
			tokens = tokenOf(n)
		}
		tenants += fmt.Sprintf("  - {number: %d, name: t%d, hosts: [\"http://127.0.0.1:%d\"], endpoints: [%s], api_tokens: [%s]}\n", n, n, n, s.endpoints, tokens)
	}
	operator := ""
	if s.operator != "" {
		operator = fmt.Sprintf(", operator: {url: %q, secrets: [%s]}", s.operator, hookSecret)
	}
	settings := fmt.Sprintf(`admin: 127.0.0.1:0
tenants: tenants.yaml
journals: []
store: store
api: {listen: 127.0.0.1:0}
batch_records: 500
dispatch: {allow: [127.0.0.0/8], timeout: 20s, retries: [1s, 1s, 2s, 4s%s]%s}
kafka: {brokers: ["%s"], replication: 1, min_insync: 1, partitions: %d, request_timeout: 10s}
`, strings.Repeat(", 8s", 40), operator, strings.Join(s.cluster.Bootstrap(), `", "`), s.partitions) // on no machine are the retries over before an endpoint that is late has come
	for name, text := range map[string]string{"sink.yaml": settings, "tenants.yaml": tenants} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return filepath.Join(dir, "sink.yaml")
}

func (s *sinks) sink(dir string, env ...string) *sinkProcess {
	s.t.Helper()
	return s.start(dir, s.configure(dir), env...)
}

// start starts a sink with the settings of a file.
func (s *sinks) start(dir, settingsFile string, env ...string) *sinkProcess {
	s.t.Helper()
	p := &sinkProcess{t: s.t, dir: dir, cmd: exec.Command(s.program, "--config", settingsFile), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	var err error
	if p.stderr, err = os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		s.t.Fatal(err)
	}
	p.cmd.Stderr = p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != nil {
		s.t.Fatalf("%v; %s", err, p.log())
	}
	_, addresses, _ := strings.Cut(strings.TrimSpace(line), "admin ")
	p.admin, p.api, _ = strings.Cut(addresses, " api ")
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		_ = p.cmd.Wait()
		_ = p.stderr.Close()
		close(p.ended)
	}()
	s.t.Cleanup(p.kill)
	return p
}

func (p *sinkProcess) log() string {
	text, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	return string(text)
}

func (p *sinkProcess) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (p *sinkProcess) signal(s os.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Error(err)
	}
}

func (p *sinkProcess) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.t.Fatalf("does not end: %s", p.log())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("exit code %d: %s", code, p.log())
	}
}

// get reads an admin page.
func (p *sinkProcess) get(ctx context.Context, page string) (int, string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.admin+page, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// post asks something of the admin listener, in JSON, and gives the answer.
func (p *sinkProcess) post(ctx context.Context, page, body string) []byte {
	p.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.admin+page, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		p.t.Fatalf("%v; %s", err, p.log())
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %s %v; %s", response.Status, text, err, p.log())
	}
	return text
}

// metric sums a metric over its labels.
func (p *sinkProcess) metric(ctx context.Context, name string) (sum float64, there bool) {
	_, text := p.get(ctx, "/metrics")
	for line := range strings.SplitSeq(text, "\n") {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == '{' || rest[0] == ' ') {
			value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			if err != nil {
				p.t.Fatal(err)
			}
			sum, there = sum+value, true
		}
	}
	return sum, there
}

// awaitLevel waits until the sink has so many partitions and has decided all that is in them.
func (p *sinkProcess) awaitLevel(ctx context.Context, partitions int) {
	p.t.Helper()
	for {
		n, _ := p.metric(ctx, "waypost_sink_kafka_partitions")
		lag, known := p.metric(ctx, "waypost_sink_lag_records")
		code, why := p.get(ctx, "/readyz")
		if code == http.StatusOK && int(n) == partitions && known && lag == 0 {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-p.ended:
			p.t.Fatalf("ended: %s", p.log())
		case <-ctx.Done():
			p.t.Fatalf("not level: %v partitions, lag %v (%v), %s; %s", n, lag, known, why, p.log())
		}
	}
}

// contents are the store's decisions, floors and places.
func (p *sinkProcess) contents() map[string]string {
	p.t.Helper()
	all := map[string]string{}
	for _, what := range []string{"cat", "floors"} {
		out, err := exec.Command(p.cmd.Path, "store", what, "--config", filepath.Join(p.dir, "sink.yaml")).Output()
		if err != nil {
			p.t.Fatal(err)
		}
		all[what] = string(out)
	}
	return all
}

// noAlarms says which alarm a sink has counted.
func (p *sinkProcess) noAlarms(ctx context.Context) {
	p.t.Helper()
	if n, there := p.metric(ctx, "waypost_sink_kafka_alarms_total"); n != 0 || !there {
		p.t.Errorf("%v alarms: %s", n, p.log())
	}
}

// A sink is killed at every step between fetching and storing, and at random; its store is deleted and made anew. What it says stays what the oracle says.
func TestSinkOnKafkaIsKilledEverywhere(t *testing.T) {
	long(t)
	s := newSinks(t, 1, 3)
	ctx := deadline(t, 8*time.Minute)
	dir := t.TempDir()
	for _, point := range []string{"ingest.discard", "ingest.read", "ingest.produce", "ingest.decided", "ingest.committed", ""} {
		s.click(ctx, 3000)
		p := s.sink(dir, "WAYPOST_FAULT="+faultAt(point))
		if point == "" {
			time.Sleep(time.Duration(rand.N(1500)) * time.Millisecond) // a kill at any place: nothing is waited for
			p.kill()
			continue
		}
		select {
		case <-p.ended:
		case <-ctx.Done():
			t.Fatalf("never came to %s: %s", point, p.log())
		}
	}
	p := s.sink(dir)
	repeated := s.awaitUnique(ctx)
	t.Logf("%d records of unique were repeated and dropped by the rule", repeated)
	s.click(ctx, 1000)
	s.awaitUnique(ctx)
	p.awaitLevel(ctx, s.partitions)
	p.noAlarms(ctx)
	p.stop()
	before := p.contents()
	if strings.Count(before["cat"], "\n") != len(s.firsts) {
		t.Errorf("%d keys in the store, want %d", strings.Count(before["cat"], "\n"), len(s.firsts))
	}
	if err := os.RemoveAll(filepath.Join(dir, "store")); err != nil {
		t.Fatal(err)
	}
	p = s.sink(dir)
	p.awaitLevel(ctx, s.partitions)
	if n, _ := p.metric(ctx, "waypost_sink_kafka_rebuilds_total"); int(n) != s.partitions {
		t.Errorf("%v rebuilds, want %d", n, s.partitions)
	}
	p.noAlarms(ctx)
	p.stop()
	if diff := cmp.Diff(before, p.contents()); diff != "" {
		t.Errorf("the store made anew differs (-before +after):\n%.3000s", diff)
	}
	s.awaitUnique(ctx)
}

func faultAt(point string) string {
	if point == "" {
		return ""
	}
	return point + ":2:KILL"
}

// Two sinks split the partitions; one is stopped for longer than its session and wakes up beside its successor, the other is killed. Unique is the oracle's after the rule.
func TestTwoSinksOnKafka(t *testing.T) {
	long(t)
	s := newSinks(t, 1, 4)
	ctx := deadline(t, 8*time.Minute)
	first, second := s.sink(t.TempDir()), s.sink(t.TempDir())
	s.click(ctx, 2000)
	first.awaitLevel(ctx, 2)
	second.awaitLevel(ctx, 2)
	s.awaitUnique(ctx)

	first.signal(syscall.SIGSTOP)
	s.click(ctx, 2000)
	second.awaitLevel(ctx, 4)
	s.awaitUnique(ctx)
	first.signal(syscall.SIGCONT)
	s.click(ctx, 2000)
	first.awaitLevel(ctx, 2)
	s.awaitUnique(ctx)

	second.kill()
	s.click(ctx, 2000)
	first.awaitLevel(ctx, 4)
	repeated := s.awaitUnique(ctx)
	t.Logf("%d records of unique were repeated and dropped by the rule", repeated)
	first.noAlarms(ctx)
	first.stop()
}
