package server

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"
	"unsafe"

	"github.com/dgraph-io/ristretto/v2"

	"waypost/mint/link"
)

// cache keeps opened links by token, for the few that many people follow.
//
// Most links belong to one person and are followed once, or a few times when a scanner was there first. Entering the cache takes as long as
// opening a link twelve times (memory of its own, ristretto's queue and policy), a hit saves two thirds of one opening, and a hit that has to
// come from main memory nothing. So a token enters at its sixteenth sight, and is not even looked for before. Rejected: entering at the
// second sight, which made every link that is clicked twice dearer than without a cache.
type cache struct {
	links *ristretto.Cache[uint64, *opened]

	// sights counts tokens that opened: at the place of a token's hash stand 27 other bits of it and the count. It is lossy: a token that
	// another one overwrote, or two goroutines noted at once, is counted too low, and opened once more, which is always right.
	sights [1 << 17]atomic.Uint32
}

const (
	keepAfter = 16 // sights
	countBits = 5  // counts from 1 to 2*keepAfter-1
	countMask = 1<<countBits - 1
	tagShift  = 64 - 32 + countBits
)

// entryOverhead is what ristretto takes for one entry besides ours: item, map slots, counters.
const entryOverhead = 160

func newCache(size int64) (*cache, error) {
	const usualEntry = 1024
	links, err := ristretto.NewCache(&ristretto.Config[uint64, *opened]{
		NumCounters:        max(10*size/usualEntry, 1000),
		MaxCost:            size,
		BufferItems:        64,
		IgnoreInternalCost: true, // counted in cost, with the rest
	})
	if err != nil {
		return nil, err
	}
	return &cache{links: links}, nil
}

var tokenSeed = maphash.MakeSeed()

// hashToken differs from process to process, so that nobody can make tokens of equal hash.
func hashToken(token []byte) uint64 { return maphash.Bytes(tokenSeed, token) }

// get gives the link of exactly this token, as these keys opened it, or nil: what other keys opened before a reload is dead.
func (c *cache) get(hash uint64, keys *link.Keyring, token []byte) *opened {
	o, ok := c.links.Get(hash)
	if !ok || o.keys != keys || !bytes.Equal(o.token, token) {
		return nil
	}
	return o
}

// hot says whether a token of this hash was seen often enough to be in the cache.
func (c *cache) hot(hash uint64) bool {
	word := c.sight(hash).Load()
	return word>>countBits == uint32(hash>>tagShift) && word&countMask >= keepAfter
}

// note counts a token that opened, and says when it shall enter the cache: at its sixteenth sight, and at each sixteenth again while it is
// not found there, because the cache has no room for everything that is hot.
func (c *cache) note(hash uint64) (enter bool) {
	place, tag, n := c.sight(hash), uint32(hash>>tagShift), uint32(1)
	if word := place.Load(); word>>countBits == tag {
		if n = word&countMask + 1; n == 2*keepAfter {
			n = keepAfter
		}
	}
	place.Store(tag<<countBits | n)
	return n == keepAfter
}

func (c *cache) sight(hash uint64) *atomic.Uint32 { return &c.sights[hash%uint64(len(c.sights))] }

// keep opens the token again, into memory of its own, and offers it to the cache.
func (c *cache) keep(hash uint64, token []byte, keys *link.Keyring) {
	o := &opened{token: bytes.Clone(token), keys: keys}
	if o.open(keys, token) != nil {
		return
	}
	c.links.Set(hash, o, o.cost())
}

// cost is what an entry takes in bytes: the token, the link's memory (no longer than three quarters of the token, unless a codec unfolds
// it: so its strings are counted), the ids' texts.
func (o *opened) cost() int64 {
	l := &o.link
	strings := len(l.Destination) + len(l.Original) + len(l.Recipient) + len(l.Stream) + len(l.Tag) + len(l.Metadata)
	return int64(unsafe.Sizeof(*o)) + entryOverhead + int64(2*len(o.token)+strings+cap(o.text)+cap(o.metadata)*int(unsafe.Sizeof([2]string{})))
}

func (c *cache) close() { c.links.Close() }
