package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"waypost/mint/link/internal/urlcode"
)

// smallCorpus is a list of our own: the links of testdata, and generated ones.
func smallCorpus(t *testing.T) *corpus {
	t.Helper()
	lines, err := readList("testdata/mail.txt")
	if err != nil {
		t.Fatal(err)
	}
	m := newMaker(5, utmTerms)
	for range 200 {
		lines = append(lines, m.own())
	}
	return newCorpus(lines, 300, true)
}

const smallTokens = urlcode.Specials + 94 + 120

func TestSameListSameBytes(t *testing.T) {
	var files [2][]byte
	for i := range files {
		data, model, err := learn(smallCorpus(t), smallTokens, 8)
		if err != nil {
			t.Fatal(err)
		}
		if model.Tokens() != smallTokens || model.States != 8 {
			t.Fatalf("%d tokens, %d states", model.Tokens(), model.States)
		}
		files[i] = data
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two trainings on one list differ")
	}
}

// A model of a small list codes what it was made of in fewer bytes, and everything byte for byte.
func TestModelCodesItsCorpus(t *testing.T) {
	c := smallCorpus(t)
	file, _, err := learn(c, smallTokens, 8)
	if err != nil {
		t.Fatal(err)
	}
	model, err := urlcode.ParseModel(file)
	if err != nil {
		t.Fatal(err)
	}
	encoder, decoder := urlcode.NewEncoder(model), urlcode.NewDecoder(model)
	var w urlcode.Workspace
	before, after := 0, 0
	for _, s := range c.learn {
		kinds, ends := []urlcode.Kind{s.kind}, make([]int, 1)
		stream := encoder.Append(nil, &w, [][]byte{s.text}, kinds)
		got, err := decoder.Decode(nil, ends, stream, kinds, 1<<16)
		if err != nil || !bytes.Equal(got, s.text) {
			t.Fatalf("%q came out as %q, %v", s.text, got, err)
		}
		before, after = before+len(s.text), after+len(stream)
	}
	if 2*after > before {
		t.Errorf("%d bytes became %d", before, after)
	}
}

func TestNoFragmentIsAWholeLine(t *testing.T) {
	var lines []string
	for _, host := range []string{"a.io", "b.io", "c.io"} {
		for _, path := range []string{"", "x", "y", "z", "xx", "yy", "zz"} {
			lines = append(lines, "https://"+host+"/"+path)
		}
	}
	c := newCorpus(lines, 20, false)
	fragments := vocabulary(c.learn, candidates(c.learn), c.lines, 200)
	for _, fragment := range fragments {
		if c.lines[fragment] {
			t.Errorf("fragment %q is a line of the list", fragment)
		}
	}
	if !slices.Contains(fragments, "https://") {
		t.Errorf("no fragment https://: %q", fragments)
	}
}

func TestHeldHostsAreNotLearntFrom(t *testing.T) {
	c := smallCorpus(t)
	held := map[string]bool{}
	for _, set := range c.held[:1] {
		for _, s := range set.samples {
			held[site(string(s.text))] = true
		}
	}
	if len(held) == 0 {
		t.Fatal("no host is held back")
	}
	generated := 300 + 300*(addresses+tags)/mailLinks
	for _, s := range c.learn[:len(c.learn)-generated] {
		if held[site(string(s.text))] || isHeld(site(string(s.text))) {
			t.Errorf("%s is learnt from, though its host is held back", s.text)
		}
	}
	if isHeld("a.example.com") != isHeld("b.example.com") {
		t.Error("siblings are on both sides")
	}
}

func TestCorpusCapsHosts(t *testing.T) {
	var lines []string
	for i := range 3 * hostCap {
		lines = append(lines, "https://www.one.example/"+strings.Repeat("a", i))
	}
	if c := newCorpus(lines, 0, false); len(c.learn) != hostCap {
		t.Errorf("%d links of one host, want %d", len(c.learn), hostCap)
	}
	got := preferSecure([]string{"http://a/", "https://a/", "http://b/"})
	if want := []string{"https://a/", "http://b/"}; !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
}

func TestCandidates(t *testing.T) {
	var samples []sample
	for range minSamples {
		samples = append(samples, sample{text: []byte("abcabc?x=1&y")})
	}
	samples = append(samples, sample{text: bytes.Repeat([]byte("zz"), 50)})
	counts := map[string]int{}
	for _, c := range candidates(samples) {
		counts[c.text] = c.count
	}
	for text, want := range map[string]int{
		"ab": 12, "abcabc": 6, "bca": 6, "?x=": 6, "&y": 6,
		"zz": 0, "x=1": 0, "c?x": 0, "1&": 0,
	} {
		if counts[text] != want {
			t.Errorf("%q: %d times, want %d", text, counts[text], want)
		}
	}
}

// Package-merge gives complete codes within the bound that no others beat: for few symbols, all are tried.
func TestCodeLengthsAreTheBest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		weights := make([]int, 2+random.IntN(4))
		for i := range weights {
			weights[i] = random.IntN(40)
		}
		const most = 4
		lengths := codeLengths(weights, most)
		got, kraft := 0, 0
		for i, n := range lengths {
			got += weights[i] * int(n)
			kraft += 1 << (most - n)
		}
		if best := bestCost(weights, most, 1<<most); got != best || kraft != 1<<most {
			t.Fatalf("weights %v: lengths %v cost %d and fill %d/16; the best cost is %d", weights, lengths, got, kraft, best)
		}
	}
	if lengths := codeLengths([]int{5, -1, 3}, 18); lengths[0] != 1 || lengths[1] != 0 || lengths[2] != 1 {
		t.Errorf("with a symbol left out: %v", lengths)
	}
}

// bestCost tries all lengths up to most bits whose codes fit into room.
func bestCost(weights []int, most, room int) int {
	if len(weights) == 0 {
		return 0
	}
	best := 1 << 30
	for n := 1; n <= most; n++ {
		if left := room - 1<<(most-n); left >= 0 {
			best = min(best, weights[0]*n+bestCost(weights[1:], most, left))
		}
	}
	return best
}

func TestRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "model.bin")
	for _, test := range []struct {
		args []string
		want int
	}{
		{[]string{"-urls", "testdata/mail.txt", "-also", "testdata/mail.txt", "-out", out, "-tokens", "220", "-states", "6", "-generated", "200"}, 0},
		{[]string{"-urls", "testdata/none.txt"}, 1},
		{[]string{}, 2},
		{[]string{"-urls", "testdata/mail.txt", "more"}, 2},
		{[]string{"-nonsense"}, 2},
	} {
		var stderr bytes.Buffer
		if got := run(test.args, io.Discard, &stderr); got != test.want || (got != 0) != (stderr.Len() > 0) {
			t.Errorf("run(%q) = %d, want %d; %s", test.args, got, test.want, &stderr)
		}
	}
	file, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := urlcode.ParseModel(file); err != nil {
		t.Error(err)
	}
}
