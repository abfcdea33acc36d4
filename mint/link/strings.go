package link

import (
	"encoding/binary"

	"waypost/mint/link/internal/urlcode"
)

// stringKinds are the kinds, for codec 1, of the strings in the order in which they travel.
var stringKinds = [6]urlcode.Kind{urlcode.URL, urlcode.URL, urlcode.Text, urlcode.Text, urlcode.Text, urlcode.Text}

// strings are l's strings in the order in which they travel; an empty one is absent.
func (l *Link) strings() [6][]byte {
	original := l.Original
	if string(original) == string(l.Destination) {
		original = nil
	}
	return [...][]byte{l.Destination, original, l.Recipient, l.Stream, l.Tag, l.Metadata}
}

// section writes strings in the codec that makes them shorter. The bytes are valid until s is used again.
func (s *sealer) section(strings *[6][]byte) (codec byte, section []byte) {
	s.stored = appendStored(s.stored[:0], strings)
	if len(s.stored) == 0 {
		return codecStored, nil
	}
	s.coded = s.appendCoded(s.coded[:0], strings)
	if len(s.coded) < len(s.stored) {
		return codecURL, s.coded
	}
	return codecStored, s.stored
}

// appendStored is codec 0: the strings that are present, each after its length but the last, which ends with the plaintext.
func appendStored(dst []byte, strings *[6][]byte) []byte {
	var last []byte
	for _, s := range strings {
		if len(s) == 0 {
			continue
		}
		if len(last) > 0 {
			dst = appendString(dst, last)
		}
		last = s
	}
	return append(dst, last...)
}

// appendCoded is codec 1: the strings that are present as one stream.
func (s *sealer) appendCoded(dst []byte, strings *[6][]byte) []byte {
	n := 0
	for i, text := range strings {
		if len(text) > 0 {
			s.texts[n], s.kinds[n] = text, stringKinds[i]
			n++
		}
	}
	dst = urlcode.Encoder1().Append(dst, &s.space, s.texts[:n], s.kinds[:n])
	clear(s.texts[:]) // the pool must not keep a caller's memory
	return dst
}

func appendString(dst, s []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// decodeStrings reads the strings section p. Codec has been checked, and second and extras say which strings there are.
func (l *Link) decodeStrings(p []byte, codec, second, extras byte) error {
	all := [...]struct {
		present bool
		target  *[]byte
	}{
		{l.Kind == Click, &l.Destination},
		{second&hasOriginal != 0, &l.Original},
		{second&hasRecipient != 0, &l.Recipient},
		{extras&extraStream != 0, &l.Stream},
		{extras&extraTag != 0, &l.Tag},
		{extras&extraMetadata != 0, &l.Metadata},
	}
	var targets [6]*[]byte
	var kinds [6]urlcode.Kind
	n := 0
	for i, s := range all {
		if s.present {
			targets[n], kinds[n] = s.target, stringKinds[i]
			n++
		}
	}
	var ok bool
	switch {
	case n == 0:
		ok = codec == codecStored && len(p) == 0
	case codec == codecStored:
		ok = decodeStored(p, targets[:n])
	default:
		ok = l.decodeCoded(p, targets[:n], kinds[:n])
	}
	if !ok || len(l.Original) > 0 && (l.Kind != Click || string(l.Original) == string(l.Destination)) || !validMetadata(l.Metadata) {
		return ErrContent
	}
	if !locationSafe(l.Destination) {
		return ErrDestination
	}
	return nil
}

// decodeStored reads codec 0. No string is empty.
func decodeStored(p []byte, targets []*[]byte) bool {
	for _, target := range targets[:len(targets)-1] {
		var ok bool
		if *target, p, ok = takeString(p); !ok || len(*target) == 0 {
			return false
		}
	}
	*targets[len(targets)-1] = p[:len(p):len(p)]
	return len(p) > 0
}

// decodeCoded reads codec 1 into l's own memory.
func (l *Link) decodeCoded(p []byte, targets []*[]byte, kinds []urlcode.Kind) bool {
	var ends [6]int
	text, err := urlcode.Decoder1().Decode(l.text[:0], ends[:], p, kinds, MaxContents)
	if err != nil {
		return false
	}
	l.text = text
	begin := 0
	for i, target := range targets {
		end := ends[i]
		if end == begin {
			return false
		}
		*target = text[begin:end:end]
		begin = end
	}
	return true
}
