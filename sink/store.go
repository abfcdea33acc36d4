package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/sink/dispatch"
	"waypost/sink/ingest/topic"
	"waypost/sink/internal/store"
	"waypost/sink/internal/uniques"
)

type storeCommand struct {
	Cat       catCommand       `cmd:"" help:"The unique decisions: who was first, one JSON line each."`
	Floors    floorsCommand    `cmd:"" help:"The lowest day of each tenant: older mails are not unique any more."`
	Positions positionsCommand `cmd:"" help:"How far each run of each journal has been read."`
	Due       dueCommand       `cmd:"" help:"Deliveries that wait for an attempt."`
	Dead      deadCommand      `cmd:"" help:"Deliveries that were given up, and why."`
	Attempts  attemptsCommand  `cmd:"" help:"The log of attempts, oldest first."`
	Kept      keptCommand      `cmd:"" help:"The events that were told, kept for those who pull them or have them sent again."`

	Tombstones tombstonesCommand `cmd:"" help:"Keyed hashes of people who were forgotten, and of their unique keys."`
}

type (
	catCommand       struct{}
	floorsCommand    struct{}
	positionsCommand struct{}
	dueCommand       struct{}
	deadCommand      struct{}
	attemptsCommand  struct{}
	keptCommand      struct{}

	tombstonesCommand struct{}
)

const dayText = "2006-01-02"

type uniqueLine struct {
	Key         string `json:"key"`
	Day         string `json:"day"`
	Tenant      uint32 `json:"tenant"`
	Partition   uint32 `json:"partition_hash"`
	FirstAny    string `json:"first_any"`
	FirstPerson string `json:"first_person"`
}

// Run is `sink store cat`.
func (catCommand) Run(p *program) error {
	return p.list(store.Uniques, func(key, value []byte) (any, error) {
		k, err := store.ParseUniqueKey(key)
		if err != nil {
			return nil, err
		}
		firsts, err := store.ParseFirsts(value)
		if err != nil {
			return nil, err
		}
		unique := k.Unique()
		return uniqueLine{
			Key: hex.EncodeToString(unique[:]), Day: store.DayStart(int(k.Day())).Format(dayText), Tenant: k.Tenant(),
			Partition: k.Partition(), FirstAny: idText(firsts.Any), FirstPerson: idText(firsts.Person),
		}, nil
	})
}

// idText is empty where no event was first yet.
func idText(id event.ID) string {
	if id == store.Buried {
		return "forgotten"
	}
	if id == (event.ID{}) {
		return ""
	}
	return id.String()
}

type floorLine struct {
	Tenant uint32 `json:"tenant"`
	Day    string `json:"day"`
}

// Run is `sink store floors`.
func (floorsCommand) Run(p *program) error {
	return p.list(store.Floors, func(key, value []byte) (any, error) {
		tenant, day, err := store.ParseFloor(key, value)
		return floorLine{tenant, store.DayStart(int(day)).Format(dayText)}, err
	})
}

type positionLine struct {
	Journal  string `json:"journal"`
	Run      string `json:"run"`
	Sequence uint64 `json:"sequence"`
}

type topicLine struct {
	Events     string `json:"events"`
	Unique     string `json:"unique"`
	Source     uint64 `json:"source_offset"`
	At         uint64 `json:"unique_offset"`
	Partitions uint32 `json:"partitions"`
}

// Run is `sink store positions`.
func (positionsCommand) Run(p *program) error {
	if p.cfg.Kafka.On() {
		return p.list(store.Topics, func(key, value []byte) (any, error) {
			events, unique, place, err := store.ParseTopicPosition(key, value)
			return topicLine{events, unique, place.Source, place.Unique, place.Partitions}, err
		})
	}
	return p.list(store.Positions, func(key, value []byte) (any, error) {
		dir, run, sequence, err := store.ParsePosition(key, value)
		return positionLine{dir, journal.Run(run).String(), sequence}, err
	})
}

type dueLine struct {
	ID       string    `json:"id"`
	Tenant   uint32    `json:"tenant"`
	Endpoint string    `json:"endpoint"`
	Due      time.Time `json:"due"`
	Created  time.Time `json:"created"`
	Failed   uint16    `json:"failed_attempts"`
}

// Run is `sink store due`.
func (dueCommand) Run(p *program) error {
	return p.list(store.Dues, func(key, value []byte) (any, error) {
		tenant, endpoint, due, id, err := store.ParseDue(key)
		if err != nil {
			return nil, err
		}
		d, err := dispatch.ParseDelivery(value)
		return dueLine{id.String(), tenant, endpoint, fromMicros(due), fromMicros(d.Created), d.Attempts}, err
	})
}

