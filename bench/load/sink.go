package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"waypost/bench/result"
	"waypost/bench/stack"
	"waypost/edge/journal"
)

// sinkConsumer is the name under which the sink under load publishes its position.
const sinkConsumer = "sink"

// SinkCommand is `bench load sink`.
type SinkCommand struct {
	Events        int     `help:"Clicks in the journal, without webhooks." default:"500000"`
	WebhookEvents int     `help:"Clicks in the journal, where each first one is posted; 0: no such turns." default:"20000"`
	Hooks         bool    `help:"Only the turns with webhooks."`
	AllCores      bool    `help:"Sink and receiver share all cores, instead of having one each."`
	Repeats       float64 `help:"Share of clicks that repeat an earlier one." default:"0.1"`
	Rounds        int     `help:"Each with a fresh store." default:"3"`
	ServerCore    int     `help:"Core of the sink; -1: the last one." default:"-1"`
	ClientCore    int     `help:"Core of the receiver of webhooks; -1: the first one." default:"-1"`
	Seed          uint64  `help:"Of the clicks." default:"1"`
	JSON          string  `help:"Writes the report to this file too." placeholder:"FILE" type:"path"`
	Dir           string  `help:"Where the journal and the store are while it runs." default:"var/load" type:"path"`
	Program       string  `name:"sink" help:"The sink to run, if not the one beside this program." placeholder:"PATH" type:"path"`
}

// SinkReport is a run of `bench load sink`, as --json writes it.
type SinkReport struct {
	result.Head
	SinkCore   int        `json:"sink_core"` // -1: all of them
	ClientCore int        `json:"receiver_core"`
	Turns      []SinkTurn `json:"turns"`
}

// SinkTurn is one sink reading one journal from its beginning to its end, into a fresh store.
type SinkTurn struct {
	Round     int     `json:"round"`
	Webhooks  bool    `json:"webhooks"`
	Events    int     `json:"events"`
	Firsts    int     `json:"firsts"`
	Seconds   float64 `json:"seconds"` // until the last decision was synced
	PerSecond float64 `json:"decisions_per_second"`
	User      float64 `json:"user_us"` // CPU of an event
	System    float64 `json:"system_us"`
	Core      float64 `json:"core_us"`
	Anonymous int64   `json:"anonymous_bytes"`
	// With webhooks: until the last was delivered, and all CPU until then for each.
	DeliveredSeconds   float64 `json:"delivered_seconds,omitempty"`
	DeliveredPerSecond float64 `json:"delivered_per_second,omitempty"`
	DeliveredCPU       float64 `json:"delivered_cpu_us,omitempty"`
	ReceiverCPU        float64 `json:"receiver_cpu_us,omitempty"` // the receiver's, likewise
	ReceiverBusy       float64 `json:"receiver_core_busy,omitempty"`
}

// Run measures and reports.
func (c *SinkCommand) Run(ctx context.Context, k *kong.Context) error {
	return conduct(ctx, k, c.JSON, c.measure)
}

func (c *SinkCommand) measure(ctx context.Context, progress io.Writer) (*SinkReport, error) {
	if c.Hooks && c.WebhookEvents == 0 {
		return nil, errors.New("load: --hooks asks for --webhook-events")
	}
	if c.Events < 1 || c.WebhookEvents < 0 || c.Rounds < 1 || c.Repeats < 0 || c.Repeats >= 1 {
		return nil, errors.New("load: --events and --rounds must be at least 1, --webhook-events not negative, --repeats 0 to below 1")
	}
	path, err := program(c.Program, "sink")
	if err != nil {
		return nil, err
	}
	r := &SinkReport{Head: result.Begin("bench load sink")}
	r.Versions["sink"] = programVersion(path)
	var release func()
	if r.SinkCore, r.ClientCore, release, err = divideCores(c.AllCores, c.ServerCore, c.ClientCore); err != nil {
		return nil, err
	}
	defer release()
	dir, clear, err := workplace(c.Dir, "sink-")
	if err != nil {
		return nil, err
	}
	defer clear()
	receiver, err := startReceiver(ctx, dir, r.ClientCore, 1) // its book counts only
	if err != nil {
		return nil, err
	}
	defer receiver.stop()
	if c.Hooks {
		c.Events = 0
	}
	r.Turns, err = c.turns(ctx, &sinkField{dir: dir, path: path, core: r.SinkCore, receiver: receiver, receiverCore: r.ClientCore}, progress)
	return r, err
}

