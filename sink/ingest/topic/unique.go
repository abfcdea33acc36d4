package topic

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strconv"

	"waypost/edge/ship"
	"waypost/sink/ingest"
	"waypost/sink/internal/kafkalog"
)

// Names of a unique record's headers.
const (
	contentTypeHeader  = "content-type"
	sourceOffsetHeader = "source-offset"
	firstHeader        = "first"
	floorsHeader       = "floors"
)

var contentType = []byte("application/cloudevents+json; charset=UTF-8")

// What a unique event was the first of.
var (
	firstAny    = []byte("any")
	firstPerson = []byte("person")
	firstBoth   = []byte("any,person")
)

// firsts makes the records of unique for those of a batch that are firsts. floors holds what moved since the last record; it is emptied into the next.
func firsts(dst []ship.Record, records []ingest.Record, decisions []ingest.Decision, floors map[uint32]uint16) []ship.Record {
	for i := range decisions {
		d := &decisions[i]
		if d.FloorMoved {
			floors[d.Tenant] = d.Floor
		}
		if !d.FirstAny && !d.FirstPerson {
			continue
		}
		first := firstBoth
		switch {
		case !d.FirstPerson:
			first = firstAny
		case !d.FirstAny:
			first = firstPerson
		}
		headers := []ship.Header{
			{Key: contentTypeHeader, Value: contentType},
			{Key: sourceOffsetHeader, Value: strconv.AppendInt(nil, records[i].Offset, 10)},
			{Key: firstHeader, Value: first},
		}
		if len(floors) > 0 {
			headers = append(headers, ship.Header{Key: floorsHeader, Value: appendFloors(nil, floors)})
			clear(floors)
		}
		dst = append(dst, ship.Record{Key: records[i].Key, Value: records[i].Document, Headers: headers})
	}
	return dst
}

func appendFloors(dst []byte, floors map[uint32]uint16) []byte {
	for i, tenant := range slices.SortedFunc(maps.Keys(floors), cmp.Compare) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(strconv.AppendUint(dst, uint64(tenant), 10), '=')
		dst = strconv.AppendUint(dst, uint64(floors[tenant]), 10)
	}
	return dst
}

// First is what a record of unique says of its event.
type First struct {
	Any, Person bool  // the first of any client; of a person
	Source      int64 // the event's offset in the same partition of the events' topic: the readers' rule drops what is not greater than the last one seen
}

// ReadFirst reads the headers of a record of unique; false when it is none that a sink wrote.
func ReadFirst(m *kafkalog.Message) (First, bool) {
	told, source, ok := readUnique(m)
	return First{Any: told.Any, Person: told.Person, Source: source}, ok
}

// readUnique reads a record of unique; false when it is none of ours.
func readUnique(m *kafkalog.Message) (told ingest.Told, source int64, ok bool) {
	source, err := strconv.ParseInt(string(m.Header(sourceOffsetHeader)), 10, 64)
	if err != nil || source < 0 {
		return told, 0, false
	}
	switch first := m.Header(firstHeader); {
	case bytes.Equal(first, firstBoth):
		told.Any, told.Person = true, true
	case bytes.Equal(first, firstAny):
		told.Any = true
	case bytes.Equal(first, firstPerson):
		told.Person = true
	default:
		return told, 0, false
	}
	if told.Floors, ok = parseFloors(m.Header(floorsHeader)); !ok {
		return told, 0, false
	}
	told.Record = ingest.Record{Key: m.Key, Document: m.Value, Offset: source}
	return told, source, true
}

func parseFloors(text []byte) ([]ingest.Floor, bool) {
	if len(text) == 0 {
		return nil, true
	}
	var floors []ingest.Floor
	for pair := range bytes.SplitSeq(text, []byte(",")) {
		tenant, day, ok := bytes.Cut(pair, []byte("="))
		if !ok {
			return nil, false
		}
		number, err := strconv.ParseUint(string(tenant), 10, 32)
		if err != nil {
			return nil, false
		}
		lowest, err := strconv.ParseUint(string(day), 10, 16)
		if err != nil {
			return nil, false
		}
		floors = append(floors, ingest.Floor{Tenant: uint32(number), Day: uint16(lowest)})
	}
	return floors, true
}
