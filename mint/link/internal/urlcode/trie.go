package urlcode

import "slices"

// trie is a double-array trie: from cell c, byte b leads to cell base+b if that cell's check is c.
type trie []cell

// cell is packed into one word: the lowest 22 bits are check, the number of the cell before, all ones where the cell is free; the next 22 are base; the others the token
// that ends here, End for none.
type cell uint64

const (
	cellBits = 22
	freeCell = 1<<cellBits - 1
	rootCell = freeCell - 1 // the root's check: nothing leads to it
)

func (c cell) check() uint32 { return uint32(c) & freeCell }
func (c cell) base() uint32  { return uint32(c>>cellBits) & freeCell }
func (c cell) token() uint32 { return uint32(c >> (2 * cellBits)) }

func (c *cell) setCheck(n uint32) { *c = *c&^freeCell | cell(n) }
func (c *cell) setBase(n uint32)  { *c = *c&^(freeCell<<cellBits) | cell(n)<<cellBits }
func (c *cell) setToken(n uint32) { *c = *c&(1<<(2*cellBits)-1) | cell(n)<<(2*cellBits) }

// newTrie holds fragments, which are sorted; the i-th is token first+i.
func newTrie(fragments []string, first int) trie {
	b := trieBuilder{free: 256} // no branch of the first cells could use a lower one
	b.reserve(256)
	b.cells[0].setCheck(rootCell)
	b.add(0, fragments, first, 0)
	b.reserve(256) // so that a step never leaves the array
	return b.cells
}

type trieBuilder struct {
	cells trie
	free  int // no free cell is before this
	wide  int // where the search for room for several branches begins
}

func (b *trieBuilder) reserve(more int) {
	if len(b.cells)+more > rootCell {
		panic("BUG: more fragments than a trie has room for")
	}
	for range more {
		b.cells = append(b.cells, freeCell)
	}
}

// add puts fragments, which all lead through cell at by their first depth bytes, below it.
func (b *trieBuilder) add(at int, fragments []string, first, depth int) {
	if len(fragments) > 0 && len(fragments[0]) == depth {
		b.cells[at].setToken(uint32(first))
		fragments, first = fragments[1:], first+1
	}
	if len(fragments) == 0 {
		return
	}
	var branches []byte
	for _, fragment := range fragments {
		if c := fragment[depth]; len(branches) == 0 || branches[len(branches)-1] != c {
			branches = append(branches, c)
		}
	}
	base := b.place(branches)
	b.cells[at].setBase(uint32(base))
	for _, c := range branches {
		b.cells[base+int(c)].setCheck(uint32(at))
	}
	for _, c := range branches {
		n := slices.IndexFunc(fragments, func(f string) bool { return f[depth] != c })
		if n < 0 {
			n = len(fragments)
		}
		b.add(base+int(c), fragments[:n], first, depth+1)
		fragments, first = fragments[n:], first+n
	}
}

// place finds a base at which all branches are free. A single branch takes the first free cell; several begin where the last search ended, as looking again through the
// holes before it would take most of the time.
func (b *trieBuilder) place(branches []byte) int {
	for b.free < len(b.cells) && b.cells[b.free].check() != freeCell {
		b.free++
	}
	base := max(0, b.free-int(branches[0]))
	if len(branches) > 1 {
		base = max(base, b.wide)
	}
	for ; ; base++ {
		if base+256 > len(b.cells) {
			b.reserve(len(b.cells))
		}
		if !slices.ContainsFunc(branches, func(c byte) bool { return b.cells[base+int(c)].check() != freeCell }) {
			break
		}
	}
	if len(branches) > 1 {
		b.wide = base
	}
	return base
}