func (c *SinkCommand) turns(ctx context.Context, f *sinkField, progress io.Writer) ([]SinkTurn, error) {
	events := map[bool]int{false: c.Events, true: c.WebhookEvents}
	filled := map[bool]filledJournal{}
	for webhooks, n := range events {
		if n == 0 {
			continue
		}
		fmt.Fprintf(progress, "filling a journal with %d clicks\n", n)
		j := filledJournal{dir: filepath.Join(f.dir, fmt.Sprintf("journal-%d", n)), events: n}
		var err error
		if j.last, j.firsts, err = prefill(j.dir, n, c.Repeats, c.Seed); err != nil {
			return nil, err
		}
		filled[webhooks] = j
	}
	var turns []SinkTurn
	for round := 1; round <= c.Rounds; round++ {
		for _, webhooks := range []bool{false, true} {
			j, ok := filled[webhooks]
			if !ok {
				continue
			}
			t, err := f.turn(ctx, j, webhooks)
			if err != nil {
				return nil, err
			}
			t.Round = round
			turns = append(turns, t)
			fmt.Fprintf(progress, "round %d/%d webhooks %v: %.0f decisions/s, CPU %.2f us, %.0f webhooks/s\n", round, c.Rounds, webhooks, t.PerSecond,
				t.User+t.System, t.DeliveredPerSecond)
		}
	}
	return turns, nil
}

// filledJournal is a journal that prefill made.
type filledJournal struct {
	dir    string
	events int
	firsts int
	last   journal.Position // of the last record
}

// sinkField is where sinks are measured.
type sinkField struct {
	dir      string
	path     string
	core     int
	receiver *receiver
	seen     int // webhooks of earlier turns
	// receiverCore is whose busy share is told beside the rate: at 100 % it was the limit.
	receiverCore int
}

const sinkTenants = `tenants:
  - number: 1
    name: load
    hosts: [http://` + loadHost + `]
`

// sinkEndpoint is what a tenant with webhooks adds: the native format, signed.
const sinkEndpoint = `    endpoints:
      - id: load
        url: http://%s/
        format: standard
        secret: whsec_bG9hZGxvYWRsb2FkbG9hZGxvYWRsb2FkbG9hZGxvYWQ=
`

// turn lets a sink with a fresh store read the journal to its end.
func (f *sinkField) turn(ctx context.Context, j filledJournal, webhooks bool) (SinkTurn, error) {
	dir, err := os.MkdirTemp(f.dir, "turn-")
	if err != nil {
		return SinkTurn{}, err
	}
	defer os.RemoveAll(dir)
	// Another turn's sink published that it had read everything.
	if err := os.RemoveAll(filepath.Join(j.dir, "consumers")); err != nil {
		return SinkTurn{}, err
	}
	receiver := ""
	if webhooks {
		receiver = f.receiver.addr
	}
	if err := writeSinkFiles(dir, j.dir, receiver); err != nil {
		return SinkTurn{}, err
	}
	sink, err := startChild(ctx, f.core, filepath.Join(dir, "sink.log"), "sink", f.path, "--config", filepath.Join(dir, "sink.yaml"))
	if err != nil {
		return SinkTurn{}, err
	}
	defer sink.stop()
	t, err := f.watch(ctx, sink, j, webhooks)
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(dir, "sink.log"))
		return t, fmt.Errorf("%w\n%s", err, text)
	}
	return t, f.checkDecisions(ctx, sink, j)
}

// writeSinkFiles writes the settings of a sink that reads the journal and tells the receiver; nobody where there is none.
func writeSinkFiles(dir, journal, receiver string) error {
	tenants := sinkTenants
	if receiver != "" {
		tenants += fmt.Sprintf(sinkEndpoint, receiver)
	}
	settings := fmt.Sprintf("admin: 127.0.0.1:0\ntenants: tenants.yaml\njournals: [%s]\nconsumer: %s\nstore: store\ndispatch: {allow: [127.0.0.0/8]}\n", journal, sinkConsumer)
	return writeFiles(dir, map[string]string{"sink.yaml": settings, "tenants.yaml": tenants})
}

