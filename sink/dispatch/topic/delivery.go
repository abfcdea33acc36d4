package topic

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"waypost/edge/event"
	"waypost/edge/ship"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/internal/kafkalog"
)

// Headers of the records in the retry topics and among the dead, all text; key and value are those of the event's record.
const (
	contentTypeHeader = "content-type"
	tenantHeader      = "tenant"   // its number
	endpointHeader    = "endpoint" // its id in tenants.yaml
	attemptsHeader    = "attempts" // that failed
	holdsHeader       = "holds"    // times that it was put off without an attempt
	createdHeader     = "created"  // milliseconds since 1970: when its first click stood in unique
	dueHeader         = "due"      // milliseconds since 1970; retry topics
	statusHeader      = "status"   // of the last answer, 0: none came; dead
	reasonHeader      = "reason"   // why it was given up; dead
)

const contentType = "application/cloudevents+json; charset=UTF-8"

// errRecord says that a record is no delivery.
var errRecord = errors.New("dispatch: record is no delivery")

// delivery is one event for one endpoint.
type delivery struct {
	tenant        uint32
	endpoint      string
	id            event.ID
	attempts      int
	holds         int
	created, due  time.Time
	key, document []byte
}

// record makes the delivery's record, without due.
func (d *delivery) record(more ...ship.Header) ship.Record {
	number := func(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
	headers := []ship.Header{
		{Key: contentTypeHeader, Value: []byte(contentType)},
		{Key: tenantHeader, Value: number(int64(d.tenant))},
		{Key: endpointHeader, Value: []byte(d.endpoint)},
		{Key: attemptsHeader, Value: number(int64(d.attempts))},
		{Key: createdHeader, Value: number(d.created.UnixMilli())},
	}
	return ship.Record{Key: d.key, Value: d.document, Headers: append(headers, more...)}
}

// retryRecord is the delivery as it waits.
func (d *delivery) retryRecord() ship.Record {
	return d.record(
		ship.Header{Key: holdsHeader, Value: strconv.AppendInt(nil, int64(d.holds), 10)},
		ship.Header{Key: dueHeader, Value: strconv.AppendInt(nil, d.due.UnixMilli(), 10)},
	)
}

// deadRecord is the delivery as it was given up.
func (d *delivery) deadRecord(status int, reason string) ship.Record {
	return d.record(
		ship.Header{Key: statusHeader, Value: strconv.AppendInt(nil, int64(status), 10)},
		ship.Header{Key: reasonHeader, Value: []byte(reason)},
	)
}

// readDelivery reads a record of a retry topic, or a dead one, which has no holds and is due since it was created. The delivery has memory of its own.
func readDelivery(m *kafkalog.Message) (d delivery, err error) {
	failed := false
	number := func(name string, bits int, needed bool) int64 {
		text := m.Header(name)
		if text == nil && !needed {
			return 0
		}
		n, err := strconv.ParseInt(string(text), 10, bits)
		failed = failed || err != nil || n < 0
		return n
	}
	d.tenant = uint32(number(tenantHeader, 33, true))
	d.endpoint = string(m.Header(endpointHeader))
	d.attempts = int(number(attemptsHeader, 32, true))
	d.holds = int(number(holdsHeader, 32, false))
	d.created = time.UnixMilli(number(createdHeader, 64, true))
	d.due = time.UnixMilli(number(dueHeader, 64, false))
	if failed || d.endpoint == "" {
		return delivery{}, errRecord
	}
	var decoder event.Decoder
	var e event.Event
	d.document = append([]byte(nil), m.Value...)
	if decoder.Decode(&e, d.document) != nil {
		return delivery{}, errRecord
	}
	d.id = e.ID
	d.key = append([]byte(nil), m.Key...)
	return d, nil
}

// attemptDocument is a record of the topic of deliveries.
type attemptDocument struct {
	dispatch.Attempt
	Format string `json:"format"`
}

func attemptRecord(t *attempt.Target, d *delivery, o *attempt.Outcome, now time.Time) ship.Record {
	document := attemptDocument{Format: t.Format.Name(), Attempt: dispatch.Attempt{
		At: now.UTC().Truncate(time.Microsecond), WebhookID: d.id.String(), Tenant: d.tenant, Endpoint: d.endpoint, Type: o.Type, Message: o.Message, Number: d.attempts + 1,
		Outcome: o.Word, Status: o.Status, Reason: o.Reason, TookMS: float64(o.Took.Microseconds()) / 1000, NextMS: o.Wait.Milliseconds(),
	}}
	if o.Word != attempt.Delivered {
		document.Answer = string(o.Answer)
	}
	text, err := json.Marshal(document)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return ship.Record{Key: d.key, Value: text, Headers: []ship.Header{{Key: contentTypeHeader, Value: []byte("application/json")}}}
}
