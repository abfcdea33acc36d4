package kafkalog

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go/compress"
)

// batchOf makes a record batch as brokers hand them out.
type batchOf struct {
	base, producer int64
	attributes     uint16
	records        int
}

var created, appended = time.UnixMilli(1_700_000_000_000).UTC(), time.UnixMilli(1_800_000_000_000).UTC()

func (b batchOf) bytes(t testing.TB) []byte {
	t.Helper()
	var body []byte
	for i := range b.records {
		record := binary.AppendVarint([]byte{0}, 5) // time delta
		record = binary.AppendVarint(record, int64(i))
		record = appendField(record, []byte("key"))
		record = appendField(record, []byte(strings.Repeat("v", i)))
		record = binary.AppendVarint(record, 1)
		record = appendField(appendField(record, []byte("name")), []byte{byte(i)})
		body = appendField(body, record)
	}
	if codec := b.attributes & 7; codec != 0 {
		var out bytes.Buffer
		w := compress.Compression(codec).Codec().NewWriter(&out)
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		body = out.Bytes()
	}
	h := make([]byte, batchHeader, batchHeader+len(body))
	binary.BigEndian.PutUint64(h, uint64(b.base))
	binary.BigEndian.PutUint32(h[8:], uint32(batchHeader-12+len(body)))
	h[16] = 2
	binary.BigEndian.PutUint16(h[21:], b.attributes)
	binary.BigEndian.PutUint32(h[23:], uint32(b.records-1))
	binary.BigEndian.PutUint64(h[27:], uint64(created.UnixMilli()))
	binary.BigEndian.PutUint64(h[35:], uint64(appended.UnixMilli()))
	binary.BigEndian.PutUint64(h[43:], uint64(b.producer))
	binary.BigEndian.PutUint32(h[57:], uint32(b.records))
	h = append(h, body...)
	binary.BigEndian.PutUint32(h[17:], crc32.Checksum(h[21:], castagnoli))
	return h
}

func appendField(dst, field []byte) []byte {
	return append(binary.AppendVarint(dst, int64(len(field))), field...)
}

func offsets(messages []Message) (all []int64) {
	for i := range messages {
		all = append(all, messages[i].Offset)
	}
	return all
}

func TestReadSet(t *testing.T) {
	whole := batchOf{base: 10, records: 3}.bytes(t)
	join := func(batches ...batchOf) (set []byte) {
		for _, b := range batches {
			set = append(set, b.bytes(t)...)
		}
		return set
	}
	for name, test := range map[string]struct {
		set    []byte
		from   int64
		gaveUp []aborted
		want   []int64
		next   int64
	}{
		"nothing":                   {nil, 7, nil, nil, 7},
		"whole":                     {whole, 10, nil, []int64{10, 11, 12}, 13},
		"from the middle":           {whole, 12, nil, []int64{12}, 13},
		"all before":                {whole, 20, nil, nil, 20},
		"cut":                       {append(bytes.Clone(whole), whole[:len(whole)-1]...), 10, nil, []int64{10, 11, 12}, 13},
		"cut in the header":         {whole[:40], 10, nil, nil, 10},
		"gzip, snappy, lz4, zstd":   {join(batchOf{1, 0, 1, 2}, batchOf{3, 0, 2, 2}, batchOf{5, 0, 3, 2}, batchOf{7, 0, 4, 2}), 0, nil, []int64{1, 2, 3, 4, 5, 6, 7, 8}, 9},
		"control":                   {join(batchOf{1, 0, controlBatch | transaction, 1}, batchOf{2, 0, 0, 1}), 0, nil, []int64{2}, 3},
		"only control":              {join(batchOf{1, 0, controlBatch, 1}), 0, nil, nil, 2},
		"committed":                 {join(batchOf{1, 9, transaction, 2}, batchOf{3, 9, controlBatch | transaction, 1}), 0, nil, []int64{1, 2}, 4},
		"aborted":                   {join(batchOf{1, 9, transaction, 2}, batchOf{3, 8, transaction, 1}, batchOf{4, 9, controlBatch | transaction, 1}, batchOf{5, 9, transaction, 1}), 0, []aborted{{9, 1}}, []int64{3, 5}, 6},
		"aborted, begun before":     {join(batchOf{10, 9, transaction, 2}), 0, []aborted{{9, 3}}, nil, 12},
		"aborted, not yet begun":    {join(batchOf{10, 9, transaction, 2}), 0, []aborted{{9, 11}}, []int64{10, 11}, 12},
		"not of a transaction":      {join(batchOf{10, 9, 0, 2}), 0, []aborted{{9, 1}}, []int64{10, 11}, 12},
		"a gap between two batches": {join(batchOf{1, 0, 0, 1}, batchOf{50, 0, 0, 1}), 0, nil, []int64{1, 50}, 51},
	} {
		t.Run(name, func(t *testing.T) {
			messages, next, err := readSet(nil, test.set, test.from, test.gaveUp)
			if diff := cmp.Diff(test.want, offsets(messages)); diff != "" || next != test.next || err != nil {
				t.Errorf("next %d, want %d; %v\n%s", next, test.next, err, diff)
			}
		})
	}
}

