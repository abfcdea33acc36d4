package urlcode

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/bits"
)

// ErrStream is the refusal of a stream that no encoder writes, or that says more than it may.
var ErrStream = errors.New("urlcode: stream not readable")

const (
	firstBits = 11 // 10 are slower, 12 no faster

	// Slack is how many bytes the memory of a stream should have behind it: the reader loads eight at once. They may hold anything.
	Slack = 8

	// room is how many bytes of output must be free before a token: the longest, 17 percent triples, and what a fragment's copy overshoots.
	room = 64
)

// An entry of a first-level table is everything about the token whose code the bits begin with. An entry of zero is a longer code.
//
//	bits 0-4 length of the code, 5-9 bytes of the fragment (0 for a special), 10-14 the state that follows, 15-26 the token
type entry uint32

func newEntry(token int, code, fragment, class uint8) entry {
	return entry(code) | entry(fragment)<<5 | entry(class)<<10 | entry(token)<<15
}

func (e entry) code() int     { return int(e & 31) }
func (e entry) fragment() int { return int(e >> 5 & 31) }
func (e entry) class() uint32 { return uint32(e >> 10 & 31) }
func (e entry) token() uint32 { return uint32(e>>15) & (MaxTokens - 1) }

// Decoder reads streams of one model. It never changes and may be used by many goroutines at once.
type Decoder struct {
	first     []entry // 2^firstBits for each state
	long      []long  // by state
	fragments [MaxTokens][MaxFragment]byte
}

// long is a state's codes of more than firstBits bits. For each length: where its codes end, left-aligned to MaxCode bits (0 where there are none), and
// what to add to a code for its entry.
type long struct {
	end     [MaxCode + 1]uint32
	offset  [MaxCode + 1]int32
	entries []entry
}

// NewDecoder prepares m, which has been checked by ParseModel or Append.
func NewDecoder(m *Model) *Decoder {
	d := &Decoder{first: make([]entry, m.States<<firstBits), long: make([]long, m.States)}
	sizes := make([]uint8, m.Tokens())
	for i, fragment := range m.Fragments {
		copy(d.fragments[Specials+i][:], fragment)
		sizes[Specials+i] = uint8(len(fragment))
	}
	for state, lengths := range m.Lengths {
		d.addState(state, lengths, sizes, m.Class)
	}
	return d
}

func (d *Decoder) addState(state int, lengths, sizes, class []uint8) {
	table := d.first[state<<firstBits : (state+1)<<firstBits]
	l := &d.long[state]
	byToken := codes(lengths)
	for _, token := range order(lengths) {
		n, code := lengths[token], byToken[token]
		e := newEntry(token, n, sizes[token], class[token])
		if n <= firstBits {
			from := code << (firstBits - n)
			for i := range uint32(1) << (firstBits - n) {
				table[from+i] = e
			}
			continue
		}
		if l.end[n] == 0 {
			l.offset[n] = int32(len(l.entries)) - int32(code)
		}
		l.entries = append(l.entries, e)
		l.end[n] = (code + 1) << (MaxCode - n)
	}
}

// find finds the entry of a code longer than firstBits. Codes are complete, so there is one.
func (l *long) find(window uint64) entry {
	top := uint32(window >> (64 - MaxCode))
	for n := firstBits + 1; n < MaxCode; n++ {
		if top < l.end[n] {
			return l.entries[int32(top>>(MaxCode-n))+l.offset[n]]
		}
	}
	return l.entries[int32(top)+l.offset[MaxCode]]
}

// reader is the bits of a stream.
type reader struct {
	data   []byte // with Slack bytes behind the stream
	at     int    // next byte to load
	window uint64 // the next bits, from the top
	held   uint   // how many of them are valid
	left   int    // bits of the stream that are not taken; under zero, too many were
}

// refill makes at least 56 bits valid.
func (r *reader) refill() {
	r.at = min(r.at, len(r.data)-Slack) // past the stream all bits are void, whatever they are
	r.window |= binary.BigEndian.Uint64(r.data[r.at:]) >> (r.held & 63)
	r.at += int((63 - r.held) >> 3)
	r.held |= 56
}

func (r *reader) skip(n int) {
	r.window <<= uint(n) & 63
	r.held -= uint(n)
	r.left -= n
}

// take takes up to 32 bits.
func (r *reader) take(n int) uint32 {
	r.refill()
	value := uint32(r.window >> (64 - uint(n)))
	r.skip(n)
	return value
}

// atEnd: fewer than eight bits are left, all of them ones.
func (r *reader) atEnd() bool {
	return r.left < 8 && bits.LeadingZeros64(^r.window|1<<63>>uint(r.left)) == r.left
}

