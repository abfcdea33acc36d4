package topic

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"waypost/edge/event"
	"waypost/edge/ship"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/person"
	"waypost/sink/internal/store"
)

// forgotten is people who were forgotten. They stand in the topic of states, so that all sinks drop what waits for them: a record for each keyed hash of a person (package person), under the key
// TENANT/forgotten/HASH, until the topics hold nothing more of before.
//
//	{"version":1,"secret":"<base64, 32 bytes>","until":"2026-11-30T07:40:00.123456Z","leaves":"2027-01-28T07:40:00.123456Z"}
//
// What happened until then is sent to nobody any more. From the time at which it leaves on, a sink writes null under the key; without one it stays. The secret stands beside the hash, because all sinks need it:
// who may read this topic may read the events.
type forgotten struct {
	version atomic.Int64 // grows with each change; 0: nobody was ever forgotten

	mu     sync.Mutex
	groups map[[store.SecretBytes]byte]*group
	latest map[uint32]time.Time // by tenant: what happened later is nobody's. It does not come back when people leave
	newest [store.SecretBytes]byte
}

// group is the people of one secret: mostly there is one.
type group struct {
	hasher *person.Hasher
	people map[person.Hash]gone
}

type gone struct {
	tenant        uint32
	until, leaves time.Time // leaves zero: it stays
}

// forgottenDocument is a record's value.
type forgottenDocument struct {
	Version int       `json:"version"`
	Secret  string    `json:"secret"`
	Until   time.Time `json:"until"`
	Leaves  time.Time `json:"leaves,omitzero"`
}

const (
	forgottenPart    = "/forgotten/"
	forgottenVersion = 1
)

func newForgotten() *forgotten {
	return &forgotten{groups: map[[store.SecretBytes]byte]*group{}, latest: map[uint32]time.Time{}}
}

// isForgotten says whether a record of the topic of states is of a person.
func isForgotten(m *kafkalog.Message) bool { return strings.Contains(string(m.Key), forgottenPart) }

func forgottenKey(tenant uint32, hash person.Hash) []byte {
	return append(append(strconv.AppendUint(nil, uint64(tenant), 10), forgottenPart...), hex.EncodeToString(hash[:])...)
}

// parseForgotten reads a record's key and value; a value of nothing says that somebody has left, and gives no secret.
func parseForgotten(m *kafkalog.Message) (hash person.Hash, secret [store.SecretBytes]byte, g gone, err error) {
	tenant, digits, _ := strings.Cut(string(m.Key), forgottenPart)
	number, err := strconv.ParseUint(tenant, 10, 32)
	raw, hexErr := hex.DecodeString(digits)
	if err != nil || hexErr != nil || len(raw) != len(hash) || string(m.Key) != string(forgottenKey(uint32(number), person.Hash(raw))) {
		return hash, secret, g, errRecord
	}
	hash, g.tenant = person.Hash(raw), uint32(number)
	if len(m.Value) == 0 {
		return hash, secret, g, nil
	}
	var d forgottenDocument
	if json.Unmarshal(m.Value, &d) != nil || d.Version != forgottenVersion || d.Until.IsZero() {
		return hash, secret, g, errRecord
	}
	key, err := base64.StdEncoding.DecodeString(d.Secret)
	if err != nil || len(key) != len(secret) {
		return hash, secret, g, errRecord
	}
	g.until, g.leaves = d.Until, d.Leaves
	return hash, [store.SecretBytes]byte(key), g, nil
}

func forgottenRecord(hash person.Hash, secret [store.SecretBytes]byte, g gone) ship.Record {
	text, err := json.Marshal(forgottenDocument{forgottenVersion, base64.StdEncoding.EncodeToString(secret[:]), g.until, g.leaves})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return ship.Record{Key: forgottenKey(g.tenant, hash), Value: text, Headers: []ship.Header{{Key: contentTypeHeader, Value: []byte("application/json")}}}
}

