//go:build race

package link

// raceEnabled: the race detector makes pools drop what they hold and everything slower.
const raceEnabled = true

// thorough is how many times fewer rounds the long tests do.
const thorough = 20
