//go:build race

package server

// raceEnabled: the race detector makes pools drop what they hold.
const raceEnabled = true
