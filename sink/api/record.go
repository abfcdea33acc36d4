package api

import (
	"encoding/json"
	"errors"
	"strconv"

	"waypost/edge/ship"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/store"
)

// Headers of the records of the endpoints' topic.
const (
	contentTypeHeader = "content-type"
	writeHeader       = "write" // names the write, for the sink that waits to read it back
)

const contentType = "application/json"

// numberKey is the key of the records with which sinks take numbers for new webhooks.
const numberKey = "number"

const recordVersion = 1

// errRecord says that a record of the endpoints' topic is none that a sink wrote.
var errRecord = errors.New("api: record is no webhook")

// webhookValue is the value of a record that holds a webhook.
type webhookValue struct {
	Version int     `json:"version"`
	Tenant  uint32  `json:"tenant"`
	Webhook webhook `json:"webhook"`
}

// numberValue is the value of a record that takes a number: Above + its offset + 1. Above is the highest number that was given before this topic was there, and 0 in a topic that began empty; each
// record has it, as only the last of them outlives compaction.
type numberValue struct {
	Version int    `json:"version"`
	Above   uint32 `json:"above"`
}

// record is what one record says.
type record struct {
	taken   bool   // a number was taken
	above   uint32 // with taken
	id      uint32 // of the webhook
	tenant  uint32
	webhook *webhook // nil: it was removed
}

// readRecord reads a record. The result has memory of its own.
func readRecord(key, value []byte) (record, error) {
	if string(key) == numberKey {
		var v numberValue
		if json.Unmarshal(value, &v) != nil || v.Version != recordVersion || v.Above >= firstFixed {
			return record{}, errRecord
		}
		return record{taken: true, above: v.Above}, nil
	}
	id, err := strconv.ParseUint(string(key), 10, 32)
	if err != nil || id == 0 || id >= firstFixed || strconv.FormatUint(id, 10) != string(key) {
		return record{}, errRecord
	}
	r := record{id: uint32(id)}
	if value == nil {
		return r, nil
	}
	var v webhookValue
	if json.Unmarshal(value, &v) != nil || v.Version != recordVersion || v.Tenant == 0 || v.Webhook.URL == "" || v.Webhook.MessageStream == "" {
		return record{}, errRecord
	}
	if v.Webhook.HTTPHeaders == nil {
		v.Webhook.HTTPHeaders = []header{}
	}
	v.Webhook.ID = r.id
	r.tenant, r.webhook = v.Tenant, &v.Webhook
	return r, nil
}

// recordOf makes the record of a webhook.
func recordOf(tenant uint32, w *webhook) (ship.Record, error) {
	value, err := json.Marshal(webhookValue{recordVersion, tenant, *w})
	return ship.Record{Key: idKey(w.ID), Value: value}, err
}

// removedRecord is the record that says that a webhook was removed: compaction drops the others of its key, and in the end this one.
func removedRecord(id uint32) ship.Record { return ship.Record{Key: idKey(id)} }

func numberRecord(above uint32) ship.Record {
	value, err := json.Marshal(numberValue{recordVersion, above})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return ship.Record{Key: []byte(numberKey), Value: value}
}

func idKey(id uint32) []byte { return strconv.AppendUint(nil, uint64(id), 10) }

// Carried are the records that bring the webhooks of a store to an endpoints' topic, with their numbers; none where no webhook was ever made.
func Carried(s *store.Store) ([]ship.Record, error) {
	b, err := Load(s)
	if err != nil {
		return nil, err
	}
	last := b.keeper.(*shelf).last
	if last == 0 {
		return nil, nil
	}
	records := []ship.Record{numberRecord(last)}
	for tenant, list := range b.webhooks {
		for i := range list {
			r, err := recordOf(tenant, &list[i])
			if err != nil {
				return nil, err
			}
			records = append(records, r)
		}
	}
	return records, nil
}

// MadeBeside says whether a record of the endpoints' topic is none of those to be carried there: then webhooks were made in the topic, with numbers that those of the store may have.
func MadeBeside(m *kafkalog.Message, carried []ship.Record) bool {
	for i := range carried {
		if string(carried[i].Key) == string(m.Key) && string(carried[i].Value) == string(m.Value) {
			return false
		}
	}
	return true
}