// watch waits for the last decision, and for the last webhook.
func (f *sinkField) watch(ctx context.Context, sink *child, j filledJournal, webhooks bool) (SinkTurn, error) {
	begin := time.Now()
	receiverBefore, err := processTime(f.receiver.pid())
	if err != nil {
		return SinkTurn{}, err
	}
	besideBefore, err := readCore(f.receiverCore)
	if err != nil {
		return SinkTurn{}, err
	}
	usageBefore, err := readUsage(sink.pid())
	if err != nil {
		return SinkTurn{}, err
	}
	coreBefore, err := readCore(f.core)
	if err != nil {
		return SinkTurn{}, err
	}
	readAll := func() bool {
		p, err := journal.ReadPosition(j.dir, sinkConsumer)
		return err == nil && p.Run == j.last.Run && p.Sequence > j.last.Sequence
	}
	if err := sink.await(ctx, readAll); err != nil {
		return SinkTurn{}, err
	}
	t := SinkTurn{Webhooks: webhooks, Events: j.events, Firsts: j.firsts, Seconds: time.Since(begin).Seconds()}
	usageAfter, err := readUsage(sink.pid())
	if err != nil {
		return t, err
	}
	coreAfter, err := readCore(f.core)
	if err != nil {
		return t, err
	}
	each := func(d time.Duration) float64 { return float64(d) / 1e3 / float64(j.events) }
	t.PerSecond = float64(j.events) / t.Seconds
	t.User, t.System = each(usageAfter.user-usageBefore.user), each(usageAfter.system-usageBefore.system)
	t.Core, t.Anonymous = each(coreAfter.busy-coreBefore.busy), usageAfter.anonymous
	if !webhooks {
		return t, nil
	}
	come := func() int { return f.receiver.book.count() - f.seen }
	if err := sink.await(ctx, func() bool { return come() >= j.firsts }); err != nil {
		return t, fmt.Errorf("%d of %d webhooks: %w", come(), j.firsts, err)
	}
	f.seen = f.receiver.book.count()
	t.DeliveredSeconds = time.Since(begin).Seconds()
	t.DeliveredPerSecond = float64(j.firsts) / t.DeliveredSeconds
	usageAfter, err = readUsage(sink.pid())
	cpu := usageAfter.user + usageAfter.system - usageBefore.user - usageBefore.system
	t.DeliveredCPU = float64(cpu) / 1e3 / float64(j.firsts)
	if err != nil {
		return t, err
	}
	besideAfter, err := readCore(f.receiverCore)
	if err != nil {
		return t, err
	}
	t.ReceiverBusy = besideAfter.share(besideBefore)
	receiverAfter, err := processTime(f.receiver.pid())
	t.ReceiverCPU = float64(receiverAfter-receiverBefore) / 1e3 / float64(j.firsts)
	return t, err
}

// await polls until done, the child's end, or ctx's.
func (c *child) await(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-c.done:
			return fmt.Errorf("load: %s ended: %v", c.name, c.end) //nolint:errorlint // nil where it ended by itself
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// checkDecisions holds the sink's own count to what was put into the journal.
func (f *sinkField) checkDecisions(ctx context.Context, sink *child, j filledJournal) error {
	admin, err := sink.origin("admin")
	if err != nil {
		return err
	}
	decided, firsts, err := decisions(ctx, admin)
	if err != nil {
		return err
	}
	if decided != int64(j.events) || firsts != int64(j.firsts) {
		return fmt.Errorf("load: the sink decided %d events, %d of them firsts; the journal holds %d, %d firsts", decided, firsts, j.events, j.firsts)
	}
	return nil
}

// decisions are a sink's own counts: of all events, and of those that were a first.
func decisions(ctx context.Context, admin string) (all, firsts int64, err error) {
	m, err := stack.Scrape(ctx, admin)
	if err != nil {
		return 0, 0, fmt.Errorf("load: metrics: %w", err)
	}
	const name = "waypost_sink_decisions_total"
	decided, found := m.Sum(name)
	if !found {
		return 0, 0, fmt.Errorf("load: metrics: no %s", name)
	}
	first, _ := m.Sum(name, `decision="first"`)
	return int64(decided), int64(first), nil
}

// fault is nothing: a wrong decision ends the run.
func (r *SinkReport) fault() error { return nil }

// Where says on which cores the turns ran.
func (r *SinkReport) Where() string {
	return dividedCores(r.SinkCore, r.ClientCore, "receiver") + "; a fresh store each turn"
}

func (r *SinkReport) writeTable(w io.Writer) error {
	fmt.Fprintln(w, r.Origin())
	fmt.Fprintf(w, "%s; medians (and range)\n\n", r.Where())
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "webhooks\trounds\tevents\tfirsts\tdecisions/s\tuser us\tsystem us\tcore us\tanon MB\twebhooks/s\tCPU us each\treceiver us\treceiver's core\t")
	for _, webhooks := range []bool{false, true} {
		var turns []SinkTurn
		for _, t := range r.Turns {
			if t.Webhooks == webhooks {
				turns = append(turns, t)
			}
		}
		if len(turns) == 0 {
			continue
		}
		over := func(figure func(SinkTurn) float64) result.Spread { return result.SpreadOf(figures(turns, figure)) }
		rate := over(func(t SinkTurn) float64 { return t.PerSecond })
		fmt.Fprintf(table, "%v\t%d\t%d\t%d\t%.0f (%.0f-%.0f)\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t%.1f\t%.1f\t%.0f %%\t\n", webhooks, len(turns), turns[0].Events, turns[0].Firsts,
			rate.Median, rate.Min, rate.Max, over(func(t SinkTurn) float64 { return t.User }).Median, over(func(t SinkTurn) float64 { return t.System }).Median,
			over(func(t SinkTurn) float64 { return t.Core }).Median, over(func(t SinkTurn) float64 { return float64(t.Anonymous) }).Median/1e6,
			over(func(t SinkTurn) float64 { return t.DeliveredPerSecond }).Median, over(func(t SinkTurn) float64 { return t.DeliveredCPU }).Median,
			over(func(t SinkTurn) float64 { return t.ReceiverCPU }).Median, 100*over(func(t SinkTurn) float64 { return t.ReceiverBusy }).Median)
	}
	return table.Flush()
}
