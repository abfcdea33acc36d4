package ship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"pgregory.net/rapid"

	"waypost/edge/event"
)

var quick = pauses{first: time.Microsecond, last: 50 * time.Microsecond, stuck: 50 * time.Microsecond}

func newTestProducer(t interface{ Fatal(...any) }, f *fakeBroker, o ProducerOptions) *Producer {
	o.Topic, o.broker, o.pauses = "unique", f, quick
	p, err := NewProducer(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func numbered(sequence int) Record {
	id := event.ID{Run: 7, Sequence: uint64(sequence)}.String()
	return Record{Key: []byte("key"), Value: []byte(id), Headers: []Header{{"content-type", []byte(ContentType)}, {"source-offset", strconv.AppendInt(nil, int64(sequence), 10)}}}
}

// Whatever fails on the way, each record that Produce has answered for is in the topic, in order, and a repetition is one that the readers' rule drops.
func TestProducerLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const partitions = 3
		f := newFakeBroker(partitions, rapid.Uint64().Draw(t, "seed"))
		f.faults = rapid.Float64Range(0, 0.6).Draw(t, "faults")
		f.largest = rapid.SampledFrom([]int{0, 700}).Draw(t, "largest")
		var mu sync.Mutex
		retries := 0
		p := newTestProducer(t, f, ProducerOptions{BatchBytes: 1 << 10, Compression: None, OnRetry: func(int, string, error) { mu.Lock(); retries++; mu.Unlock() }})
		sizes := rapid.SliceOfN(rapid.IntRange(0, 20), 1, 20).Draw(t, "sizes")
		var running sync.WaitGroup
		for partition := range partitions {
			running.Go(func() {
				sequence := 0
				for _, size := range sizes {
					var records []Record
					for range size {
						sequence++
						records = append(records, numbered(sequence))
					}
					if _, err := p.Produce(context.Background(), partition, records); err != nil {
						t.Errorf("partition %d: %v", partition, err)
					}
				}
			})
		}
		running.Wait()
		var want []string
		for _, size := range sizes {
			for range size {
				want = append(want, string(numbered(len(want)+1).Value))
			}
		}
		logs, _ := f.read()
		for partition, got := range logs {
			if !slices.Equal(got, want) {
				t.Errorf("partition %d: %d records, want %d", partition, len(got), len(want))
			}
		}
		if len(f.violations) > 0 {
			t.Errorf("%q", f.violations)
		}
	})
}

func TestProducerTellsOffsets(t *testing.T) {
	f := newFakeBroker(1, 1)
	p := newTestProducer(t, f, ProducerOptions{BatchBytes: 1 << 10})
	for i, c := range []struct{ records, next int }{{1, 1}, {30, 31}, {3, 34}} {
		next, err := p.Produce(t.Context(), 0, slices.Repeat([]Record{numbered(i + 1)}, c.records))
		if err != nil || next != int64(c.next) {
			t.Errorf("%d records: next %d, %v; want %d", c.records, next, err, c.next)
		}
	}
	if next, err := p.Produce(t.Context(), 0, nil); err != nil || next != UnknownOffset {
		t.Errorf("no record: %d, %v", next, err)
	}
	last := f.logs[0][len(f.logs[0])-1]
	if h := last.headers; len(h) != 2 || h[1].Key != "source-offset" || string(h[1].Value) != "3" {
		t.Errorf("headers %v", h)
	}
}

// After a call whose outcome is unknown, other records must not stand under its sequence: the leader would take them for a repetition and drop them.
func TestProducerBeginsAnewAfterACancelledCall(t *testing.T) {
	f := newFakeBroker(2, 1)
	p := newTestProducer(t, f, ProducerOptions{})
	for partition := range 2 {
		if _, err := p.Produce(t.Context(), partition, []Record{numbered(1)}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	lost := &lostAnswer{fakeBroker: f, cancel: cancel}
	p.broker = lost
	if _, err := p.Produce(ctx, 0, []Record{numbered(2)}); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	p.broker = f
	for partition, sequence := range []int{3, 2} {
		if _, err := p.Produce(t.Context(), partition, []Record{numbered(sequence)}); err != nil {
			t.Fatal(err)
		}
	}
	logs, repeated := f.read()
	if len(logs[0]) != 3 || len(logs[1]) != 2 || repeated != 0 || len(f.violations) > 0 {
		t.Errorf("%v, %d repeated, %q", logs, repeated, f.violations)
	}
	if a, b := f.logs[1][0].who, f.logs[1][1].who; a != b {
		t.Errorf("the other partition's producer changed from %v to %v", a, b)
	}
}

// lostAnswer stores a batch, and the caller gives up before the answer comes.
type lostAnswer struct {
	*fakeBroker
	cancel context.CancelFunc
}

func (l *lostAnswer) produce(ctx context.Context, p int, wire []byte) (int64, error) {
	_, _ = l.fakeBroker.produce(ctx, p, wire)
	l.cancel()
	return 0, ctx.Err()
}

func TestProducerNamesARecordThatIsRefused(t *testing.T) {
	f := newFakeBroker(1, 1)
	f.poison = numberedText(5)
	p := newTestProducer(t, f, ProducerOptions{})
	var records []Record
	for i := range 8 {
		records = append(records, numbered(i+1))
	}
	_, err := p.Produce(t.Context(), 0, records)
	if !errors.Is(err, ErrRefused) || !errors.Is(err, kafka.InvalidRecord) {
		t.Errorf("%v", err)
	}
	if logs, _ := f.read(); len(logs[0]) != 4 {
		t.Errorf("%d records before it taken, want 4", len(logs[0]))
	}
	if _, err := p.Produce(t.Context(), 0, records[5:]); err != nil {
		t.Error(err)
	}
}

func numberedText(sequence int) string { return fmt.Sprintf("%016d", sequence) }

// A null value is not an empty one: in a compacted topic it deletes.
func TestNullsStayNull(t *testing.T) {
	for _, c := range []struct{ key, value []byte }{{nil, nil}, {[]byte{}, []byte{}}, {[]byte("k"), nil}} {
		b := batch{count: 1}
		b.records = appendRecord(nil, 0, c.key, c.value, appendHeaders(nil, []Header{{"content-type", []byte(ContentType)}, {"null", nil}}))
		b.seal(mustCompressor(t, None), producer{1, 0}, 0, time.Now())
		var set protocol.RecordSet
		if _, err := set.ReadFrom(bytes.NewReader(b.wire)); err != nil {
			t.Fatal(err)
		}
		record, err := set.Records.ReadRecord()
		if err != nil {
			t.Fatal(err)
		}
		if (record.Key == nil) != (c.key == nil) || (record.Value == nil) != (c.value == nil) || record.Headers[1].Value != nil {
			t.Errorf("%q %q: %v", c.key, c.value, record)
		}
	}
}

func TestProducerOptions(t *testing.T) {
	brokers := Connection{Brokers: []string{"127.0.0.1:1"}, Topic: "unique"}
	for name, o := range map[string]ProducerOptions{
		"no topic":    {Connection: Connection{Brokers: brokers.Brokers}},
		"no brokers":  {Connection: Connection{Topic: "unique"}},
		"compression": {Connection: brokers, Compression: "gzip"},
		"batch bytes": {Connection: brokers, BatchBytes: 1},
	} {
		if _, err := NewProducer(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	p, err := NewProducer(ProducerOptions{Connection: Connection{Client: &kafka.Client{}, Topic: "unique"}})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}
