package ingest

import "time"

// Record is one event as a source hands it over. Its slices are valid until the batch is reset.
type Record struct {
	Key      []byte // the Kafka key
	Document []byte // the CloudEvent's JSON
	Source   int    // whose it is: the source's place in the list

	// At is the log's own time of the record (Kafka's LogAppendTime), which moves the floor; zero where the log keeps none.
	At     time.Time
	Offset int64 // in its partition; 0 where the log is no topic
}

// Source hands over events in their order, each once: it drops what it has handed over before (the position rule), from what it stored
// with the batches and in its own memory. The journals of one machine are one implementation, a partition of a topic is the other: deciding
// knows neither.
//
// All methods are called from one goroutine, in this order: Fill, Positions, Stored.
type Source interface {
	// Name is the source's label in metrics and logs.
	Name() string
	// Fill adds what is there to b, at most room records and until b is full, and returns how many it took from its log (also those passed
	// over). It does not wait. Records added before an error stay in b.
	Fill(b *Batch, room int) (int, error)
	// Positions gives what is to be stored in one step with the batch so that a restart goes on behind it.
	Positions(put func(key, value []byte) error) error
	// Stored says that the batch and its positions are on disk.
	Stored() error
	// AtEnd says whether the last Fill read everything that was there.
	AtEnd() bool
	// Close gives up what the source holds open.
	Close() error
}

// fullBatch is how many bytes of records end a batch, however few they are: 5,000 of the longest events would be 320 MB, and as much again
// for each endpoint that they are due to.
const fullBatch = 16 << 20

// Batch collects records and the memory behind them.
type Batch struct {
	Records []Record
	memory  []byte
	bytes   int // of all records
	source  int
}

// Full says that nothing more should be added.
func (b *Batch) Full() bool { return b.bytes >= fullBatch }

// Add copies a record into the batch.
func (b *Batch) Add(key, document []byte) { b.AddAt(key, document, time.Time{}, 0) }

// AddAt copies a record of a topic into the batch, with the log's time and its offset.
func (b *Batch) AddAt(key, document []byte, at time.Time, offset int64) {
	need := len(key) + len(document)
	b.bytes += need
	if cap(b.memory)-len(b.memory) < need {
		// The older block stays alive through the records that point into it.
		b.memory = make([]byte, 0, max(2*cap(b.memory), need, 64<<10))
	}
	start := len(b.memory)
	b.memory = append(append(b.memory, key...), document...)
	middle, end := start+len(key), start+need
	b.Records = append(b.Records, Record{
		Key: b.memory[start:middle:middle], Document: b.memory[middle:end:end], Source: b.source, At: at, Offset: offset,
	})
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.Records)
	b.Records, b.memory, b.bytes = b.Records[:0], b.memory[:0], 0
}
