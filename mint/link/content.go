package link

import "encoding/binary"

// A token's plaintext; drawn in the package comment.

// Values of the control bytes.
const (
	shapeNone    = 0 // no id
	shapeNumbers = 1 // message, prospect and user, all numbers
	shapeMixed   = 2 // a byte follows that describes each id
	shapePair    = 3 // message and prospect, both numbers

	numberFollows = 31 // link numbers from here on are a uvarint of what exceeds it

	hasOriginal  = 1 << 2
	hasRecipient = 1 << 1
	hasExtras    = 1 << 0

	extraStream   = 1 << 0
	extraTag      = 1 << 1
	extraMetadata = 1 << 2
	extraPad      = 1 << 3
	extraReserved = 0xF0

	codecStored = 0
	codecURL    = 1 // package urlcode's first model

	minPlain = 6 // control, time and a tenant of one byte
)

// kindPlaces are the first three control bits by value; what is not here is reserved.
var kindPlaces = [8]struct {
	kind  Kind
	place Place
	used  bool
}{
	0: {Click, PlaceUnknown, true},
	1: {Click, PlaceHTML, true},
	2: {Click, PlaceText, true},
	3: {Open, PlaceUnknown, true},
}

func (l *Link) kindPlace() (value byte, ok bool) {
	for value, entry := range kindPlaces {
		if entry.used && entry.kind == l.Kind && entry.place == l.Place {
			return byte(value), true
		}
	}
	return 0, false
}

// spelling is what a plaintext may vary in without other contents: the codec of its strings, and what keeps a token from ending in punctuation.
type spelling struct {
	codec  byte
	tweak  byte
	longer bool // by one byte
}

// check says why l cannot be minted; nil if it can.
func (l *Link) check() error {
	if _, ok := l.kindPlace(); !ok || l.Tenant == 0 || l.Minted > MaxMinutes || !validMetadata(l.Metadata) {
		return ErrField
	}
	if l.Kind == Open && len(l.Destination)+len(l.Original) > 0 {
		return ErrField
	}
	size := len(l.Message.text) + len(l.Prospect.text) + len(l.User.text)
	for _, s := range l.strings() {
		size += len(s)
	}
	if size > MaxContents {
		return ErrTooLong
	}
	if l.Kind == Click {
		return CheckDestination(l.Destination)
	}
	return nil
}

// appendPlain appends the plaintext of l, which has passed check; section is strings in the spelling's codec.
func (l *Link) appendPlain(dst []byte, strings *[6][]byte, section []byte, s spelling) []byte {
	kindPlace, _ := l.kindPlace()
	shape := idShape(l.Message.kind, l.Prospect.kind, l.User.kind)
	var extras byte
	for i, present := range strings[3:] {
		if len(present) > 0 {
			extras |= 1 << i
		}
	}
	extrasFollow := extras != 0 || s.longer
	second := byte(min(l.Number, numberFollows)) << 3
	if len(strings[1]) > 0 {
		second |= hasOriginal
	}
	if len(strings[2]) > 0 {
		second |= hasRecipient
	}
	if extrasFollow {
		second |= hasExtras
	}
	dst = append(dst, kindPlace<<5|s.codec<<3|s.tweak<<2|shape, second)
	if l.Number >= numberFollows {
		dst = binary.AppendUvarint(dst, uint64(l.Number-numberFollows))
	}
	switch {
	case extras != 0 && s.longer:
		dst = append(dst, extras|extraPad, 0)
	case extrasFollow:
		dst = append(dst, extras)
	}
	dst = append(dst, byte(l.Minted>>16), byte(l.Minted>>8), byte(l.Minted))
	dst = binary.AppendUvarint(dst, uint64(l.Tenant))
	if shape == shapeMixed {
		dst = append(dst, byte(l.Message.kind|l.Prospect.kind<<2|l.User.kind<<4))
	}
	for _, id := range [...]*ID{&l.Message, &l.Prospect, &l.User} {
		dst = id.appendBinary(dst)
	}
	return append(dst, section...)
}

// idShape is the description of three ids that the control bytes carry.
func idShape(message, prospect, user idKind) byte {
	switch [3]idKind{message, prospect, user} {
	case [3]idKind{}:
		return shapeNone
	case [3]idKind{idNumber, idNumber, idNumber}:
		return shapeNumbers
	case [3]idKind{idNumber, idNumber, idAbsent}:
		return shapePair
	}
	return shapeMixed
}

