package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/operator"
	"waypost/sink/enrich"
	"waypost/sink/ingest"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
	"waypost/sink/internal/uniques"
)

// Bounds that no setting moves.
const (
	sharedMemory   = 64 << 20 // of documents in memory, all endpoints together, beyond what is under way
	refillsAtOnce  = 4
	marksAtOnce    = 500 // and as many more while these are written: a crash repeats a thousand at most
	maxDeadLetters = 100_000
	maxEndpointID  = 255
)

// Options of a Dispatcher.
type Options struct {
	Store    *store.Store
	Uniques  *uniques.Keeper // what was told, for replays
	Tenants  *configs.Tenants
	Added    []Added // endpoints beside those of Tenants, as Put takes them
	Settings configs.Dispatch
	Who      *enrich.Enricher // for documents; nil: nobody is known
	Metrics  *metrics.Set
	Logger   *slog.Logger
	Now      func() time.Time // time.Now
	// Failed is told when the store cannot be written or read: nothing more will be delivered by this process. Called at least once.
	Failed func(error)

	maxDeadLetters int   // for tests; 100,000
	sharedMemory   int64 // for tests; 64 MiB
}

// Dispatcher delivers webhooks. It is ingest's Outbox.
type Dispatcher struct {
	store     *store.Store
	uniques   *uniques.Keeper
	endpoints atomic.Pointer[endpoints] // replaced as a whole, under changing
	changing  sync.Mutex
	started   bool // under changing: marks are written
	ended     bool // under changing: no endpoint is added or changed any more
	sender    *attempt.Sender
	attempts  *retention
	metrics   *metrics.Set
	log       *slog.Logger
	now       func() time.Time
	failed    func(error)
	settings  configs.Dispatch
	window    int
	maxDead   int
	share     int64 // of memory

	context  context.Context // of attempts
	cancel   context.CancelFunc
	work     sync.WaitGroup // attempts and refills
	keeping  sync.WaitGroup // of the log of attempts
	refills  chan struct{}
	marks    chan mark
	marked   chan struct{} // closed when the last mark is written
	memory   atomic.Int64  // of share
	inMemory atomic.Int64
	pending  atomic.Int64 // in the store

	replaying sync.Mutex // one replay at a time
	letters   sync.Mutex // whoever takes dead letters away, and dead
	dead      int64      // how many there are

	// What is to leave nothing behind: a person, and deliveries whose last attempt is under way. Only the marking goroutine, or nobody's before Start.
	forgetting *Forgetting // holds replaying
	dropped    map[delivery]int

	fresh []freshDelivery // between Due and Committed; only ingest's goroutine
}

type freshDelivery struct {
	endpoint *endpoint
	item     *item
	admitted bool
}

// New prepares the endpoints and counts what the store holds for them. Start begins to deliver.
func New(o Options) (*Dispatcher, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.maxDeadLetters == 0 {
		o.maxDeadLetters = maxDeadLetters
	}
	if o.sharedMemory == 0 {
		o.sharedMemory = sharedMemory
	}
	d := &Dispatcher{
		store: o.Store, uniques: o.Uniques, metrics: o.Metrics, log: o.Logger, now: o.Now, failed: o.Failed, settings: o.Settings,
		window: max(o.Settings.Window, 1), maxDead: o.maxDeadLetters, share: o.sharedMemory,
		refills: make(chan struct{}, refillsAtOnce), dropped: map[delivery]int{}, marks: make(chan mark, marksAtOnce), marked: make(chan struct{}),
	}
	d.sender = attempt.NewSender(o.Settings, o.Metrics, o.Logger, o.Who, o.Now)
	d.attempts = newRetention(o.Store, o.Settings, o.Metrics, o.Now)
	d.context, d.cancel = context.WithCancel(context.Background())
	added := slices.Clone(o.Added)
	for _, tenant := range o.Tenants.List {
		for _, c := range tenant.Endpoints {
			added = append(added, Added{Tenant: tenant, Endpoint: c})
		}
	}
	if tenant, e, ok := operator.Endpoint(o.Settings.Operator); ok {
		added = append(added, Added{Tenant: tenant, Endpoint: e, Types: []event.Type{}}) // what mails do is not for it
	}
	var all []*endpoint
	for _, a := range added {
		e, err := d.newEndpoint(a)
		if err != nil {
			return nil, fmt.Errorf("tenant %s, endpoint %s: %w", a.Tenant.Name, a.Endpoint.ID, err)
		}
		all = append(all, e)
	}
	d.endpoints.Store(attempt.NewSet(all))
	if err := d.survey(); err != nil {
		return nil, fmt.Errorf("dispatch: %w", err)
	}
	return d, nil
}

func (d *Dispatcher) newEndpoint(a Added) (*endpoint, error) {
	if len(a.Endpoint.ID) > maxEndpointID {
		return nil, fmt.Errorf("the id has %d bytes, at most %d are allowed", len(a.Endpoint.ID), maxEndpointID)
	}
	r, err := newTaker(a)
	if err != nil {
		return nil, err
	}
	e := &endpoint{d: d, Target: r.Target, gate: r.NewGate(d.settings), prefix: store.DuePrefix(a.Tenant.Number, a.Endpoint.ID), held: map[place]int64{}}
	e.taker.Store(r)
	if err := e.readHealth(); err != nil {
		return nil, err
	}
	return e, e.readDisabled()
}

