package topic

import "sync"

// longestSpan is how many records may stand between the position and what is read: beyond it the reader waits. One attempt that takes as long as it may is what holds
// a position back, so it is reached only with thousands of records a second.
const longestSpan = 100_000

// tracker knows which records of one partition are finished. The position is the offset of the first that is not.
type tracker struct {
	topic string

	mu       sync.Mutex
	entries  []*entry // begun and not passed, by offset
	read     int64    // behind what was begun
	position int64
	source   int64    // highest source offset below position: the readers' rule goes on from it. -1: none; always, but for unique
	end      int64    // of the partition when it was last fetched
	before   standing // what an earlier generation left; written by the reader only
}

// entry is a record that is under way.
type entry struct {
	t      *tracker
	offset int64
	source int64
	open   int // deliveries that have not ended
}

func newTracker(topic string, from standing) *tracker {
	return &tracker{topic: topic, read: from.position, position: from.position, source: from.source, before: from}
}

// finished says that an earlier generation has finished the record. Only the reader asks.
func (t *tracker) finished(offset int64) bool { return t.before.finished(offset) }

// begin takes up a record with so many deliveries, each of which must be ended once.
func (t *tracker) begin(offset, source int64, deliveries int) *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := &entry{t: t, offset: offset, source: source, open: deliveries}
	t.entries = append(t.entries, e)
	t.read = offset + 1
	t.advanceLocked()
	return e
}

// reached says that everything below next was begun, or is none of ours, and where the partition ends.
func (t *tracker) reached(next, end int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read, t.end = max(t.read, next), end
	t.advanceLocked()
}

// restart goes on at offset, with nothing known of what was read: the topic is another one.
func (t *tracker) restart(offset int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries, t.read, t.position, t.source = nil, offset, offset, -1
	t.before = standing{position: offset, source: -1, upto: offset}
}

// ended says that one delivery of the record has ended.
func (e *entry) ended() {
	e.t.mu.Lock()
	defer e.t.mu.Unlock()
	e.open--
	if e.open < 0 {
		panic("BUG: a delivery ended twice")
	}
	e.t.advanceLocked()
}

func (t *tracker) advanceLocked() {
	n := 0
	for n < len(t.entries) && t.entries[n].open == 0 {
		t.source = max(t.source, t.entries[n].source)
		n++
	}
	clear(t.entries[:n])
	t.entries = t.entries[n:]
	t.position = t.read
	if len(t.entries) > 0 {
		t.position = t.entries[0].offset
	}
}

// place gives what is to be committed.
func (t *tracker) place() standing {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := standing{position: t.position, source: t.source, upto: t.position}
	if len(t.entries) == 0 && t.read >= t.before.upto {
		return s
	}
	s.upto = max(t.read, t.before.upto)
	for _, e := range t.entries {
		if e.open > 0 {
			s.add(e.offset, e.offset+1)
		}
	}
	for _, o := range t.before.open { // what is not read again yet
		if begin := max(o.begin, t.read); begin < o.end {
			s.add(begin, o.end)
		}
	}
	return s
}

// behind is how many records of the partition are not finished.
func (t *tracker) behind() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(t.end-t.position, 0)
}

// full says that the reader has to wait.
func (t *tracker) full() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries) >= longestSpan
}
