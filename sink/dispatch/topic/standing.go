package topic

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"sort"
	"strconv"
	"strings"
)

// standing is how far the records of a partition have come: those below position are finished, and those below upto but for the open ones. So one delivery that takes long holds the position
// back, and after a crash nothing is sent again that had ended behind it.
type standing struct {
	position int64
	source   int64 // highest source offset below position, for the readers' rule; -1: none
	upto     int64
	open     []stretch // between position and upto, rising
}

// stretch is a row of offsets, to the one before end.
type stretch struct{ begin, end int64 }

// mostMetadata bounds what of the open stretches is committed, in bytes: brokers take 4096 characters of metadata by default, and base64 makes four of three. What finds no room lies
// behind upto, and is sent again after a crash.
const mostMetadata = 2400

// add makes the offsets from begin to the one before end open; they come rising.
func (s *standing) add(begin, end int64) {
	if last := len(s.open) - 1; last >= 0 && s.open[last].end == begin {
		s.open[last].end = end
		return
	}
	s.open = append(s.open, stretch{begin, end})
}

// finished says that a record was finished when the standing was taken.
func (s *standing) finished(offset int64) bool {
	if offset < s.position || offset >= s.upto {
		return offset < s.position
	}
	i := sort.Search(len(s.open), func(i int) bool { return s.open[i].end > offset })
	return i == len(s.open) || offset < s.open[i].begin
}

// metadata is what is committed beside the position: the source in decimal, if there is one; and, if more is finished than the position says, a dot and the open stretches, in base64 of varints:
// the distance from position to upto, then of each stretch how many finished offsets lie before it and its length.
func (s *standing) metadata() string {
	text := ""
	if s.source >= 0 {
		text = strconv.FormatInt(s.source, 10)
	}
	if s.upto <= s.position {
		return text
	}
	var rows []byte
	upto, at := s.upto, s.position
	for _, o := range s.open {
		if len(rows) > mostMetadata-2*binary.MaxVarintLen64 {
			upto = o.begin
			break
		}
		rows = binary.AppendUvarint(rows, uint64(o.begin-at))
		rows = binary.AppendUvarint(rows, uint64(o.end-o.begin))
		at = o.end
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(append(binary.AppendUvarint(nil, uint64(upto-s.position)), rows...))
}

var errMetadata = errors.New("its metadata is not what sinks write: another program has committed to the group")

// parseStanding reads a committed position, -1 for none, and its metadata.
func parseStanding(position int64, metadata string) (standing, error) {
	s := standing{position: position, source: -1, upto: position}
	source, rows, has := strings.Cut(metadata, ".")
	if source != "" {
		n, err := strconv.ParseUint(source, 10, 63)
		if err != nil {
			return standing{}, errMetadata
		}
		s.source = int64(n)
	}
	if !has {
		return s, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(rows)
	if err != nil || position < 0 {
		return standing{}, errMetadata
	}
	bad := false
	next := func(from int64) int64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > uint64(math.MaxInt64-from) {
			bad = true
			return from
		}
		b = b[n:]
		return from + int64(v)
	}
	s.upto = next(position)
	for at := position; len(b) > 0 && !bad; {
		begin := next(at)
		at = next(begin)
		s.open = append(s.open, stretch{begin, at})
		bad = bad || at > s.upto
	}
	if bad {
		return standing{}, errMetadata
	}
	return s, nil
}
