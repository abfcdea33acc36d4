package load

import (
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// curveSteps are the points of a latency curve from one nine to the next.
const curveSteps = 8

// CurveQuantile is the share of answers that came within the latency at place k of a Turn's Curve: 0, 0.25, 0.44 ... 0.9, 0.925 ... 0.99 and so on.
func CurveQuantile(k int) float64 { return 1 - math.Pow(10, -float64(k)/curveSteps) }

// curve reads latencies, in microseconds, as far as the number of answers bears.
func curve(h *hdrhistogram.Histogram) (us []float64) {
	for k := 0; float64(h.TotalCount())*(1-CurveQuantile(k)) >= 1; k++ {
		us = append(us, float64(h.ValueAtPercentile(100*CurveQuantile(k)))/1e3)
	}
	return us
}
