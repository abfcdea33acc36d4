package soak

import (
	"math"
	"slices"
	"time"
)

// point is one sample of one figure.
type point struct{ second, value float64 }

// Growth is how one figure of one process, or of the files, developed.
type Growth struct {
	Where    string  `json:"where"` // edge, life 2; files
	What     string  `json:"what"`
	From     float64 `json:"from"`     // median of the second quarter
	To       float64 `json:"to"`       // median of the last quarter
	Slope    float64 `json:"per_hour"` // of the last three quarters
	Allowed  float64 `json:"allowed"`  // from the second quarter to the last
	Samples  int     `json:"samples"`
	Seconds  float64 `json:"seconds"`
	Judged   bool    `json:"judged"` // long enough for a verdict
	Grew     bool    `json:"grew"`
	Expected string  `json:"expected,omitempty"` // where not flat
	unit     unit
}

// Lives shorter than this are not judged; those with fewer than fewSamples, two a quarter, are not even shown.
const (
	minSamples = 20
	minLife    = 20 * time.Second
	fewSamples = 8
)

// judge compares the second quarter with the last. allowed gives what may be between them, from the level of the second.
func judge(points []point, allowed func(level float64) float64) Growth {
	g := Growth{Samples: len(points)}
	if len(points) < fewSamples {
		return g
	}
	quarter := len(points) / 4
	g.Seconds = points[len(points)-1].second - points[0].second
	second, last := points[quarter:2*quarter], points[len(points)-quarter:]
	g.From, g.To = median(values(second)), median(values(last))
	slope := theilSen(points[quarter:])
	g.Slope, g.Allowed = slope*3600, allowed(g.From)
	rise := slope * (median(seconds(last)) - median(seconds(second)))
	g.Judged = len(points) >= minSamples && g.Seconds >= minLife.Seconds()
	g.Grew = g.Judged && min(g.To-g.From, rise) > g.Allowed
	return g
}

func values(points []point) (v []float64) {
	for _, p := range points {
		v = append(v, p.value)
	}
	return v
}

func seconds(points []point) (v []float64) {
	for _, p := range points {
		v = append(v, p.second)
	}
	return v
}

// median of no values is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// mostPoints bounds the pairs of theilSen: of longer series it takes every so many points.
const mostPoints = 500

// theilSen is the median of the slopes between all pairs of points: up to 29 % of them may be anything at all.
func theilSen(points []point) float64 {
	step := (len(points) + mostPoints - 1) / mostPoints
	var slopes []float64
	for i := 0; i < len(points); i += step {
		for j := i + step; j < len(points); j += step {
			if d := points[j].second - points[i].second; d > 0 {
				slopes = append(slopes, (points[j].value-points[i].value)/d)
			}
		}
	}
	return median(slopes)
}

// perKey judges the store: the second quarter is compared with the last like everything, and may grow with the keys between them.
func perKey(disk []DiskSample) Growth {
	var bytes, keys []point
	for _, d := range disk {
		bytes = append(bytes, point{d.Second, float64(d.Store)})
		keys = append(keys, point{d.Second, float64(d.Keys)})
	}
	gained := judge(keys, func(float64) float64 { return math.Inf(1) })
	return judge(bytes, func(float64) float64 { return storePerKey*(gained.To-gained.From) + storeSlack })
}
