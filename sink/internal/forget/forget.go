// Package forget removes a person from what a sink on one machine keeps.
//
//	remember until when the person is forgotten ─▶ find what is there: kept events, deliveries, dead letters, journals
//	   ─▶ unique keys become tombstones ─▶ attempts, deliveries, dead letters, kept events go ─▶ files are rewritten ─▶ remember that all of it is gone
//
// Everything that happened until the moment of the command is forgotten. What is still unread of that is decided when it is read, as a repetition is, and told to nobody; what the person does later is recorded and told as
// anybody's, but for what was a first before.
//
// Each step is on the disk before the next begins, and finds what it has to do by what the later ones remove; so a command that was cut off, at whatever place, is completed by saying it again. What the log of attempts has of
// somebody goes before the events by which its entries are found.
//
// Rejected: keeping the unique keys (whoever has the store can test by them whether somebody clicked, because their hash has no secret), and making all of them keyed (every decision would pay for what is seldom, and a store
// could not be brought to Kafka any more, where sinks do not share one).
package forget

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"waypost/configs"
	"waypost/configs/fault"
	"waypost/edge/event"
	"waypost/sink/dispatch"
	"waypost/sink/ingest"
	"waypost/sink/internal/person"
	"waypost/sink/internal/store"
	"waypost/sink/internal/uniques"
)

// Request says who is to be forgotten: an address, a prospect's id, or both.
type Request struct {
	Tenant    *configs.Tenant
	Recipient string
	Prospect  string
}

// Removed counts what is gone.
type Removed struct {
	Kept        int `json:"kept_events"`  // that could be pulled
	Deliveries  int `json:"deliveries"`   // that waited for an attempt
	DeadLetters int `json:"dead_letters"` // deliveries given up
	Attempts    int `json:"attempts"`     // entries of the log of attempts
	UniqueKeys  int `json:"unique_keys"`  // replaced by tombstones
}

// Stay is something that is not removed.
type Stay struct {
	Where string `json:"where"`
	What  string `json:"what"`
	Until string `json:"until"`
}

// Answer is what a Forgetter did.
type Answer struct {
	Tenant     uint32    `json:"tenant"`
	TenantName string    `json:"tenant_name"`
	Until      time.Time `json:"until"`             // what happened until then is forgotten
	Removed    *Removed  `json:"removed,omitempty"` // nil with Kafka: its topics cannot be changed, and what waits in them is dropped when its time comes
	Stays      []Stay    `json:"stays"`
	// Prospects are ids that events of the address had, and that were not asked for: of the same person there may be events without the address.
	Prospects []string `json:"prospects,omitempty"`
}

// Options of a Forgetter.
type Options struct {
	Store      *store.Store
	Ingester   *ingest.Ingester
	Dispatcher *dispatch.Dispatcher
	Uniques    *uniques.Keeper
	Journals   []string // directories
	Logger     *slog.Logger
	Now        func() time.Time // time.Now
}

// Forgetter forgets people, one after the other.
type Forgetter struct {
	o       Options
	context context.Context
	end     context.CancelFunc
	turn    sync.Mutex

	at func(point string) error // for tests: breaks off there
}

// New makes a Forgetter. Close ends what it does.
func New(o Options) *Forgetter {
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &Forgetter{o: o}
	f.context, f.end = context.WithCancel(context.Background())
	return f
}

// Close breaks off what is under way, and refuses what comes.
func (f *Forgetter) Close() { f.end() }

// ErrCut says that the command was broken off.
var ErrCut = errors.New("the sink is ending: not all of it is gone yet; say it again to complete it")

// Forget removes a person durably. It goes on when ctx is over, because half of it is of no use. Errors are person's, ErrCut, and the store's; after an error of the store or ErrCut it is to be said again.
func (f *Forgetter) Forget(_ context.Context, r Request) (*Answer, error) {
	p, err := person.New(r.Tenant.Number, r.Recipient, r.Prospect)
	if err != nil {
		return nil, err
	}
	f.turn.Lock()
	defer f.turn.Unlock()
	w := &work{Options: f.o, at: f.at, ctx: f.context, request: &r, person: p, until: f.o.Now().UTC().Truncate(time.Microsecond), keys: map[store.UniqueKey]bool{}, ids: map[event.ID]bool{}, prospects: map[string]bool{},
		touched: map[store.Space][][]byte{}}
	answer, err := w.do()
	if f.context.Err() != nil && err != nil || errors.Is(err, dispatch.ErrEnded) {
		return nil, ErrCut
	}
	if err != nil {
		return nil, err
	}
	f.o.Logger.Info("a person was forgotten", "tenant", r.Tenant.Name, "kept_events", answer.Removed.Kept, "deliveries", answer.Removed.Deliveries,
		"dead_letters", answer.Removed.DeadLetters, "attempts", answer.Removed.Attempts, "unique_keys", answer.Removed.UniqueKeys)
	return answer, nil
}

// work is one person on the way out.
type work struct {
	Options
	ctx     context.Context
	request *Request
	person  *person.Person
	until   time.Time
	at      func(string) error

	again     bool // an earlier command was cut off
	keys      map[store.UniqueKey]bool
	ids       map[event.ID]bool
	prospects map[string]bool
	latest    uint16 // day of a unique key
	buried    int    // how many of the keys have a tombstone
	journals  []found

	removed Removed
	touched map[store.Space][][]byte // keys that are gone, or stand for something else now
}