// read takes a record into account.
func (f *forgotten) read(m *kafkalog.Message) error {
	hash, secret, g, err := parseForgotten(m)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.version.Add(1)
	for _, other := range f.groups { // of an earlier record under the key, whatever its secret
		delete(other.people, hash)
	}
	if len(m.Value) == 0 {
		return nil
	}
	if f.groups[secret] == nil {
		f.groups[secret] = &group{person.NewHasher(secret), map[person.Hash]gone{}}
	}
	f.groups[secret].people[hash] = g
	f.newest = secret
	if g.until.After(f.latest[g.tenant]) {
		f.latest[g.tenant] = g.until
	}
	return nil
}

// secret is that of the newest record, or a new one: people of one secret are found by one hash.
func (f *forgotten) secret() (secret [store.SecretBytes]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if secret = f.newest; secret == [store.SecretBytes]byte{} {
		_, _ = rand.Read(secret[:]) // never fails, by its documentation
	}
	return secret
}

// has says whether the hash is known, of that moment or a later one.
func (f *forgotten) has(secret [store.SecretBytes]byte, hash person.Hash, until time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.groups[secret]
	return g != nil && !g.people[hash].until.Before(until)
}

// was says whether an event, or a delivery of it that stood in unique since then, is of somebody who was forgotten afterwards.
func (f *forgotten) was(e *event.Event, created time.Time) (found bool) {
	if f.version.Load() == 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	first := e.Time
	if created.Before(first) { // the edge's clock may be ahead
		first = created
	}
	if first.After(f.latest[e.Tenant]) {
		return false
	}
	for _, g := range f.groups {
		if len(g.people) == 0 {
			continue
		}
		g.hasher.Event(e, func(h person.Hash) {
			of, is := g.people[h]
			found = found || is && !first.After(of.until)
		})
	}
	return found
}

// forget says whether no delivery is to be made of a first, because its person was forgotten afterwards.
func (c *Courier) forget(e *event.Event, created time.Time) bool {
	if !c.forgotten.was(e, created) {
		return false
	}
	c.o.Metrics.Forgotten.Inc()
	return true
}

// document is was for a delivery that is not decoded.
func (f *forgotten) document(document []byte, created time.Time) bool {
	if f.version.Load() == 0 {
		return false
	}
	var decoder event.Decoder
	var e event.Event
	return decoder.Decode(&e, document) == nil && f.was(&e, created)
}

// over are the keys of those who may leave.
func (f *forgotten) over(now time.Time) (keys [][]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, group := range f.groups {
		for hash, g := range group.people {
			if !g.leaves.IsZero() && now.After(g.leaves) {
				keys = append(keys, forgottenKey(g.tenant, hash))
			}
		}
	}
	return keys
}

// leaveEvery is how often it is looked who may leave.
const leaveEvery = time.Hour

// leave lets them.
func (s *states) leave(now time.Time) {
	for _, key := range s.c.forgotten.over(now) {
		if !s.produce(s.topic, statePartition, ship.Record{Key: key}) {
			return // in an hour again
		}
	}
}

// remember writes a person's hashes and waits until this sink has read them.
func (s *states) remember(ctx context.Context, p *person.Person, until, leaves time.Time) error {
	s.start()
	if !s.known(ctx) {
		return ctx.Err()
	}
	secret := s.c.forgotten.secret()
	hashes := person.NewHasher(secret).Person(p)
	var records []ship.Record
	for _, hash := range hashes {
		records = append(records, forgottenRecord(hash, secret, gone{p.Tenant, until, leaves}))
	}
	if _, err := s.c.producers[s.topic].Produce(ctx, statePartition, records); err != nil {
		return err
	}
	for _, hash := range hashes {
		for !s.c.forgotten.has(secret, hash, until) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			kafkalog.Wait(ctx, firstPause)
		}
	}
	return nil
}
