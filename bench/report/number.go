package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"waypost/bench/result"
)

// none stands where there is no figure.
const none = "-"

// whole is a number without a fraction, its thousands apart: 60,093.
func whole(v float64) string {
	if math.Abs(v) >= 1e15 || v != v {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	digits := strconv.FormatInt(int64(math.Round(math.Abs(v))), 10)
	var b strings.Builder
	if v <= -0.5 {
		b.WriteByte('-')
	}
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// fixed has so many places after the point.
func fixed(v float64, places int) string {
	if math.Abs(v) >= 1e15 {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	return strconv.FormatFloat(v, 'f', places, 64)
}

func percent(share float64) string { return whole(100*share) + " %" }

func megabytes(bytes float64) string { return fixed(bytes/1e6, 1) }

// spread is median (min-max) of a figure that may be missing.
func spread(of map[string]result.Spread, name string) string {
	s, ok := of[name]
	if !ok {
		return none
	}
	return spreadText(s, func(v float64) string { return fixed(v, 2) })
}

// wholeSpread is spread of large numbers.
func wholeSpread(values []float64) string { return spreadText(result.SpreadOf(values), whole) }

func fixedSpread(values []float64, places int) string {
	return spreadText(result.SpreadOf(values), func(v float64) string { return fixed(v, places) })
}

func spreadText(s result.Spread, text func(float64) string) string {
	low, high := text(s.Min), text(s.Max)
	if low == high {
		return text(s.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", text(s.Median), low, high)
}

// duration is a latency in the unit that suits it.
func duration(us float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e6, "s"}, {1e3, "ms"}} {
		if us >= u.size {
			return strconv.FormatFloat(us/u.size, 'g', 3, 64) + " " + u.name
		}
	}
	return strconv.FormatFloat(us, 'g', 3, 64) + " µs"
}

func figures[T any](of []T, figure func(T) float64) (values []float64) {
	for _, t := range of {
		values = append(values, figure(t))
	}
	return values
}
