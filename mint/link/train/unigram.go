package main

import (
	"cmp"
	"math"
	"slices"
	"sync"

	"waypost/mint/link/internal/urlcode"
)

const (
	unit      = 64   // costs are in this part of a bit
	keptParts = 0.72 // of the fragments stay in each round
	maxCost   = 30 * unit
)

// vocabulary chooses size fragments out of candidates: again and again all samples are written with what there is, each fragment's frequency taken anew, and
// those dropped whose absence costs the least.
func vocabulary(samples []sample, from []candidate, forbidden map[string]bool, size int) []string {
	counts := map[string]int{}
	for c := 0x21; c <= 0x7E; c++ {
		counts[string(rune(c))] = minSamples
	}
	for _, c := range from {
		if !forbidden[c.text] {
			counts[c.text] = c.count
		}
	}
	fragments := sortedKeys(counts)
	weights := make([]int, urlcode.Specials, urlcode.Specials+len(fragments))
	for i := range weights {
		weights[i] = len(samples) / 10
	}
	for _, fragment := range fragments {
		weights = append(weights, counts[fragment])
	}
	for {
		var parser *urlcode.Parser
		var cost []uint16
		for range 3 {
			cost = costsOf(weights)
			parser = urlcode.NewParser(fragments, make([]uint8, len(weights)), [][]uint16{cost}, unit)
			weights = countTokens(parser, samples, len(weights))
		}
		if len(fragments) <= size {
			return fragments
		}
		keep := max(size, int(float64(len(fragments))*keptParts))
		fragments, weights = prune(parser, fragments, weights, cost, keep)
	}
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// costsOf is the information content of tokens of these frequencies.
func costsOf(weights []int) []uint16 {
	total := 0
	for _, w := range weights {
		total += w
	}
	costs := make([]uint16, len(weights))
	for token, w := range weights {
		costs[token] = uint16(min(maxCost, math.Round(-math.Log2((float64(w)+0.01)/float64(total))*unit)))
	}
	costs[urlcode.End], costs[urlcode.Next] = urlcode.NoCode, urlcode.NoCode
	return costs
}

// workers is how many goroutines parse; sums of integers do not depend on it.
const workers = 2

// eachParse parses all samples and hands their steps to visit, which knows the worker that calls it.
func eachParse(parser *urlcode.Parser, samples []sample, state func(sample) uint8, visit func(worker, i int, steps []urlcode.Step)) {
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			var w urlcode.Workspace
			for i := worker; i < len(samples); i += workers {
				steps, _ := parser.Parse(&w, samples[i].text, state(samples[i]))
				visit(worker, i, steps)
			}
		})
	}
	group.Wait()
}

func countTokens(parser *urlcode.Parser, samples []sample, tokens int) []int {
	var sums [workers][]int
	for i := range sums {
		sums[i] = make([]int, tokens)
	}
	eachParse(parser, samples, func(sample) uint8 { return 0 }, func(worker, _ int, steps []urlcode.Step) {
		for _, step := range steps {
			sums[worker][step.Token]++
		}
	})
	for token := range sums[0] {
		for _, other := range sums[1:] {
			sums[0][token] += other[token]
		}
	}
	return sums[0]
}

// prune keeps the fragments whose loss would cost the most, and all of one character.
func prune(parser *urlcode.Parser, fragments []string, weights []int, cost []uint16, keep int) ([]string, []int) {
	type entry struct {
		index int
		loss  int
	}
	entries := make([]entry, len(fragments))
	var w urlcode.Workspace
	for i, fragment := range fragments {
		entries[i] = entry{i, math.MaxInt}
		if len(fragment) == 1 {
			continue
		}
		token := urlcode.Specials + i
		instead := parser.CostWithout(&w, []byte(fragment), token)
		entries[i].loss = weights[token] * (int(instead) - int(cost[token]))
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(b.loss, a.loss) })
	entries = entries[:keep]
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.index, b.index) })
	var kept []string
	keptWeights := weights[:urlcode.Specials:urlcode.Specials]
	for _, e := range entries {
		kept = append(kept, fragments[e.index])
		keptWeights = append(keptWeights, weights[urlcode.Specials+e.index])
	}
	return kept, keptWeights
}
