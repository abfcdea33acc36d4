package mapping

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// form is what an expression may give.
type form struct {
	kinds []types.Kind
	want  string
}

var (
	textForm = form{[]types.Kind{types.StringKind, types.IntKind, types.UintKind, types.DoubleKind}, "text or a number"}
	timeForm = form{[]types.Kind{types.TimestampKind, types.StringKind, types.IntKind, types.UintKind, types.DoubleKind},
		"a time: a timestamp, text such as 2026-11-30T07:20:00Z, or seconds or milliseconds since 1970"}
	wholeForm = form{[]types.Kind{types.IntKind, types.UintKind, types.DoubleKind, types.StringKind}, "a whole number of 32 bits"}
	listForm  = form{[]types.Kind{types.ListKind}, "a list"}
	mapForm   = form{[]types.Kind{types.MapKind}, "a map"}
)

// takes says whether values of a type may be of the form. What the delivery alone decides may be.
func (f form) takes(t *cel.Type) bool {
	if t.Kind() == types.OpaqueKind && t.TypeName() == "optional_type" && len(t.Parameters()) == 1 {
		t = t.Parameters()[0]
	}
	return t.IsDyn() || t.Kind() == types.NullTypeKind || slices.Contains(f.kinds, t.Kind())
}

// asText gives a text or number as text. ok is false for anything else.
func asText(v ref.Val) (string, bool) {
	switch v := v.(type) {
	case types.String:
		return string(v), true
	case types.Int:
		return strconv.FormatInt(int64(v), 10), true
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10), true
	case types.Double:
		return strconv.FormatFloat(float64(v), 'f', -1, 64), !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0)
	}
	return "", false
}

// Numbers from which on a time is in milliseconds or microseconds since 1970: as seconds the first is the year 5138, and as milliseconds 1973.
const (
	fromMilliseconds = 1e11
	fromMicroseconds = 1e14
)

// firstYear and lastYear bound the times that are taken for one.
const firstYear, lastYear = 2000, 2199

func asTime(v ref.Val) (time.Time, bool) {
	switch v := v.(type) {
	case types.Timestamp:
		return Plausible(v.Time)
	case types.String:
		if t, err := time.Parse(time.RFC3339, string(v)); err == nil {
			return Plausible(t)
		}
		n, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			return time.Time{}, false
		}
		return sinceEpoch(n)
	case types.Int:
		return sinceEpoch(float64(v))
	case types.Uint:
		return sinceEpoch(float64(v))
	case types.Double:
		return sinceEpoch(float64(v))
	}
	return time.Time{}, false
}

// sinceEpoch is exact to the microsecond: the numbers are far below 2^53 in every unit.
func sinceEpoch(n float64) (time.Time, bool) {
	micros := n
	switch {
	case n < fromMilliseconds:
		micros = n * 1e6
	case n < fromMicroseconds:
		micros = n * 1e3
	}
	if !(micros > 0 && micros < math.MaxInt64/2) {
		return time.Time{}, false
	}
	return Plausible(time.UnixMicro(int64(math.Round(micros))))
}

// Plausible is the time in UTC, and as finely as events have it; not ok where somebody has mistaken the unit.
func Plausible(t time.Time) (time.Time, bool) {
	t = t.UTC().Truncate(time.Microsecond)
	return t, t.Year() >= firstYear && t.Year() <= lastYear
}

func asWhole(v ref.Val) (int32, bool) {
	text, ok := asText(v)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return int32(n), err == nil
}

// SentAlong is under which name mint gives the message's id to send along.
const SentAlong = "waypost"

// asPairs gives a map's pairs in the order of their keys, so that the same delivery gives the same event. What is no text is written as JSON. Nulls are left out, and what
// mint had sent along: it is no metadata of the sender's.
func asPairs(v ref.Val) ([][2]string, bool) {
	m, ok := v.(traits.Mapper)
	if !ok {
		return nil, false
	}
	var pairs [][2]string
	for i := m.Iterator(); i.HasNext() == types.True; {
		key := i.Next()
		name, ok := asText(key)
		value := m.Get(key)
		if !ok {
			return nil, false
		}
		if value.Type() == types.NullType || name == SentAlong {
			continue
		}
		text, ok := asText(value)
		if !ok {
			if text, ok = asJSON(value); !ok {
				return nil, false
			}
		}
		pairs = append(pairs, [2]string{name, text})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	return pairs, true
}

// asJSON writes what came from a document as a document again.
func asJSON(v ref.Val) (string, bool) {
	text, err := json.Marshal(native(v))
	return string(text), err == nil
}

// native is the Go value of what came from a document, or was made of it.
func native(v ref.Val) any {
	switch v := v.(type) {
	case traits.Mapper:
		members := map[string]any{}
		for i := v.Iterator(); i.HasNext() == types.True; {
			key := i.Next()
			name, _ := asText(key)
			members[name] = native(v.Get(key))
		}
		return members
	case traits.Lister:
		items := []any{}
		for i := v.Iterator(); i.HasNext() == types.True; {
			items = append(items, native(i.Next()))
		}
		return items
	case *types.Optional:
		if !v.HasValue() {
			return nil
		}
		return native(v.GetValue())
	case types.Null:
		return nil
	}
	return v.Value()
}
