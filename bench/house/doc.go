// Package house holds the rules of the house as tests: which folder may import which, and that the READMEs say what the code does.
//
// The tests read the sources themselves. A test that asked `go list` would be answered from the test cache, which does not know what go list read.
package house
