package ship

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"pgregory.net/rapid"
)

// decoded is a batch as kafka-go reads it, an implementation that shares nothing with ours.
type decoded struct {
	who      producer
	sequence int32
	keys     []string
	values   []string
	headers  []protocol.Header // of the last record with more than the content type
	offset   int64             // that the fake broker gave the first
}

// decode reads the wire form; kafka-go checks length and CRC.
func decode(wire []byte) (decoded, error) {
	var set protocol.RecordSet
	if _, err := set.ReadFrom(bytes.NewReader(wire)); err != nil {
		return decoded{}, err
	}
	var b *protocol.RecordBatch
	switch r := set.Records.(type) {
	case *protocol.RecordBatch:
		b = r
	case *protocol.RecordStream:
		if len(r.Records) != 1 {
			return decoded{}, fmt.Errorf("%d batches", len(r.Records))
		}
		b = r.Records[0].(*protocol.RecordBatch)
	default:
		return decoded{}, fmt.Errorf("%T", r)
	}
	d := decoded{who: producer{b.ProducerID, b.ProducerEpoch}, sequence: b.BaseSequence}
	for {
		record, err := b.ReadRecord()
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return d, err
		}
		key, err := protocol.ReadAll(record.Key)
		if err != nil {
			return d, err
		}
		value, err := protocol.ReadAll(record.Value)
		if err != nil {
			return d, err
		}
		if int(record.Offset) != len(d.keys) {
			return d, fmt.Errorf("record %d has offset %d", len(d.keys), record.Offset)
		}
		if h := record.Headers; len(h) == 0 || h[0].Key != "content-type" || string(h[0].Value) != ContentType {
			return d, fmt.Errorf("headers %v", h)
		}
		if h := record.Headers; len(h) > 1 {
			d.headers = h
		}
		d.keys, d.values = append(d.keys, string(key)), append(d.values, string(value))
	}
}

var compressions = []Compression{None, Snappy, LZ4, Zstd}

func mustCompressor(t interface{ Fatal(...any) }, c Compression) compressor {
	squeeze, err := newCompressor(c)
	if err != nil {
		t.Fatal(err)
	}
	return squeeze
}

func TestBatchesAreReadByAnotherImplementation(t *testing.T) {
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			squeeze := mustCompressor(t, c)
			b := &batch{} // one batch for all, as in life
			rapid.Check(t, func(t *rapid.T) {
				b.reset()
				var want decoded
				want.who = producer{rapid.Int64Range(0, math.MaxInt64).Draw(t, "id"), rapid.Int16Range(0, math.MaxInt16).Draw(t, "epoch")}
				want.sequence = rapid.Int32Range(0, math.MaxInt32).Draw(t, "sequence")
				for range rapid.IntRange(1, 300).Draw(t, "records") {
					key := rapid.StringN(0, 40, 80).Draw(t, "key")
					value := strings.Repeat(rapid.StringN(0, 20, 60).Draw(t, "value"), rapid.IntRange(1, 60).Draw(t, "times"))
					b.add([]byte(key), []byte(value))
					want.keys, want.values = append(want.keys, key), append(want.values, value)
				}
				b.seal(squeeze, want.who, want.sequence, time.UnixMilli(1_764_000_000_000))
				got, err := decode(b.wire)
				if err != nil {
					t.Fatal(err)
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("read %v, want %v", got, want)
				}
				first := bytes.Clone(b.wire)
				b.seal(squeeze, want.who, want.sequence, time.UnixMilli(1_764_000_000_000))
				if !bytes.Equal(first, b.wire) {
					t.Fatal("sealed again, the bytes differ")
				}
			})
		})
	}
}

