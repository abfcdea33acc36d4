package machines

import "math"

// none is where no rule is. Rules have the numbers of their places in the file.
const none = math.MaxUint16

// matched are the rules that match: the first of the file for clicks, and for opens.
type matched struct {
	click, open uint16
}

var nothing = matched{none, none}

// and keeps whichever rule stands first in the file.
func (m matched) and(o matched) matched { return matched{min(m.click, o.click), min(m.open, o.open)} }

// automaton finds which of many parts a text has, in one pass (Aho and Corasick). The texts are bytes in any case of ASCII letters.
type automaton struct {
	class [256]uint8 // of a byte; 0: in no part
	width int        // how many classes there are
	next  []uint32   // by state*width + class: the state; while walking, its place (state*width) and in the lowest bit whether something ends there
	found []matched  // by state: of all parts that end there
}

// part is a text to be found, and what it means.
type part struct {
	text  string
	rules matched
}

func newAutomaton(parts []part) *automaton {
	a := &automaton{width: 1}
	for _, p := range parts {
		for i := range len(p.text) {
			if c := lower(p.text[i]); a.class[c] == 0 {
				a.class[c] = uint8(a.width)
				a.width++
			}
		}
	}
	for c := byte('A'); c <= 'Z'; c++ {
		a.class[c] = a.class[lower(c)]
	}
	a.addState()
	for _, p := range parts {
		state := uint32(0)
		for i := range len(p.text) {
			place := int(state)*a.width + int(a.class[p.text[i]])
			if a.next[place] == 0 {
				to := a.addState()
				a.next[place] = to
			}
			state = a.next[place]
		}
		a.found[state] = a.found[state].and(p.rules)
	}
	a.link()
	for i, state := range a.next {
		a.next[i] = state * uint32(a.width) << 1
		if a.found[state] != nothing {
			a.next[i] |= 1
		}
	}
	return a
}

func (a *automaton) addState() uint32 {
	a.next = append(a.next, make([]uint32, a.width)...)
	a.found = append(a.found, nothing)
	return uint32(len(a.found) - 1)
}

// link fills in where each state goes on when its text does not: to the longest end of what was read that begins a part. In order of depth, so that the shorter ones are done before.
func (a *automaton) link() {
	shorter := make([]uint32, len(a.found)) // by state: the longest proper end of it that is a state
	queue := make([]uint32, 0, len(a.found))
	for class := range a.width {
		if to := a.next[class]; to != 0 {
			queue = append(queue, to)
		}
	}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		a.found[state] = a.found[state].and(a.found[shorter[state]])
		for class := range a.width {
			place, fallback := int(state)*a.width+class, a.next[int(shorter[state])*a.width+class]
			if to := a.next[place]; to != 0 {
				shorter[to] = fallback
				queue = append(queue, to)
			} else {
				a.next[place] = fallback
			}
		}
	}
}

// find gives the rules of all parts in the text.
func (a *automaton) find(text []byte) matched {
	step, m := uint32(0), nothing
	for _, c := range text {
		if step = a.next[step>>1+uint32(a.class[c])]; step&1 != 0 {
			m = m.and(a.found[step>>1/uint32(a.width)])
		}
	}
	return m
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
