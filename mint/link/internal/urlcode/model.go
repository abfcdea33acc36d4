package urlcode

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The special tokens.
const (
	End = iota
	Byte
	HexLower
	HexUpper
	Base64
	Digits
	UUID
	Percent
	Bytes
	Next
	Specials // the number of special tokens, and the first fragment
)

// Kind is what a string is, which decides the state at its start.
type Kind uint8

// The kinds of string, and the states in which they start.
const (
	URL Kind = iota
	Text
	Starts // the number of kinds; classes of tokens begin here
)

// Limits of a model.
const (
	MaxTokens   = 4096
	MaxStates   = 32
	MaxFragment = 16
	MaxCode     = 18
	minEnd      = 8 // bits of the end's code
)

const (
	modelMagic  = "WPUM\x01"
	modelHeader = len(modelMagic) + 1 + 2 + 4
	maxModel    = 1 << 20 // bytes of an inflated model
)

// Model is what a model file says.
type Model struct {
	States    int
	Fragments []string  // token Specials and following, sorted
	Class     []uint8   // by token: the state after it
	Lengths   [][]uint8 // by state, by token: bits of the code, 0 for none
}

var errModel = errors.New("urlcode: damaged model")

// Tokens is the number of tokens.
func (m *Model) Tokens() int { return Specials + len(m.Fragments) }

// Append appends the model file to dst.
func (m *Model) Append(dst []byte) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	var shared, follow, text, raw []byte
	before := ""
	for _, fragment := range m.Fragments {
		n := sharedPrefix(before, fragment)
		shared, follow, text = append(shared, byte(n)), append(follow, byte(len(fragment)-n)), append(text, fragment[n:]...)
		before = fragment
	}
	for _, part := range append([][]byte{shared, follow, text, m.Class}, m.Lengths...) {
		raw = append(raw, part...)
	}
	start := len(dst)
	dst = append(dst, modelMagic...)
	dst = append(dst, byte(m.States))
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Tokens()))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(raw)))
	packed := bytes.NewBuffer(dst)
	deflate, err := flate.NewWriter(packed, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := deflate.Write(raw); err != nil {
		return nil, err
	}
	if err := deflate.Close(); err != nil {
		return nil, err
	}
	dst = packed.Bytes()
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[start:])), nil
}

func sharedPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// ParseModel reads a model file and checks that it can be used.
func ParseModel(file []byte) (*Model, error) {
	if len(file) < modelHeader+4 || string(file[:len(modelMagic)]) != modelMagic {
		return nil, errModel
	}
	body := file[:len(file)-4]
	if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(file[len(body):]) {
		return nil, errModel
	}
	head := body[len(modelMagic):]
	states, tokens, length := int(head[0]), int(binary.BigEndian.Uint16(head[1:])), binary.BigEndian.Uint32(head[3:])
	if tokens < Specials || tokens > MaxTokens || states > MaxStates || length > maxModel {
		return nil, errModel
	}
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(body[modelHeader:])), maxModel+1))
	if err != nil || len(raw) != int(length) {
		return nil, errModel
	}
	m := &Model{States: states}
	if raw, err = m.parseFragments(raw, tokens-Specials); err != nil {
		return nil, err
	}
	if len(raw) != tokens*(1+states) {
		return nil, errModel
	}
	m.Class, raw = raw[:tokens], raw[tokens:]
	for ; len(raw) > 0; raw = raw[tokens:] {
		m.Lengths = append(m.Lengths, raw[:tokens])
	}
	return m, m.check()
}

func (m *Model) parseFragments(raw []byte, count int) (rest []byte, err error) {
	if len(raw) < 2*count {
		return nil, errModel
	}
	shared, follow, text := raw[:count], raw[count:2*count], raw[2*count:]
	before := ""
	for i := range count {
		s, f := int(shared[i]), int(follow[i])
		if s > len(before) || f > len(text) {
			return nil, errModel
		}
		before = before[:s] + string(text[:f])
		text = text[f:]
		m.Fragments = append(m.Fragments, before)
	}
	return text, nil
}

// check says what would make a model unusable; everything that coding relies on.
func (m *Model) check() error {
	tokens := m.Tokens()
	if tokens > MaxTokens || m.States <= int(Starts) || m.States > MaxStates || len(m.Class) != tokens || len(m.Lengths) != m.States {
		return errModel
	}
	var single [256]bool
	before := ""
	for _, fragment := range m.Fragments {
		if len(fragment) == 0 || len(fragment) > MaxFragment || fragment <= before {
			return fmt.Errorf("urlcode: fragment %q is empty, too long or out of order", fragment)
		}
		if len(fragment) == 1 {
			single[fragment[0]] = true
		}
		before = fragment
	}
	for c := 0x21; c <= 0x7E; c++ {
		if !single[c] {
			return fmt.Errorf("urlcode: no fragment for character %q", rune(c))
		}
	}
	for _, class := range m.Class {
		if int(class) >= m.States {
			return errModel
		}
	}
	for state, lengths := range m.Lengths {
		if err := m.checkLengths(lengths); err != nil {
			return fmt.Errorf("%w of state %d", err, state)
		}
	}
	return nil
}

// checkLengths: the codes of a state use up all bit strings, and the end's is the longest.
func (m *Model) checkLengths(lengths []uint8) error {
	if len(lengths) != m.Tokens() {
		return errModel
	}
	used := 0
	for token, n := range lengths {
		switch {
		case n > MaxCode || n > lengths[End]:
			return fmt.Errorf("urlcode: code of %d bits for token %d", n, token)
		case n > 0:
			used += 1 << (MaxCode - n)
		case token < Specials || len(m.Fragments[token-Specials]) == 1:
			return fmt.Errorf("urlcode: no code for token %d", token)
		}
	}
	if used != 1<<MaxCode || lengths[End] < minEnd {
		return fmt.Errorf("urlcode: no complete set of codes")
	}
	return nil
}

// order gives a state's tokens as their codes count up.
func order(lengths []uint8) []int {
	var tokens []int
	for n := uint8(1); n <= MaxCode; n++ {
		for token := End + 1; token < len(lengths); token++ {
			if lengths[token] == n {
				tokens = append(tokens, token)
			}
		}
		if lengths[End] == n {
			tokens = append(tokens, End)
		}
	}
	return tokens
}

// codes gives a state's canonical codes by token.
func codes(lengths []uint8) []uint32 {
	out := make([]uint32, len(lengths))
	next, before := uint32(0), uint8(0)
	for _, token := range order(lengths) {
		next <<= lengths[token] - before
		before = lengths[token]
		out[token] = next
		next++
	}
	return out
}
