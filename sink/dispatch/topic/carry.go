package topic

import (
	"time"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/edge/ship"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/person"
	"waypost/sink/internal/store"
)

// Waiting is a delivery that somebody else kept, on its way into the topics.
type Waiting struct {
	Tenant   uint32
	Endpoint string
	Attempts int // that failed
	Created  time.Time
	Event    *event.Event // as Document has it
	Document []byte
}

func (w *Waiting) delivery() *delivery {
	return &delivery{
		tenant: w.Tenant, endpoint: w.Endpoint, attempts: w.Attempts, created: w.Created, id: w.Event.ID, key: event.AppendKey(nil, w.Event), document: w.Document,
	}
}

// Scheduled is the record of a delivery that is due then, and the retry topic for it. Its partition is that of its key.
func (w *Waiting) Scheduled(k configs.Kafka, due time.Time) (topic string, record ship.Record) {
	d := w.delivery()
	d.due = due
	return rungFor(ladder(k), time.Until(due)).topic, d.retryRecord()
}

// Dead is its record among the dead, with the status of the last answer (0: none came) and why it was given up.
func (w *Waiting) Dead(status int, reason string) ship.Record {
	return w.delivery().deadRecord(status, reason)
}

// ForgottenRecord is the record in the topic of states of a person whom another store has forgotten, under the hash that it has there with this secret. longest is how long a topic keeps what webhooks may be made of (see Kept).
func ForgottenRecord(tenant uint32, hash person.Hash, secret [store.SecretBytes]byte, until time.Time, longest time.Duration) ship.Record {
	return forgottenRecord(hash, secret, gone{tenant, until, leavesAt(until, longest)})
}

// Letter is a record of the topic of dead letters.
type Letter struct {
	ID       event.ID
	Tenant   uint32
	Endpoint string
	record   delivery
}

// ReadLetter reads one; false when it is none.
func ReadLetter(m *kafkalog.Message) (Letter, bool) {
	d, err := readDelivery(m)
	return Letter{ID: d.id, Tenant: d.tenant, Endpoint: d.endpoint, record: d}, err == nil
}

// Again is the letter's record as a delivery that is due at once, with its schedule from the beginning, and the retry topic for it.
func (l *Letter) Again(k configs.Kafka) (topic string, record ship.Record) {
	d := l.record
	d.attempts, d.holds, d.due = 0, 0, time.Now()
	return ladder(k)[0].topic, d.retryRecord()
}
