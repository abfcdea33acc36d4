package machines

import (
	"hash/maphash"
	"sync/atomic"
)

// seen remembers what was found for user agents that come often. Each place is one word, so that readers and writers need no lock: whoever loses a race has one more agent to look at.
type seen struct {
	seed   maphash.Seed
	places [1 << 12]atomic.Uint64
}

// A word, from its low bits: the rule for an open and for a click, both plus one with 0 for none; the credit; bits of the hash. 0 is an empty place.
const (
	ruleBits   = 10
	ruleMask   = 1<<ruleBits - 1
	creditAt   = 2 * ruleBits
	creditBits = 4
	mostCredit = 1<<creditBits - 1
	hashAt     = creditAt + creditBits // 40 bits of the hash above, and 12 more in the place: one in 2^52 is taken for another

	// One of so many strangers takes credit away.
	strangers = 16
)

func newSeen() *seen { return &seen{seed: maphash.MakeSeed()} }

// get gives what was found for the agent, if it is remembered.
func (s *seen) get(agent []byte) (m matched, hash uint64, ok bool) {
	hash = maphash.Bytes(s.seed, agent)
	place := &s.places[hash%uint64(len(s.places))]
	word := place.Load()
	if word == 0 || word>>hashAt != hash>>hashAt {
		return nothing, hash, false
	}
	if word>>creditAt&mostCredit < mostCredit {
		place.CompareAndSwap(word, word+1<<creditAt)
	}
	return matched{rule(word >> ruleBits), rule(word)}, hash, true
}

// keep remembers what was found for an agent of this hash, if the place has room for it or another one has lost it.
func (s *seen) keep(hash uint64, m matched) {
	place := &s.places[hash%uint64(len(s.places))]
	word := place.Load()
	switch {
	case word>>creditAt&mostCredit == 0: // empty, or without credit
		place.Store(hash>>hashAt<<hashAt | 1<<creditAt | number(m.click)<<ruleBits | number(m.open))
	case hash/uint64(len(s.places))%strangers == 0:
		place.CompareAndSwap(word, word-1<<creditAt)
	}
}

func rule(bits uint64) uint16 { return uint16(bits&ruleMask) - 1 } // 0 is none

func number(rule uint16) uint64 { return uint64(rule + 1) }
