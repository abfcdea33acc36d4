//go:build !race

package link

const raceEnabled = false

const thorough = 1