type deadLine struct {
	ID       string          `json:"id"`
	Tenant   uint32          `json:"tenant"`
	Endpoint string          `json:"endpoint"`
	GivenUp  time.Time       `json:"given_up"`
	Created  time.Time       `json:"created"`
	Failed   uint16          `json:"failed_attempts"`
	Status   int             `json:"status"`
	Reason   string          `json:"reason,omitempty"`
	Event    json.RawMessage `json:"event"`
}

// Run is `sink store dead`.
func (deadCommand) Run(p *program) error {
	return p.list(store.Deads, func(key, value []byte) (any, error) {
		at, tenant, endpoint, id, err := store.ParseDead(key)
		if err != nil {
			return nil, err
		}
		l, err := dispatch.ParseDeadLetter(value)
		if err != nil {
			return nil, err
		}
		line := deadLine{
			ID: id.String(), Tenant: tenant, Endpoint: endpoint, GivenUp: fromMicros(at), Created: fromMicros(l.Delivery.Created),
			Failed: l.Delivery.Attempts, Status: l.Status, Reason: l.Reason, Event: l.Delivery.Document,
		}
		if !json.Valid(line.Event) {
			line.Event = json.RawMessage("null")
		}
		return line, nil
	})
}

// Run is `sink store attempts`.
func (attemptsCommand) Run(p *program) error {
	return p.list(store.Attempts, func(key, value []byte) (any, error) { return dispatch.ParseAttempt(key, value) })
}

// Run is `sink store kept`.
func (keptCommand) Run(p *program) error {
	return p.list(store.Kept, func(_, value []byte) (any, error) {
		documents, err := uniques.Documents(value)
		var all several
		for _, d := range documents {
			all = append(all, json.RawMessage(d))
		}
		return all, err
	})
}

type tombstoneLine struct {
	Hash   string     `json:"hash"`
	Of     string     `json:"of"` // person, unique
	Day    string     `json:"day"`
	Tenant uint32     `json:"tenant"`
	Until  *time.Time `json:"until,omitempty"`     // of a person: what happened until then is forgotten
	Whole  *bool      `json:"whole,omitempty"`     // of a person: all of it is gone
	First  string     `json:"first_any,omitempty"` // of a unique key: there was one
	Person string     `json:"first_person,omitempty"`
}

// Run is `sink store tombstones`.
func (tombstonesCommand) Run(p *program) error {
	return p.list(store.Tombstones, func(key, value []byte) (any, error) {
		t, err := store.ParseTombstone(key)
		if err != nil {
			return nil, err
		}
		line := tombstoneLine{Hash: hex.EncodeToString(t.Hash[:]), Of: "unique", Day: store.DayStart(int(t.Day)).Format(dayText), Tenant: t.Tenant}
		if !t.Person {
			firsts, err := store.ParseBuried(value)
			line.First, line.Person = idText(firsts.Any), idText(firsts.Person)
			return line, err
		}
		f, err := store.ParseForgotten(value)
		until := fromMicros(f.Until)
		line.Of, line.Until, line.Whole = "person", &until, &f.Whole
		return line, err
	})
}

// several are the lines of one key.
type several []any

func fromMicros(micros uint64) time.Time { return time.UnixMicro(int64(micros)).UTC() }

// list prints a space of the store, one JSON line a key, or several. With Kafka, those of all partitions one after the other.
func (p *program) list(space store.Space, line func(key, value []byte) (any, error)) error {
	if !p.cfg.Kafka.On() {
		return p.listStore(p.cfg.Store, space, line)
	}
	partitions, err := topic.Stores(p.cfg.Store)
	if err != nil {
		return err
	}
	for _, partition := range partitions {
		if err := p.listStore(topic.StoreDir(p.cfg.Store, partition), space, line); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) listStore(dir string, space store.Space, line func(key, value []byte) (any, error)) error {
	s, err := store.Open(dir, store.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer s.Close()
	out := bufio.NewWriter(p.stdout)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	err = s.Each(space, func(key, value []byte) error {
		l, err := line(key, value)
		if err != nil {
			return fmt.Errorf("key %x: %w", key, err)
		}
		all, ok := l.(several)
		if !ok {
			all = several{l}
		}
		for _, l := range all {
			if err := encoder.Encode(l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return out.Flush()
}