// survey counts what the store holds, and tells each endpoint where its part begins.
func (d *Dispatcher) survey() error {
	byPrefix := map[string]*endpoint{}
	for _, e := range d.endpoints.Load().All {
		byPrefix[string(e.prefix)] = e
	}
	orphaned := 0
	err := d.eachKey(store.Dues, func(key []byte) error {
		_, _, due, id, err := store.ParseDue(key)
		if err != nil {
			return err
		}
		e := byPrefix[string(key[:len(key)-placeBytes])]
		if e == nil {
			orphaned++
			return nil
		}
		e.addPending(1)
		e.spillLocked(place{due, id}) // nobody else has the endpoint yet
		return nil
	})
	if err != nil {
		return err
	}
	if err := d.eachKey(store.Deads, func([]byte) error { d.dead++; return nil }); err != nil {
		return err
	}
	if orphaned > 0 {
		d.log.Warn("deliveries for endpoints that the settings do not name are kept and not sent", "deliveries", orphaned)
	}
	d.metrics.Orphaned.Set(float64(orphaned))
	d.metrics.Deads.Set(float64(d.dead))
	return nil
}

func (d *Dispatcher) eachKey(space store.Space, visit func(key []byte) error) error {
	start, end := space.Range()
	iter, err := d.store.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return err
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		if err := visit(iter.Key()); err != nil {
			return err
		}
	}
	return iter.Error()
}

// Start delivers what is due and goes on until Stop.
func (d *Dispatcher) Start() {
	d.changing.Lock()
	d.started = true
	d.changing.Unlock()
	go d.mark()
	d.keepAttempts()
	for _, e := range d.endpoints.Load().All {
		e.look()
	}
}

// keepAttempts begins to keep the log of attempts within its bounds, until the end of attempts.
func (d *Dispatcher) keepAttempts() {
	view, err := d.attempts.view()
	if err != nil {
		d.storeFailed(err)
		return
	}
	d.keeping.Go(func() {
		if err := d.attempts.run(d.context, view); err != nil {
			d.storeFailed(err)
		}
	})
}

// Due adds one delivery for each of the tenant's endpoints to the batch, but for those that do not want it or whose format has no document for it.
func (d *Dispatcher) Due(b *pebble.Batch, f ingest.First) error {
	now := d.micros()
	for _, e := range d.endpoints.Load().Tenants[f.Tenant] {
		if !e.taker.Load().takes(&f, d.metrics) {
			continue
		}
		it := &item{place: place{now, f.ID}, delivery: Delivery{Created: now}}
		value := make([]byte, 0, deliveryHeader+len(f.Document))
		value = append((&it.delivery).AppendTo(value), f.Document...)
		it.delivery.Document = value[deliveryHeader:]
		if err := b.Set(e.key(it.place), value, nil); err != nil {
			return err
		}
		admitted := e.admit(it.place, int64(len(value)), now)
		d.fresh = append(d.fresh, freshDelivery{e, it, admitted})
	}
	return nil
}

// Committed begins to deliver what Due added.
func (d *Dispatcher) Committed() {
	for i := range d.fresh {
		f := &d.fresh[i]
		f.endpoint.addPending(1)
		if f.admitted {
			f.endpoint.push(f.item)
		} else {
			f.endpoint.spill(f.item.place)
		}
	}
	clear(d.fresh)
	d.fresh = d.fresh[:0]
}

// Stop begins no further attempt, waits for those under way until ctx ends (then it cuts them off: they are made again after a restart),
// and marks what was finished. Ingest must have ended.
func (d *Dispatcher) Stop(ctx context.Context) {
	for _, e := range d.endAll() {
		e.stop()
	}
	done := make(chan struct{})
	go func() { d.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		d.cancel()
		<-done
	}
	d.cancel()
	close(d.marks)
	<-d.marked
	d.keeping.Wait()
	d.sender.Close()
}

// Measure sets the gauges that cost more than a load or an add.
func (d *Dispatcher) Measure() {
	d.metrics.InMemory.Set(float64(d.inMemory.Load()))
	var oldest uint64
	for _, e := range d.endpoints.Load().All {
		if e.isDisabled() != nil {
			continue // it waits for an operator, who was told
		}
		if due := e.oldestDue(); due != 0 && (oldest == 0 || due < oldest) {
			oldest = due
		}
	}
	age := 0.0
	if now := d.micros(); oldest != 0 && oldest < now {
		age = float64(now-oldest) / 1e6
	}
	d.metrics.OldestDue.Set(age)
}

func (d *Dispatcher) micros() uint64 { return uint64(max(d.now().UnixMicro(), 0)) }

func (d *Dispatcher) takeMemory(bytes int64) bool {
	if d.memory.Add(bytes) > d.share {
		d.memory.Add(-bytes)
		return false
	}
	return true
}

func (d *Dispatcher) giveMemory(bytes int64) { d.memory.Add(-bytes) }

// storeFailed ends the delivering; the store keeps what is due.
func (d *Dispatcher) storeFailed(err error) {
	if !errors.Is(err, pebble.ErrClosed) {
		d.failed(fmt.Errorf("dispatch: %w", err))
	}
}

// placeBytes is the length of a place at the end of a due key.
const placeBytes = 24

func (e *endpoint) key(p place) []byte {
	return appendPlace(append(make([]byte, 0, len(e.prefix)+placeBytes), e.prefix...), p)
}

// rangeFrom is the part of an endpoint's keys that begins at a place.
func rangeFrom(prefix []byte, from place) *pebble.IterOptions {
	key := bytes.Clone(prefix)
	key = appendPlace(key, from)
	return &pebble.IterOptions{LowerBound: key, UpperBound: store.After(prefix)}
}
