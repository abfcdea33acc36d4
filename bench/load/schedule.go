package load

import (
	"math"
	"math/rand/v2"
	"time"
)

// scheduler says when the requests of an open loop of so many a second are due within the window, in ns after its begin. The same seed gives the same times: so all
// contestants, in all rounds, meet the same crowd.
type scheduler func(rate float64, window time.Duration, seed uint64) []int64

// sweeps come at random (Poisson); all requests of one are due at once.
func sweeps(rate float64, window time.Duration, seed uint64) []int64 {
	const each = 2 * mailLinks
	r := rand.New(rand.NewPCG(seed, 5))
	due := []int64{}
	for at := 0.0; ; {
		at += r.ExpFloat64() * each / rate
		if at >= window.Seconds() {
			return due
		}
		for range each {
			due = append(due, int64(at*1e9))
		}
	}
}

// A mailing's burst: people come at random (Poisson), at a rate of b (1 + (h-1) exp(-t/T)), with h the height, T the fall times the window, and b such that the mean is what was asked for.
const (
	burstHeight = 8
	burstFall   = 0.2
)

// burstPeak is the rate at the begin, in means.
func burstPeak() float64 {
	return burstHeight / (1 + (burstHeight-1)*burstFall*(1-math.Exp(-1/burstFall)))
}

func burst(rate float64, window time.Duration, seed uint64) []int64 {
	r := rand.New(rand.NewPCG(seed, 6))
	due := []int64{}
	// Of arrivals at the highest rate as many are left out as make up the difference.
	peak := rate * burstPeak()
	for at := 0.0; ; {
		at += r.ExpFloat64() / peak
		if at >= window.Seconds() {
			return due
		}
		keep := (1 + (burstHeight-1)*math.Exp(-at/(burstFall*window.Seconds()))) / burstHeight
		if r.Float64() < keep {
			due = append(due, int64(at*1e9))
		}
	}
}
