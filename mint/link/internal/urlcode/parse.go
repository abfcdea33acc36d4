package urlcode

import "slices"

// Parser finds the cheapest way to write a string as tokens. Costs are whatever the caller counts in: code lengths for the Encoder, estimated bits in finer units for who
// trains a model.
type Parser struct {
	trie   trie
	tokens int
	class  []uint8  // by token: the state after it
	cost   []uint16 // by state and token
	unit   uint32   // the cost of one bit of payload
}

// NoCode is the cost of a token that must not be used.
const NoCode = 1<<16 - 1

// NewParser takes fragments as in a Model, in any number; for each token its class; for each state, for each token a cost; and what a bit of payload costs.
func NewParser(fragments []string, class []uint8, cost [][]uint16, unit uint32) *Parser {
	p := &Parser{trie: newTrie(fragments, Specials), tokens: Specials + len(fragments), unit: unit}
	p.SetCosts(class, cost)
	return p
}

// SetCosts gives the same fragments other classes and costs.
func (p *Parser) SetCosts(class []uint8, cost [][]uint16) {
	p.class, p.cost = class, nil
	for _, row := range cost {
		p.cost = append(p.cost, row...)
	}
}

// Step is one token of a parse and how many bytes it covers.
type Step struct {
	Token int32
	Size  int32
}

// node is the cheapest known way to a place in the string, in one word: its cost above bit 32, then the token of its last step, and below bit 8 how many bytes that
// covers. Most of the time of minting a link goes into them.
type node uint64

func newNode(cost uint32, token, size int) node {
	return node(uint64(cost)<<32 | uint64(token)<<8 | uint64(size))
}

func (n node) cost() uint32 { return uint32(n >> 32) }
func (n node) token() int   { return int(uint32(n) >> 8) }
func (n node) size() int    { return int(n & 0xFF) }

// unreached is no way: every one costs less.
const unreached = node(1<<64 - 1)

// Workspace is a parse's memory; one for each goroutine.
type Workspace struct {
	nodes []node
	steps []Step
	texts [4]text // of the Encoder's last stream
}

// Parse gives the cheapest steps of s from a state on, and their cost. They are valid until w is used again.
//
// It goes forward once, keeping one way for each place, and not one for each place and state: that would win 0.3 % for 60 % more time.
func (p *Parser) Parse(w *Workspace, s []byte, state uint8) (steps []Step, cost uint32) {
	w.reset(len(s))
	nodes := w.nodes
	nodes[0] = 0
	base64End := 0
	for i := range s {
		if i > 0 {
			state = p.class[nodes[i].token()]
		}
		row := p.cost[int(state)*p.tokens:][:p.tokens]
		p.fragmentsAt(nodes[i:], s[i:], row)
		class := charClass[s[i]]
		if class&isBase64 != 0 {
			if base64End <= i {
				base64End = i + runLength(s[i:], isBase64, len(s))
			}
			if n := min(base64End-i, maxLetters); n >= minLetters {
				p.offer(nodes, i, Base64, n, row)
			}
		}
		if class&isPrintable == 0 || s[i] == '%' || class&(isLower|isUpper) != 0 {
			p.runsAt(nodes, s, i, row)
		}
	}
	return w.back(len(s))
}

func (w *Workspace) reset(n int) {
	if cap(w.nodes) <= n {
		w.nodes = make([]node, max(2*n, 256))
	}
	w.nodes = w.nodes[:n+1]
	for rest := w.nodes; len(rest) > 0; {
		rest = rest[copy(rest, allUnreached[:]):]
	}
}

// allUnreached is copied, as that is faster than to fill word by word.
var allUnreached = [128]node(slices.Repeat([]node{unreached}, 128))

// back reads the steps from the end.
func (w *Workspace) back(end int) (steps []Step, cost uint32) {
	w.steps = w.steps[:0]
	for i := end; i > 0; i -= w.nodes[i].size() {
		w.steps = append(w.steps, Step{int32(w.nodes[i].token()), int32(w.nodes[i].size())})
	}
	for i, j := 0, len(w.steps)-1; i < j; i, j = i+1, j-1 {
		w.steps[i], w.steps[j] = w.steps[j], w.steps[i]
	}
	return w.steps, w.nodes[end].cost()
}

// fragmentsAt relaxes every fragment that s begins with; nodes begins at the same place. Of two ways that cost the same the first one found stays.
func (p *Parser) fragmentsAt(nodes []node, s []byte, row []uint16) {
	cells := p.trie
	cost := nodes[0] >> 32 << 32
	nodes = nodes[1:]
	at, base := uint32(0), cells[0].base()
	for n, c := range s[:min(len(s), len(nodes), MaxFragment)] {
		next := base + uint32(c)
		to := cells[next]
		if to.check() != at {
			return
		}
		at, base = next, to.base()
		token := to.token()
		if token == End {
			continue
		}
		price := row[token]
		if way := cost + node(price)<<32; way < nodes[n]>>32<<32 && price != NoCode {
			nodes[n] = way | node(token)<<8 | node(n+1)
		}
	}
}

// runsAt relaxes the specials at i but base64, each as long as it goes. Digit and hex runs are offered only where one begins, or goes on behind what one
// token can hold: further inside they never pay.
func (p *Parser) runsAt(nodes []node, s []byte, i int, row []uint16) {
	rest := s[i:]
	class := charClass[s[i]]
	switch {
	case class&isPrintable == 0:
		p.offer(nodes, i, Byte, 1, row)
		if n := otherLength(rest, maxBytes); n >= minBytes {
			p.offer(nodes, i, Bytes, n, row)
		}
		return
	case s[i] == '%':
		if n := percentLength(rest); n >= minPercent {
			p.offer(nodes, i, Percent, 3*n, row)
		}
		return
	}
	begins := class
	if i > 0 {
		begins &^= charClass[s[i-1]]
	}
	last := nodes[i].token()
	if class&isDigit != 0 && (begins&isDigit != 0 || last == Digits) {
		if n := runLength(rest, isDigit, maxDigits); n >= minDigits {
			p.offer(nodes, i, Digits, n, row)
		}
	}
	if class&isLower != 0 && (begins&isLower != 0 || last == HexLower) {
		if n := runLength(rest, isLower, maxLetters); n >= minLetters {
			p.offer(nodes, i, HexLower, n, row)
		}
		if startsWithUUID(rest) {
			p.offer(nodes, i, UUID, uuidLen, row)
		}
	}
	if class&isUpper != 0 && (begins&isUpper != 0 || last == HexUpper) {
		if n := runLength(rest, isUpper, maxLetters); n >= minLetters {
			p.offer(nodes, i, HexUpper, n, row)
		}
	}
}

func (p *Parser) offer(nodes []node, i, token, n int, row []uint16) {
	if row[token] == NoCode {
		return
	}
	total := nodes[i].cost() + uint32(row[token]) + p.unit*uint32(payloadBits(token, n))
	if total < nodes[i+n].cost() {
		nodes[i+n] = newNode(total, token, n)
	}
}

// CostWithout is what s costs from state 0 if a token cannot be used. For training only: it must not run beside other uses of p.
func (p *Parser) CostWithout(w *Workspace, s []byte, token int) uint32 {
	kept := p.cost[token]
	p.cost[token] = NoCode
	_, cost := p.Parse(w, s, 0)
	p.cost[token] = kept
	return cost
}