// The broker's time of a batch stands in its header; the records keep the producer's.
func TestTimeOfRecords(t *testing.T) {
	for attributes, want := range map[uint16]time.Time{0: created.Add(5 * time.Millisecond), appendTime: appended} {
		messages, _, err := readSet(nil, batchOf{records: 2, attributes: attributes}.bytes(t), 0, nil)
		if err != nil || len(messages) != 2 || !messages[1].At.Equal(want) {
			t.Errorf("%v, %v; want %s", messages, err, want)
		}
	}
	messages, _, _ := readSet(nil, batchOf{records: 3}.bytes(t), 2, nil)
	if m := messages[0]; string(m.Key) != "key" || string(m.Value) != "vv" || string(m.Header("name")) != "\x02" || m.Header("other") != nil {
		t.Errorf("%+v", m)
	}
}

func TestReadSetRefuses(t *testing.T) {
	damaged := batchOf{records: 2}.bytes(t)
	damaged[len(damaged)-1]++
	old := batchOf{records: 2}.bytes(t)
	old[16] = 1
	short := batchOf{records: 2}.bytes(t)
	binary.BigEndian.PutUint32(short[8:], 3)
	many := batchOf{records: 2}.bytes(t)
	binary.BigEndian.PutUint32(many[57:], 3)
	binary.BigEndian.PutUint32(many[17:], crc32.Checksum(many[21:], castagnoli))
	codec := batchOf{records: 2}.bytes(t)
	binary.BigEndian.PutUint16(codec[21:], 7)
	binary.BigEndian.PutUint32(codec[17:], crc32.Checksum(codec[21:], castagnoli))
	for name, test := range map[string]struct {
		set  []byte
		want error
	}{
		"damaged": {damaged, errChecksum}, "old format": {old, errMagic}, "length": {short, errBatch}, "count": {many, errBatch}, "codec": {codec, errCompression},
	} {
		if _, _, err := readSet(nil, test.set, 0, nil); err != test.want {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func FuzzReadSet(f *testing.F) {
	f.Add(batchOf{base: 1, records: 2}.bytes(f), true)
	f.Add(batchOf{base: 1, records: 2, attributes: 2}.bytes(f), true)
	f.Add(batchOf{base: 1, records: 1, attributes: controlBatch}.bytes(f), false)
	f.Fuzz(func(t *testing.T, set []byte, mend bool) {
		if mend && len(set) >= batchHeader {
			binary.BigEndian.PutUint32(set[8:], uint32(len(set)-12))
			binary.BigEndian.PutUint32(set[17:], crc32.Checksum(set[21:], castagnoli))
		}
		_, _, _ = readSet(nil, set, 0, nil)
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add(make([]byte, 60))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if a, err := parseAnswer(answer); err == nil && a.fault == 0 {
			_, _, _ = readSet(nil, a.records, 0, a.gaveUp)
		}
	})
}
