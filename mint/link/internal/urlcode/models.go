package urlcode

import (
	_ "embed"
	"sync"
)

// model1 is what codec 1 of links means, for ever.
//
//go:embed model1.bin
var model1 []byte

// Decoder1 is codec 1's Decoder. The first call takes a few milliseconds.
var Decoder1 = sync.OnceValue(func() *Decoder { return NewDecoder(embedded(model1)) })

// Encoder1 is codec 1's Encoder. The first call takes some ten milliseconds; only who mints needs it.
var Encoder1 = sync.OnceValue(func() *Encoder { return NewEncoder(embedded(model1)) })

func embedded(file []byte) *Model {
	m, err := ParseModel(file)
	if err != nil {
		panic("BUG: " + err.Error()) // a test holds the embedded file to its hash
	}
	return m
}
