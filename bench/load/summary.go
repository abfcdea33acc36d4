package load

import (
	"fmt"
	"slices"

	"waypost/bench/result"
)

// Summary is what a contestant's turns in one mode come to: medians over the rounds that are not void, and ratios to each baseline's turn of the same round.
type Summary struct {
	Contestant string             `json:"contestant"`
	Offered    float64            `json:"offered_per_second"`
	Rounds     int                `json:"rounds"` // that count
	Voids      []string           `json:"voids,omitempty"`
	Notes      []string           `json:"notes,omitempty"` // what the figures suffered from
	PerSecond  float64            `json:"per_second"`
	Latency    map[string]float64 `json:"latency_us"`
	User       float64            `json:"user_us"`
	System     float64            `json:"system_us"`
	CPU        float64            `json:"cpu_us"`
	Core       float64            `json:"core_us"`
	Switches   float64            `json:"context_switches_per_answer"`
	Anonymous  float64            `json:"anonymous_bytes"`
	Resident   float64            `json:"resident_bytes"`
	Server     float64            `json:"server_core_busy"`
	Generator  float64            `json:"generator_core_busy"`
	CacheHits  float64            `json:"cache_hit_share,omitempty"`
	// Ratios are of per_second, cpu, core, p99 and p99.9, by baseline.
	Ratios map[string]map[string]result.Spread `json:"ratios,omitempty"`
	// Above is by how many microseconds user, system, cpu and core lie above the first baseline's.
	Above map[string]result.Spread `json:"above_us,omitempty"`
}

// summarize makes one Summary for each contestant and offered rate, in the order of the turns.
func summarize(turns []Turn, baselines ...string) []Summary {
	type group struct {
		contestant string
		offered    float64
	}
	var order []group
	for _, t := range turns {
		if g := (group{t.Contestant, t.Offered}); !slices.Contains(order, g) {
			order = append(order, g)
		}
	}
	var all []Summary
	for _, g := range order {
		all = append(all, summarizeOne(turns, g.contestant, g.offered, baselines))
	}
	return all
}

func summarizeOne(turns []Turn, contestant string, offered float64, baselines []string) Summary {
	s := Summary{Contestant: contestant, Offered: offered, Latency: map[string]float64{}}
	var counted []Turn
	for _, t := range turns {
		if t.Contestant != contestant || t.Offered != offered {
			continue
		}
		if t.Void != "" {
			s.Voids = append(s.Voids, fmt.Sprintf("round %d: %s", t.Round, t.Void))
			continue
		}
		counted = append(counted, t)
		if t.Others > crowdLimit {
			s.Notes = append(s.Notes, fmt.Sprintf("round %d: others took %.0f %% of the server's core", t.Round, 100*t.Others))
		}
		if t.Grown > 0 {
			s.Notes = append(s.Notes, fmt.Sprintf("round %d: %.0f segments of the journal were fresh", t.Round, t.Grown))
		}
	}
	s.compare(counted, turns, baselines)
	s.Rounds = len(counted)
	over := func(figure func(Turn) float64) float64 { return result.SpreadOf(figures(counted, figure)).Median }
	s.PerSecond = over(func(t Turn) float64 { return t.PerSecond })
	s.User = over(func(t Turn) float64 { return t.User })
	s.System = over(func(t Turn) float64 { return t.System })
	s.CPU = over(func(t Turn) float64 { return t.CPU })
	s.Core = over(func(t Turn) float64 { return t.Core })
	s.Switches = over(func(t Turn) float64 { return t.Switches })
	s.Anonymous = over(func(t Turn) float64 { return float64(t.Anonymous) })
	s.Resident = over(func(t Turn) float64 { return float64(t.Resident) })
	s.Server = over(func(t Turn) float64 { return t.ServerBusy })
	s.Generator = over(func(t Turn) float64 { return t.GeneratorBusy })
	s.CacheHits = over(func(t Turn) float64 { return t.CacheHits })
	for _, name := range append(percentileNames(), "max") {
		s.Latency[name] = over(func(t Turn) float64 { return t.Latency[name] })
	}
	return s
}

// compare holds each turn that counts to the baselines' of the same round.
func (s *Summary) compare(counted, turns []Turn, baselines []string) {
	for i, name := range baselines {
		if name == s.Contestant {
			continue
		}
		ratios, above := map[string][]float64{}, map[string][]float64{}
		for _, t := range counted {
			b := find(turns, name, s.Offered, t.Round)
			if b == nil {
				continue
			}
			addRatio(ratios, "per_second", t.PerSecond, b.PerSecond)
			addRatio(ratios, "p99", t.Latency["p99"], b.Latency["p99"])
			addRatio(ratios, "p99.9", t.Latency["p99.9"], b.Latency["p99.9"])
			addRatio(ratios, "cpu", t.CPU, b.CPU)
			addRatio(ratios, "core", t.Core, b.Core)
			if t.CPU > 0 && b.CPU > 0 {
				above["user"] = append(above["user"], t.User-b.User)
				above["system"] = append(above["system"], t.System-b.System)
				above["cpu"] = append(above["cpu"], t.CPU-b.CPU)
				above["core"] = append(above["core"], t.Core-b.Core)
			}
		}
		if len(ratios) > 0 {
			if s.Ratios == nil {
				s.Ratios = map[string]map[string]result.Spread{}
			}
			s.Ratios[name] = spreads(ratios)
		}
		if i == 0 && len(above) > 0 {
			s.Above = spreads(above)
		}
	}
}

func spreads(of map[string][]float64) map[string]result.Spread {
	all := map[string]result.Spread{}
	for name, values := range of {
		all[name] = result.SpreadOf(values)
	}
	return all
}

func percentileNames() (names []string) {
	for _, p := range percentiles {
		names = append(names, p.name)
	}
	return names
}

// find gives the baseline's turn of a round that counts.
func find(turns []Turn, contestant string, offered float64, round int) *Turn {
	for i := range turns {
		t := &turns[i]
		if t.Contestant == contestant && t.Offered == offered && t.Round == round && t.Void == "" {
			return t
		}
	}
	return nil
}

func addRatio(to map[string][]float64, name string, value, base float64) {
	if value > 0 && base > 0 { // 0: not known
		to[name] = append(to[name], value/base)
	}
}

func figures[T any](turns []T, figure func(T) float64) (values []float64) {
	for _, t := range turns {
		values = append(values, figure(t))
	}
	return values
}