// Decode reads one string for each kind out of stream and appends them to dst, one behind the other; ends[i] becomes where in dst the i-th ends. It never makes dst
// longer than limit. Any error is ErrStream. It allocates nothing if dst has room for what it decodes and 64 bytes more, and stream's memory reaches Slack bytes
// further than its length.
func (d *Decoder) Decode(dst []byte, ends []int, stream []byte, kinds []Kind, limit int) ([]byte, error) {
	if cap(stream)-len(stream) < Slack {
		stream = append(make([]byte, 0, len(stream)+Slack), stream...)
	}
	r := reader{data: stream[:len(stream)+Slack], left: 8 * len(stream)}
	out := dst[:cap(dst)]
	o := len(dst)
	done := 0
	state := uint32(kinds[0])
	for {
		if o+room > len(out) {
			if o > limit {
				return dst, ErrStream
			}
			out = grow(out, o)
		}
		o, state = d.fragmentRun(&r, out, o, state)
		if r.left < MaxCode {
			if r.left < 0 {
				return dst, ErrStream
			}
			if r.atEnd() {
				break
			}
		}
		e := d.first[state<<firstBits|uint32(r.window>>(64-firstBits))]
		if e == 0 {
			e = d.long[state].find(r.window)
		}
		r.skip(e.code())
		state = e.class()
		switch token := e.token(); {
		case token >= Specials:
			*(*[MaxFragment]byte)(out[o:]) = d.fragments[token]
			o += e.fragment()
		case token == Next:
			ends[done] = o
			if done++; done == len(kinds) {
				return dst, ErrStream
			}
			state = uint32(kinds[done])
		default:
			n := r.special(out[o:], token)
			if n < 0 {
				return dst, ErrStream
			}
			o += n
		}
	}
	if o > limit || done != len(kinds)-1 {
		return dst, ErrStream
	}
	ends[done] = o
	return out[:o], nil
}

// perRefill is how many codes are read between two refills, which make at least 56 bits valid.
const perRefill = 3

// fragmentRun reads fragments as long as nothing has to be looked at but the codes: until a special comes, the stream nears its end or out is nearly full. It leaves r
// with at least MaxCode bits. This loop is where the time of an opened link goes, so the reader's fields stay in registers.
func (d *Decoder) fragmentRun(r *reader, out []byte, o int, state uint32) (int, uint32) {
	data, at, window, held, left := r.data, r.at, r.window, r.held, r.left
run:
	for {
		at = min(at, len(data)-Slack) // past the stream all bits are void, whatever they are
		window |= binary.BigEndian.Uint64(data[at:]) >> (held & 63)
		at += int((63 - held) >> 3)
		held |= 56
		if left < perRefill*MaxCode || o+perRefill*MaxFragment+room > len(out) { // the caller's next token wants its room too
			break
		}
		for range perRefill {
			e := d.first[state<<firstBits|uint32(window>>(64-firstBits))]
			if e == 0 {
				e = d.long[state].find(window)
			}
			size := e.fragment()
			if size == 0 {
				break run
			}
			n := e.code()
			window <<= uint(n) & 63
			held -= uint(n)
			left -= n
			*(*[MaxFragment]byte)(out[o:]) = d.fragments[e.token()]
			o += size
			state = e.class()
		}
	}
	r.at, r.window, r.held, r.left = at, window, held, left
	return o, state
}

// grow gives out more room; its first o bytes stay.
func grow(out []byte, o int) []byte {
	larger := make([]byte, 2*o+4*room)
	copy(larger, out[:o])
	return larger
}

// special writes what a special token stands for to out, which has room bytes, and gives its length; -1 for what no encoder writes.
func (r *reader) special(out []byte, token uint32) int {
	switch token {
	case Byte:
		out[0] = byte(r.take(8))
		return 1
	case HexLower:
		return r.letters(out, lowerDigits, 4)
	case HexUpper:
		return r.letters(out, upperDigits, 4)
	case Base64:
		return r.letters(out, base64Letters, 6)
	case Digits:
		return r.digits(out)
	case UUID:
		return r.uuid(out)
	case Percent:
		n := int(r.take(4)) + minPercent
		for i := range n {
			value := r.take(8)
			out[3*i], out[3*i+1], out[3*i+2] = '%', upperDigits[value>>4], upperDigits[value&15]
		}
		return 3 * n
	case Bytes:
		n := int(r.take(5)) + minBytes
		for i := range n {
			out[i] = byte(r.take(8))
		}
		return n
	}
	return -1 // the end is never written
}

func (r *reader) letters(out []byte, alphabet string, width int) int {
	n := int(r.take(5)) + minLetters
	for i := range n {
		out[i] = alphabet[r.take(width)]
	}
	return n
}

func (r *reader) digits(out []byte) int {
	n := int(r.take(4)) + minDigits
	for i := 0; i < n; {
		width := min(3, n-i)
		value := r.take(digitBits[width])
		if value >= digitLimit[width] {
			return -1
		}
		for j := width - 1; j >= 0; j-- {
			out[i+j] = byte('0' + value%10)
			value /= 10
		}
		i += width
	}
	return n
}

func (r *reader) uuid(out []byte) int {
	var raw [16]byte
	for i := range 4 {
		binary.BigEndian.PutUint32(raw[4*i:], r.take(32))
	}
	o := 0
	for i, size := range uuidGroups {
		if i > 0 {
			out[o] = '-'
			o++
		}
		o += hex.Encode(out[o:], raw[(o-i)/2:(o-i)/2+size])
	}
	return o
}