// The header by hand, byte for byte, so that encoder and doc.go cannot drift together with a decoder.
func TestBatchHeader(t *testing.T) {
	b := &batch{}
	b.add([]byte("k"), []byte("v"))
	b.add(nil, []byte{})
	b.seal(mustCompressor(t, None), producer{0x0102030405060708, 0x0a0b}, 0x11121314, time.UnixMilli(0x0000019a_00000001))
	record := "\x00\x00\x00\x02k\x02v" + "\x02\x18content-type\x56application/cloudevents+json; charset=UTF-8"
	second := "\x00\x00\x02\x00\x00" + "\x02\x18content-type\x56application/cloudevents+json; charset=UTF-8"
	records := string(appendBytes(nil, []byte(record))) + string(appendBytes(nil, []byte(second)))
	length := byte(61 - 12 + len(records))
	h := b.wire[sizePrefix:]
	want := "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00" + string([]byte{length}) + "\xff\xff\xff\xff" + "\x02" + string(h[17:21]) + "\x00\x00" +
		"\x00\x00\x00\x01" + "\x00\x00\x01\x9a\x00\x00\x00\x01" + "\x00\x00\x01\x9a\x00\x00\x00\x01" +
		"\x01\x02\x03\x04\x05\x06\x07\x08" + "\x0a\x0b" + "\x11\x12\x13\x14" + "\x00\x00\x00\x02" + records
	if string(h) != want {
		t.Errorf("batch\n%x, want\n%x", h, want)
	}
	if int(b.wire[2])<<8|int(b.wire[3]) != len(h) {
		t.Errorf("the length in front is %x for %d bytes", b.wire[:4], len(h))
	}
}

func TestHalvesHoldTheSameRecords(t *testing.T) {
	for _, count := range []int{2, 3, 10} {
		b := &batch{partition: 4, after: 99}
		var want []string
		for i := range count {
			key := fmt.Sprint("key", i)
			b.add([]byte(key), bytes.Repeat([]byte{byte(i)}, i*100))
			want = append(want, key)
		}
		first, second, err := b.halves()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, half := range []*batch{first, second} {
			half.seal(mustCompressor(t, Snappy), producer{1, 0}, 0, time.Now())
			d, err := decode(half.wire)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, d.keys...)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || first.count == 0 || second.count == 0 {
			t.Errorf("halves of %d hold %v", count, got)
		}
	}
	broken := &batch{records: []byte{5, 0, 0}, count: 2}
	if _, _, err := broken.halves(); err != errRecords {
		t.Errorf("halves of garbage: %v", err)
	}
}

func TestSequencesWrap(t *testing.T) {
	for _, c := range []struct {
		from    int32
		records int
		want    int32
	}{{0, 1, 1}, {10, 5, 15}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 2, 0}, {math.MaxInt32, 3, 2}} {
		if got := nextSequence(c.from, c.records); got != c.want {
			t.Errorf("after %d records from %d comes %d, want %d", c.records, c.from, got, c.want)
		}
	}
}

func TestVarintSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Int64().Draw(t, "v")
		if got, want := varintSize(v), len(appendVarint(nil, v)); got != want {
			t.Fatalf("varintSize(%d) = %d, want %d", v, got, want)
		}
	})
}

func TestFillingAndSealingAllocateNothing(t *testing.T) {
	if raceBuild {
		t.Skip("the race detector allocates")
	}
	for _, c := range []Compression{None, Snappy, Zstd} {
		squeeze := mustCompressor(t, c)
		b := &batch{}
		key, value, now := []byte("1/123/456"), bytes.Repeat([]byte("0123456789"), 50), time.Now()
		fill := func() {
			b.reset()
			for range 500 {
				b.add(key, value)
			}
			b.seal(squeeze, producer{1, 0}, 7, now)
		}
		fill()
		if n := testing.AllocsPerRun(20, fill); n > 0 {
			t.Errorf("%s: %v allocations a batch", c, n)
		}
	}
}

func BenchmarkBatch(bench *testing.B) {
	for _, c := range compressions {
		bench.Run("compression="+string(c), func(bench *testing.B) {
			squeeze := mustCompressor(bench, c)
			b := &batch{}
			values := make([][]byte, 500)
			for i := range values {
				values[i] = fmt.Appendf(nil, `{"specversion":"1.0","id":"00000000deadbeef-%016d","source":"/waypost/edge","type":"email.clicked","time":"2026-11-23T18:14:10.%06dZ",`+
					`"data":{"tenant":1,"tenant_name":"demo","message":"%d","prospect":"%d","link":{"number":0,"place":"html","destination":"https://www.example.com/%x"},`+
					`"user_agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"}}`,
					i*90, i*7919%1000000, 4000000000+i, 100000000+i*104729%900000000, i*1299709)
			}
			key := []byte("1/4000000000/100000000")
			bench.ReportAllocs()
			for bench.Loop() {
				b.reset()
				for _, v := range values {
					b.add(key, v)
				}
				b.seal(squeeze, producer{1, 0}, 7, time.Time{})
			}
			bench.ReportMetric(float64(bench.Elapsed().Nanoseconds())/float64(bench.N)/500, "ns/event")
			bench.ReportMetric(float64(len(b.wire))/500, "bytes/event")
		})
	}
}