func (id *ID) appendBinary(dst []byte) []byte {
	switch id.kind {
	case idNumber:
		return binary.AppendUvarint(dst, id.number)
	case idUUID:
		return append(dst, id.uuid[:]...)
	case idText:
		return appendString(dst, id.text)
	}
	return dst
}

// decodePlain reads a plaintext into l, whose strings then point into p. It accepts only what appendPlain writes: nothing reserved, no
// number longer than needed, nothing said twice.
func (l *Link) decodePlain(p []byte) error {
	if len(p) < minPlain {
		return ErrContent
	}
	first, second := p[0], p[1]
	p = p[2:]
	entry := &kindPlaces[first>>5]
	l.Kind, l.Place = entry.kind, entry.place
	codec, tweak, shape := first>>3&3, first>>2&1, first&3

	l.Number = uint32(second >> 3)
	ok := entry.used && codec <= codecURL
	if l.Number == numberFollows {
		var more uint64
		more, p, ok = takeUvarint(p, ok)
		ok = ok && more <= 1<<32-1-numberFollows
		l.Number += uint32(more)
	}
	extras := byte(0)
	if second&hasExtras != 0 {
		extras, p, ok = takeExtras(p, tweak, ok)
	}
	if !ok || len(p) < 4 {
		return ErrContent
	}
	l.Minted = uint32(p[0])<<16 | uint32(p[1])<<8 | uint32(p[2])
	tenant, p, ok := takeUvarint(p[3:], true)
	if !ok || tenant == 0 || tenant > 1<<32-1 {
		return ErrContent
	}
	l.Tenant = uint32(tenant)
	if p, ok = l.decodeIDs(p, shape); !ok {
		return ErrContent
	}
	return l.decodeStrings(p, codec, second, extras)
}

// takeExtras takes the extras byte, and the pad byte where there is one. Both also serve to make a plaintext longer by one byte, which is done
// with tweak 0 only.
func takeExtras(p []byte, tweak byte, okBefore bool) (extras byte, rest []byte, ok bool) {
	if !okBefore || len(p) < 2 {
		return 0, nil, false
	}
	extras, p = p[0], p[1:]
	if extras&extraReserved != 0 || extras == extraPad || extras == 0 && tweak != 0 {
		return 0, nil, false
	}
	if extras&extraPad != 0 {
		if p[0] != 0 || tweak != 0 {
			return 0, nil, false
		}
		extras, p = extras&^extraPad, p[1:]
	}
	return extras, p, true
}

func (l *Link) decodeIDs(p []byte, shape byte) (rest []byte, ok bool) {
	message, prospect, user := idAbsent, idAbsent, idAbsent
	switch shape {
	case shapeNone:
		return p, true
	case shapeNumbers:
		message, prospect, user = idNumber, idNumber, idNumber
	case shapePair:
		message, prospect = idNumber, idNumber
	case shapeMixed:
		if len(p) == 0 {
			return nil, false
		}
		message, prospect, user = idKind(p[0]&3), idKind(p[0]>>2&3), idKind(p[0]>>4&3)
		if p[0]>>6 != 0 || idShape(message, prospect, user) != shapeMixed {
			return nil, false
		}
		p = p[1:]
	}
	if p, ok = l.Message.decode(p, message); !ok {
		return nil, false
	}
	if p, ok = l.Prospect.decode(p, prospect); !ok {
		return nil, false
	}
	return l.User.decode(p, user)
}

func (id *ID) decode(p []byte, kind idKind) (rest []byte, ok bool) {
	id.kind = kind
	switch kind {
	case idNumber:
		id.number, rest, ok = takeUvarint(p, true)
		return rest, ok
	case idUUID:
		if len(p) < len(id.uuid) {
			return nil, false
		}
		return p[copy(id.uuid[:], p):], true
	case idText:
		id.text, rest, ok = takeString(p)
		return rest, ok && ParseID(id.text).kind == idText
	}
	return p, true
}

// takeUvarint takes a uvarint off p; not ok, as with okBefore false, where there is none, where it exceeds 64 bits or is longer than needed.
func takeUvarint(p []byte, okBefore bool) (value uint64, rest []byte, ok bool) {
	value, n := binary.Uvarint(p)
	if !okBefore || n <= 0 || n > 1 && p[n-1] == 0 {
		return 0, nil, false
	}
	return value, p[n:], true
}

// takeString takes a string after its length off p.
func takeString(p []byte) (s, rest []byte, ok bool) {
	length, p, ok := takeUvarint(p, true)
	if !ok || length > uint64(len(p)) {
		return nil, nil, false
	}
	return p[:length:length], p[length:], true
}
