package main

import (
	"cmp"
	"slices"
	"strings"

	"waypost/mint/link/internal/urlcode"
)

// candidate is a substring that may become a fragment.
type candidate struct {
	text  string
	count int // samples times, overlapping ones too
}

const (
	minSamples    = 6 // that a substring must be in
	maxCandidates = 60_000
)

// candidates counts the substrings of 2 to MaxFragment bytes and gives the best by count times what each saves, sorted by text.
//
// A substring that is frequent consists of two frequent ones, one byte shorter. So lengths are counted one after the other, each occurrence by the numbers of the two
// that it consists of.
func candidates(samples []sample) []candidate {
	id := make([][]int32, len(samples)) // by sample and place: the number of the frequent substring that begins there, -1 for none
	for i, s := range samples {
		id[i] = make([]int32, len(s.text))
		for j, c := range s.text {
			id[i][j] = int32(c)
		}
	}
	var all []candidate
	for size := 2; size <= urlcode.MaxFragment; size++ {
		all = append(all, longer(samples, id, size)...)
	}
	all = slices.DeleteFunc(all, func(c candidate) bool { return !mayBeFragment(c) })
	slices.SortFunc(all, func(a, b candidate) int {
		if order := cmp.Compare(b.count*(len(b.text)-1), a.count*(len(a.text)-1)); order != 0 {
			return order
		}
		return cmp.Compare(a.text, b.text)
	})
	all = all[:min(len(all), maxCandidates)]
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(a.text, b.text) })
	return all
}

// longer gives the frequent substrings of a size and makes id, which is of those one byte shorter, one of these.
func longer(samples []sample, id [][]int32, size int) []candidate {
	type tally struct {
		count, samples, last, number int32
		at                           int32
	}
	seen := map[uint64]*tally{}
	for i, row := range id {
		for j := 0; j+1 < len(row); j++ {
			if row[j] < 0 || row[j+1] < 0 || j+size > len(row) {
				continue
			}
			key := uint64(row[j])<<32 | uint64(row[j+1])
			t := seen[key]
			if t == nil {
				t = &tally{last: -1, number: -1, at: int32(j)}
				seen[key] = t
			}
			t.count++
			if t.last != int32(i) {
				t.samples++
				t.last = int32(i)
			}
		}
	}
	var found []candidate
	for i, row := range id {
		for j := range row {
			if row[j] < 0 || j+1 >= len(row) || row[j+1] < 0 || j+size > len(row) {
				row[j] = -1
				continue
			}
			t := seen[uint64(row[j])<<32|uint64(row[j+1])]
			if t.samples < minSamples {
				row[j] = -1
				continue
			}
			if t.number < 0 {
				t.number = int32(len(found))
				found = append(found, candidate{string(samples[i].text[j : j+size]), int(t.count)})
			}
			row[j] = t.number
		}
	}
	return found
}

// oftenAcross is how frequent a substring must be to reach across a parameter's limits.
const oftenAcross = 2_000

// mayBeFragment: '=' stands only at the end and '?' and '&' only at the start, so that a parameter's name and its value are learnt apart, but for a few very
// common ones.
func mayBeFragment(c candidate) bool {
	if strings.ContainsFunc(c.text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return false
	}
	if c.count >= oftenAcross {
		return true
	}
	return !strings.Contains(c.text[:len(c.text)-1], "=") && !strings.ContainsAny(c.text[1:], "?&")
}
