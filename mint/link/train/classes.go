package main

import (
	"math"

	"waypost/mint/link/internal/urlcode"
)

const (
	rounds     = 6     // of parse, classes, codes
	smoothing  = 5_000 // weight of the unigram in each state, in tokens
	iterations = 12    // of k-means in a round
	nextEvery  = 6     // one string in so many is counted as followed by another
)

// pair is how often token follows in some context.
type pair struct {
	token int32
	count int32
}

// follow is what follows: by context, which is a start or, from Starts on, a token.
type follow [][]pair

// build trains classes and codes for fragments.
func build(samples []sample, fragments []string, states int) (*urlcode.Model, error) {
	tokens := urlcode.Specials + len(fragments)
	class := make([]uint8, tokens) // all in one state, for the first parse
	flat := urlcode.NewParser(fragments, class, [][]uint16{costsOf(even(tokens))}, unit)
	cost := costsOf(countTokens(flat, samples, tokens))
	flat.SetCosts(class, [][]uint16{cost})
	cost = costsOf(countTokens(flat, samples, tokens))
	for token := range class {
		class[token] = uint8(urlcode.Starts)
	}
	parser := urlcode.NewParser(fragments, class, repeat(cost, int(urlcode.Starts)+1), unit)
	model := &urlcode.Model{States: states, Fragments: fragments}
	for round := range rounds {
		after := countPairs(parser, samples, tokens)
		if round == 0 {
			class = firstClasses(fragments, states)
		}
		class = cluster(after, class, states)
		weights := stateWeights(after, class, states, fragments)
		model.Class, model.Lengths = class, nil
		var costs [][]uint16
		for _, row := range weights {
			lengths := codeLengths(row, urlcode.MaxCode)
			model.Lengths = append(model.Lengths, lengths)
			costs = append(costs, costsOfLengths(lengths))
		}
		parser.SetCosts(class, costs)
	}
	return model, nil
}

func even(n int) []int {
	weights := make([]int, n)
	for i := range weights {
		weights[i] = 1
	}
	return weights
}

func repeat(row []uint16, n int) [][]uint16 {
	rows := make([][]uint16, n)
	for i := range rows {
		rows[i] = row
	}
	return rows
}

func costsOfLengths(lengths []uint8) []uint16 {
	costs := make([]uint16, len(lengths))
	for token, n := range lengths {
		if costs[token] = uint16(n) * unit; n == 0 {
			costs[token] = urlcode.NoCode
		}
	}
	costs[urlcode.End], costs[urlcode.Next] = urlcode.NoCode, urlcode.NoCode
	return costs
}

// countPairs parses all samples and counts what follows what.
func countPairs(parser *urlcode.Parser, samples []sample, tokens int) follow {
	const starts = int(urlcode.Starts)
	steps := make([][]int32, len(samples))
	eachParse(parser, samples, func(s sample) uint8 { return uint8(s.kind) }, func(_, i int, found []urlcode.Step) {
		for _, step := range found {
			steps[i] = append(steps[i], step.Token)
		}
	})
	counts := make([]map[int32]int32, starts+tokens)
	add := func(context int, token int32) {
		if counts[context] == nil {
			counts[context] = map[int32]int32{}
		}
		counts[context][token]++
	}
	for i, row := range steps {
		context := int(samples[i].kind)
		for _, token := range row {
			add(context, token)
			context = starts + int(token)
		}
		if i%nextEvery == 0 {
			add(context, urlcode.Next)
		}
	}
	after := make(follow, len(counts))
	for context, m := range counts {
		for token := range int32(tokens) {
			if n := m[token]; n > 0 {
				after[context] = append(after[context], pair{token, n})
			}
		}
	}
	return after
}

// firstClasses begins with classes by a fragment's last character: what it is decides most of what can follow.
func firstClasses(fragments []string, states int) []uint8 {
	kinds := []string{"/", ".", "-_", "=", "&?", "0123456789", "aeiou", "AEIOUBCDFGHJKLMNPQRSTVWXYZ", "s", "n", "r", "t", "dlmy", "bcfghjkpqvwxz"}
	free := states - int(urlcode.Starts)
	class := make([]uint8, urlcode.Specials+len(fragments))
	for token := range class {
		kind := len(kinds)
		if token >= urlcode.Specials {
			fragment := fragments[token-urlcode.Specials]
			last := fragment[len(fragment)-1]
			for i, letters := range kinds {
				for _, c := range []byte(letters) {
					if c == last {
						kind = i
					}
				}
			}
		}
		class[token] = uint8(int(urlcode.Starts) + kind%free)
	}
	return class
}

// cluster moves each token to the class whose codes would write what follows it in the fewest bits, as often as needed.
func cluster(after follow, class []uint8, states int) []uint8 {
	class = append([]uint8(nil), class...)
	for range iterations {
		bits := classBits(after, class, states)
		for token := range class {
			pairs := after[int(urlcode.Starts)+token]
			if len(pairs) == 0 {
				continue
			}
			best, bestBits := class[token], math.Inf(1)
			for state := int(urlcode.Starts); state < states; state++ {
				sum := 0.0
				for _, p := range pairs {
					sum += float64(p.count) * bits[state][p.token]
				}
				if sum < bestBits {
					best, bestBits = uint8(state), sum
				}
			}
			class[token] = best
		}
	}
	return class
}

// classBits is the information content of each token in each state, smoothed as the codes will be.
func classBits(after follow, class []uint8, states int) [][]float64 {
	counts, unigram, total := stateCounts(after, class, states)
	bits := make([][]float64, states)
	for state, row := range counts {
		sum := 0.0
		for _, n := range row {
			sum += n
		}
		bits[state] = make([]float64, len(row))
		for token, n := range row {
			p := (n + smoothing*(unigram[token]+0.05)/total) / (sum + smoothing)
			bits[state][token] = -math.Log2(p)
		}
	}
	return bits
}

// stateCounts sums what follows by state.
func stateCounts(after follow, class []uint8, states int) (counts [][]float64, unigram []float64, total float64) {
	unigram = make([]float64, len(class))
	counts = make([][]float64, states)
	for state := range counts {
		counts[state] = make([]float64, len(class))
	}
	for context, pairs := range after {
		state := context
		if context >= int(urlcode.Starts) {
			state = int(class[context-int(urlcode.Starts)])
		}
		for _, p := range pairs {
			counts[state][p.token] += float64(p.count)
			unigram[p.token] += float64(p.count)
			total += float64(p.count)
		}
	}
	return counts, unigram, total
}

// stateWeights are the weights that codes are made for: smoothed towards the unigram; 0 for the end, so that its code is the longest; under zero for fragments that are
// too rare in a state to have a code there.
func stateWeights(after follow, class []uint8, states int, fragments []string) [][]int {
	const scale = 1 << 20
	counts, unigram, total := stateCounts(after, class, states)
	weights := make([][]int, states)
	for state, row := range counts {
		sum := 0.0
		for _, n := range row {
			sum += n
		}
		rarest := int((sum + smoothing) * scale / (1 << (urlcode.MaxCode + 1)))
		weights[state] = make([]int, len(row))
		for token, n := range row {
			w := int((n + smoothing*(unigram[token]+0.05)/total) * scale)
			switch {
			case token == urlcode.End:
				w = 0
			case token < urlcode.Specials || len(fragments[token-urlcode.Specials]) == 1:
				w = max(w, 1)
			case w < rarest:
				w = -1
			}
			weights[state][token] = w
		}
	}
	return weights
}
