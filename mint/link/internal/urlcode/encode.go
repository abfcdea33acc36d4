package urlcode

import "encoding/binary"

// Encoder writes streams of one model. It never changes and may be used by many goroutines at once, each with a Workspace of its own.
type Encoder struct {
	parser *Parser
	codes  [][]uint32 // by state, by token: the code, and its length above bit 24
}

// NewEncoder prepares m, which has been checked by ParseModel or Append.
func NewEncoder(m *Model) *Encoder {
	e := new(Encoder)
	var cost [][]uint16
	for _, lengths := range m.Lengths {
		row := make([]uint16, len(lengths))
		withLength := codes(lengths)
		for token, n := range lengths {
			withLength[token] |= uint32(n) << 24
			if row[token] = uint16(n); n == 0 || token == End || token == Next {
				row[token] = NoCode
			}
		}
		cost, e.codes = append(cost, row), append(e.codes, withLength)
	}
	e.parser = NewParser(m.Fragments, m.Class, cost, 1)
	return e
}

// Append appends the stream of strings, of which there is at least one, to dst.
func (e *Encoder) Append(dst []byte, w *Workspace, strings [][]byte, kinds []Kind) []byte {
	b := writer{out: dst}
	state := uint8(kinds[0])
	texts := 0
	for i, s := range strings {
		if i > 0 {
			b.code(e.codes[state][Next])
			state = uint8(kinds[i])
		}
		var steps []Step
		if kinds[i] == Text && texts < len(w.texts) {
			steps = e.textSteps(w, &w.texts[texts], s)
			texts++
		} else {
			steps, _ = e.parser.Parse(w, s, state)
		}
		for _, step := range steps {
			b.code(e.codes[state][step.Token])
			if step.Token < Specials {
				b.payload(int(step.Token), s[:step.Size])
			}
			state = e.parser.class[step.Token]
			s = s[step.Size:]
		}
	}
	return b.finish()
}

// text is the last of its place among a stream's texts, and how it was written. All links of a mail have the same, so that nine of ten need not be parsed.
type text struct {
	by    *Encoder
	bytes []byte
	steps []Step
}

// longText is not kept.
const longText = 256

func (e *Encoder) textSteps(w *Workspace, last *text, s []byte) []Step {
	if last.by == e && string(last.bytes) == string(s) {
		return last.steps
	}
	steps, _ := e.parser.Parse(w, s, uint8(Text))
	if len(s) > longText {
		return steps
	}
	last.by, last.bytes, last.steps = e, append(last.bytes[:0], s...), append(last.steps[:0], steps...)
	return last.steps
}

// Cost is one token of a stream, for showing where the bits go.
type Cost struct {
	Text []byte // what it stands for; empty for the limit between two strings
	Bits int
}

// Explain gives, for each of the strings, the tokens that Append writes for it, after the limit to the string before.
func (e *Encoder) Explain(strings [][]byte, kinds []Kind) [][]Cost {
	costs := make([][]Cost, len(strings))
	var w Workspace
	state := uint8(0)
	for i, s := range strings {
		if i > 0 {
			costs[i] = append(costs[i], Cost{nil, int(e.codes[state][Next] >> 24)})
		}
		state = uint8(kinds[i])
		steps, _ := e.parser.Parse(&w, s, state)
		for _, step := range steps {
			bits := int(e.codes[state][step.Token] >> 24)
			if step.Token < Specials {
				bits += payloadBits(int(step.Token), int(step.Size))
			}
			costs[i] = append(costs[i], Cost{s[:step.Size], bits})
			state = e.parser.class[step.Token]
			s = s[step.Size:]
		}
	}
	return costs
}

// writer collects bits, the highest first.
type writer struct {
	out  []byte
	bits uint64 // the last of them, from the top
	held uint
}

func (w *writer) code(code uint32) { w.put(code&(1<<24-1), uint(code>>24)) }

// put writes the low n bits of value, n up to 32.
func (w *writer) put(value uint32, n uint) {
	w.bits |= uint64(value) << (64 - w.held - n)
	w.held += n
	if w.held >= 32 {
		w.out = binary.BigEndian.AppendUint32(w.out, uint32(w.bits>>32))
		w.bits <<= 32
		w.held -= 32
	}
}

func (w *writer) finish() []byte {
	if fill := -w.held & 7; fill > 0 {
		w.put(1<<fill-1, fill)
	}
	for ; w.held > 0; w.held -= 8 {
		w.out = append(w.out, byte(w.bits>>56))
		w.bits <<= 8
	}
	return w.out
}

func (w *writer) payload(token int, s []byte) {
	switch token {
	case Byte:
		w.put(uint32(s[0]), 8)
	case HexLower, HexUpper:
		w.put(uint32(len(s)-minLetters), 5)
		for _, c := range s {
			w.put(uint32(hexValue[c]), 4)
		}
	case Base64:
		w.put(uint32(len(s)-minLetters), 5)
		for _, c := range s {
			w.put(uint32(letterValue[c]), 6)
		}
	case Digits:
		w.put(uint32(len(s)-minDigits), 4)
		for len(s) > 0 {
			width := min(3, len(s))
			value := uint32(0)
			for _, c := range s[:width] {
				value = value*10 + uint32(c-'0')
			}
			w.put(value, uint(digitBits[width]))
			s = s[width:]
		}
	case UUID:
		for i, c := range s {
			if i != 8 && i != 13 && i != 18 && i != 23 {
				w.put(uint32(hexValue[c]), 4)
			}
		}
	case Percent:
		w.put(uint32(len(s)/3-minPercent), 4)
		for ; len(s) > 0; s = s[3:] {
			w.put(uint32(hexValue[s[1]]<<4|hexValue[s[2]]), 8)
		}
	case Bytes:
		w.put(uint32(len(s)-minBytes), 5)
		for _, c := range s {
			w.put(uint32(c), 8)
		}
	}
}
