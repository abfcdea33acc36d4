package load

import (
	"slices"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
)

func TestCurveGoesAsFarAsTheAnswersBear(t *testing.T) {
	h := hdrhistogram.New(1, latencyMax, latencyDigits)
	if c := curve(h); len(c) != 0 {
		t.Errorf("the curve of no answers is %v", c)
	}
	for i := range int64(1000) {
		record(h, (i+1)*1000)
	}
	c := curve(h)
	if len(c) != 1+3*curveSteps || !slices.IsSorted(c) {
		t.Fatalf("%d points %v; want three nines and the least", len(c), c)
	}
	for k, want := range map[int]float64{0: 1, curveSteps: 900, 2 * curveSteps: 990, 3 * curveSteps: 999} {
		if c[k] < want*0.99 || c[k] > want*1.01 {
			t.Errorf("at %v: %v us, want %v", CurveQuantile(k), c[k], want)
		}
	}
}
