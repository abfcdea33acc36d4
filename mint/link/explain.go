package link

import "waypost/mint/link/internal/urlcode"

// Part says what one field costs in a token.
type Part struct {
	Field  string // such as "time" or "destination"
	Bits   int
	Pieces []Piece // of strings in codec 1: what each code stands for
}

// Piece is what one code of a string stands for.
type Piece struct {
	Text []byte // empty for the limit between two strings
	Bits int
}

// stringNames are the strings' names in the order in which they travel.
var stringNames = [6]string{"destination", "original", "recipient", "stream", "tag", "metadata"}

// Explain says where the bits of the token go that AppendToken writes for l, in their order. The sum is 8 bits for each byte of the token; a character is 6.
func (k *Keyring) Explain(l *Link) ([]Part, error) {
	token, err := k.AppendToken(nil, l)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, decodedLen(len(token)))
	decodeToken(raw, token)
	plain := raw[overhead:]
	k.slots[k.primary].open(new(work), raw[1:overhead], plain)

	parts := []Part{{Field: "version and key slot", Bits: 8}, {Field: "seal", Bits: 8 * blockSize}, {Field: "control", Bits: 16}}
	add := func(field string, size int) {
		if size > 0 {
			parts = append(parts, Part{Field: field, Bits: 8 * size})
		}
	}
	if l.Number >= numberFollows {
		add("link number", uvarintLen(uint64(l.Number-numberFollows)))
	}
	if plain[1]&hasExtras != 0 {
		add("extras", 1)
	}
	add("time", 3)
	add("tenant", uvarintLen(uint64(l.Tenant)))
	if plain[0]&3 == shapeMixed {
		add("id shape", 1)
	}
	add("message", len(l.Message.appendBinary(nil)))
	add("prospect", len(l.Prospect.appendBinary(nil)))
	add("user", len(l.User.appendBinary(nil)))
	parts = append(parts, explainStrings(l.strings(), plain[0]>>3&3)...)

	rest := 8 * len(raw)
	for _, part := range parts {
		rest -= part.Bits
	}
	if rest > 0 { // a pad byte, or what is left of a stream's last byte
		parts = append(parts, Part{Field: "fill", Bits: rest})
	}
	return parts, nil
}

func explainStrings(strings [6][]byte, codec byte) []Part {
	var parts []Part
	var texts [][]byte
	var kinds []urlcode.Kind
	for i, text := range strings {
		if len(text) == 0 {
			continue
		}
		if n := len(texts); n > 0 && codec == codecStored {
			parts[n-1].Bits += 8 * uvarintLen(uint64(len(texts[n-1])))
		}
		texts, kinds = append(texts, text), append(kinds, stringKinds[i])
		parts = append(parts, Part{Field: stringNames[i], Bits: 8 * len(text)})
	}
	if codec == codecStored {
		return parts
	}
	for i, costs := range urlcode.Encoder1().Explain(texts, kinds) {
		parts[i].Bits = 0
		for _, cost := range costs {
			parts[i].Bits += cost.Bits
			parts[i].Pieces = append(parts[i].Pieces, Piece(cost))
		}
	}
	return parts
}

func uvarintLen(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}
