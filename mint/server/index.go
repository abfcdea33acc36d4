package server

import (
	"bytes"
	"hash/maphash"
)

// index finds the entry with a given value: open addressing over the entries' own memory, so that it neither copies nor allocates once grown.
// A map would need a string of each value.
type index struct {
	seed  maphash.Seed
	slots []int32 // number of the entry + 1; 0 is free; a power of two of them, at most half full
}

const (
	fewSlots  = 64
	manySlots = 1 << 10 // more than this is not kept for the next request
)

func (x *index) reset() {
	if len(x.slots) == 0 || len(x.slots) > manySlots {
		*x = index{seed: maphash.MakeSeed(), slots: make([]int32, fewSlots)}
		return
	}
	clear(x.slots)
}

// find gives the number of the entry with value, or -1 and the hash to add it with.
func (x *index) find(entries []entry, value []byte) (int, uint64) {
	hash := maphash.Bytes(x.seed, value)
	for at := hash; ; at++ {
		n := x.slots[at&uint64(len(x.slots)-1)] - 1
		if n < 0 {
			return -1, hash
		}
		if entries[n].hash == hash && bytes.Equal(entries[n].value, value) {
			return int(n), hash
		}
	}
}

// add puts in the last of entries, which find did not find.
func (x *index) add(entries []entry) {
	if 2*len(entries) > len(x.slots) {
		x.slots = make([]int32, 2*len(x.slots))
		for n := range entries {
			x.put(entries[n].hash, int32(n+1))
		}
		return
	}
	x.put(entries[len(entries)-1].hash, int32(len(entries)))
}

func (x *index) put(hash uint64, n int32) {
	at := hash
	for x.slots[at&uint64(len(x.slots)-1)] != 0 {
		at++
	}
	x.slots[at&uint64(len(x.slots)-1)] = n
}
