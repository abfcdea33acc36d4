package main

import (
	"cmp"
	"slices"
)

// codeLengths gives the lengths, up to most bits, of the codes that write symbols of these weights in the fewest bits (package-merge). A symbol of weight under zero gets
// none. There are at least two others. Of equal weights the later symbol's code is no longer.
func codeLengths(weights []int, most int) []uint8 {
	var leaves []int
	for symbol, w := range weights {
		if w >= 0 {
			leaves = append(leaves, symbol)
		}
	}
	slices.SortStableFunc(leaves, func(a, b int) int { return cmp.Compare(weights[a], weights[b]) })

	type item struct {
		weight int
		leaf   bool
	}
	levels := make([][]item, most)
	for level := range levels {
		var packages []int
		if level > 0 {
			before := levels[level-1]
			for i := 0; i+1 < len(before); i += 2 {
				packages = append(packages, before[i].weight+before[i+1].weight)
			}
		}
		for l, p := 0, 0; l < len(leaves) || p < len(packages); {
			if p == len(packages) || l < len(leaves) && weights[leaves[l]] <= packages[p] {
				levels[level] = append(levels[level], item{weights[leaves[l]], true})
				l++
			} else {
				levels[level] = append(levels[level], item{packages[p], false})
				p++
			}
		}
	}
	lengths := make([]uint8, len(weights))
	take := 2*len(leaves) - 2
	for level := most - 1; level >= 0 && take > 0; level-- {
		used := 0
		for _, it := range levels[level][:take] {
			if it.leaf {
				lengths[leaves[used]]++
				used++
			}
		}
		take = 2 * (take - used)
	}
	return lengths
}