// scrubbed are the spaces of the store that are rewritten without the person.
var scrubbed = [...]store.Space{store.Uniques, store.Attempts, store.Dues, store.Deads, store.Kept, store.Indexes}

func (w *work) do() (answer *Answer, err error) {
	hands := w.Ingester.Forgetter()
	if w.again, err = hands.Begin(w.person, w.until); err != nil {
		return nil, err
	}
	if err := w.point("forget.begun"); err != nil {
		return nil, err
	}
	forgetting, err := w.Dispatcher.Forget(w.ctx, w.goes)
	if err != nil {
		return nil, err
	}
	err = w.remove(hands, forgetting)
	if err = errors.Join(err, forgetting.Close(context.WithoutCancel(w.ctx))); err != nil {
		return nil, err
	}
	if err := w.scrub(); err != nil {
		return nil, err
	}
	if err := w.point("forget.scrubbed"); err != nil {
		return nil, err
	}
	if err := hands.Whole(w.person, w.until); err != nil {
		return nil, err
	}
	answer = &Answer{Tenant: w.request.Tenant.Number, TenantName: w.request.Tenant.Name, Until: w.until, Removed: &w.removed, Stays: w.stays()}
	for prospect := range w.prospects {
		answer.Prospects = append(answer.Prospects, prospect)
	}
	slices.Sort(answer.Prospects)
	return answer, nil
}

// point is where the command may be cut off.
func (w *work) point(name string) error {
	fault.Point(name)
	if w.at == nil {
		return nil
	}
	return w.at(name)
}

// decoding is what one look at a document needs.
type decoding struct {
	decoder event.Decoder
	event   event.Event
}

var decodings = sync.Pool{New: func() any { return new(decoding) }}

// is says whether a document is of the person, and if so shows its event.
func (w *work) is(document []byte, visit func(*event.Event)) bool {
	d := decodings.Get().(*decoding)
	defer decodings.Put(d)
	if d.decoder.Decode(&d.event, document) != nil || !w.person.Is(&d.event) {
		return false
	}
	visit(&d.event)
	return true
}

func nothing(*event.Event) {}

// goes says whether a kept event of that time, or a delivery that became due first then, is to go. Any number of goroutines ask.
func (w *work) goes(at uint64, document []byte) bool {
	return at <= uint64(w.until.UnixMicro()) && w.is(document, nothing)
}

// note remembers how to find what else there is of an event.
func (w *work) note(e *event.Event) {
	w.ids[e.ID] = true
	for _, key := range ingest.Keys(event.AppendKey(nil, e), e) {
		w.keys[key] = true
	}
	if p := string(e.Prospect); p != "" && p != w.request.Prospect {
		w.prospects[p] = true
	}
}

// remove finds what is there and takes it away.
func (w *work) remove(hands ingest.Forgetter, forgetting *dispatch.Forgetting) (err error) {
	err = w.Uniques.Each(w.ctx, w.person.Tenant, func(at uint64, document []byte) {
		if w.goes(at, document) {
			w.is(document, w.note)
		}
	})
	if err != nil {
		return err
	}
	if err := forgetting.Each(w.ctx, func(document []byte) { w.is(document, w.note) }); err != nil {
		return err
	}
	for _, dir := range w.Journals {
		if err := w.journal(dir); err != nil {
			return err
		}
	}
	var keys []store.UniqueKey
	for key := range w.keys {
		keys = append(keys, key)
		w.latest = max(w.latest, key.Day())
	}
	if w.touched[store.Uniques], w.buried, err = hands.Bury(keys); err != nil {
		return err
	}
	w.removed.UniqueKeys = len(w.touched[store.Uniques])
	if err := w.point("forget.buried"); err != nil {
		return err
	}
	if w.touched[store.Attempts], err = forgetting.Attempts(w.ctx, w.person.Tenant, w.ids); err != nil {
		return err
	}
	w.removed.Attempts = len(w.touched[store.Attempts])
	if w.touched[store.Dues], err = forgetting.Deliveries(w.ctx); err != nil {
		return err
	}
	w.removed.Deliveries = len(w.touched[store.Dues])
	if err := w.point("forget.deliveries"); err != nil {
		return err
	}
	if w.touched[store.Deads], err = forgetting.Letters(w.ctx); err != nil {
		return err
	}
	w.removed.DeadLetters = len(w.touched[store.Deads])
	n, blocks, err := w.Uniques.Forget(w.ctx, w.person.Tenant, hands.Between, w.goes)
	if err != nil {
		return err
	}
	w.removed.Kept = n
	for i := range blocks {
		w.touched[store.Kept], w.touched[store.Indexes] = append(w.touched[store.Kept], blocks[i].Key()), append(w.touched[store.Indexes], blocks[i].IndexKey())
	}
	return w.point("forget.removed")
}

// scrub rewrites the store's files without what is gone. Where a command was cut off nobody knows any more what that was.
func (w *work) scrub() error {
	for _, space := range scrubbed {
		var err error
		if w.again {
			err = w.Store.ScrubSpace(w.ctx, space)
		} else {
			slices.SortFunc(w.touched[space], bytes.Compare)
			err = w.Store.Scrub(w.ctx, w.touched[space])
		}
		if err != nil {
			return err
		}
	}
	return w.Store.ScrubLog(w.ctx)
}
