package main

import (
	"bufio"
	"hash/fnv"
	"io"
	"os"
	"strings"

	"waypost/mint/link/internal/urlcode"
)

// sample is one string to learn from or to judge by.
type sample struct {
	text []byte
	kind urlcode.Kind
}

// corpus is what the trainer works on. The hosts of the lists in held are in no list of learn.
type corpus struct {
	learn []sample
	held  []heldSet
	lines map[string]bool // every line of the list: none may become a fragment
}

// heldSet is judged after the training.
type heldSet struct {
	name    string
	samples []sample
}

const (
	hostCap   = 40     // links of one host that are learnt from
	mailLinks = 20_000 // generated links
	addresses = 6_000
	tags      = 3_000
	heldMail  = 2_000
	heldParts = 10 // one host in so many is held back
)

// readList reads a file of links.
func readList(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readLines(file)
}

// judge adds links to judge by.
func (c *corpus) judge(name string, links []string) {
	set := heldSet{name: name}
	for _, link := range links {
		set.samples = append(set.samples, sample{[]byte(link), urlcode.URL})
	}
	c.held = append(c.held, set)
}

// readLines reads a list of links, one a line.
func readLines(r io.Reader) ([]string, error) {
	var lines []string
	seen := map[string]bool{}
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		line := strings.TrimSpace(strings.TrimPrefix(scanner.Text(), "\ufeff"))
		if line != "" && !seen[line] {
			seen[line] = true
			lines = append(lines, line)
		}
	}
	return lines, scanner.Err()
}

// preferSecure drops a http link whose https twin is there too.
func preferSecure(lines []string) []string {
	all := map[string]bool{}
	for _, line := range lines {
		all[line] = true
	}
	var kept []string
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "http://"); !ok || !all["https://"+rest] {
			kept = append(kept, line)
		}
	}
	return kept
}

// site is the host of a link, without www.
func site(link string) string {
	_, rest, _ := strings.Cut(link, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return strings.TrimPrefix(strings.ToLower(rest), "www.")
}

// isHeld says whether a site is held back. It asks only the last two labels, so that no sibling of a held host is learnt from.
func isHeld(site string) bool {
	labels := strings.Split(site, ".")
	h := fnv.New32a()
	_, _ = io.WriteString(h, strings.Join(labels[max(0, len(labels)-2):], "."))
	return h.Sum32()%heldParts == 0
}

// newCorpus splits a list by hosts and adds what is generated. hold false learns from all of it.
func newCorpus(lines []string, generated int, hold bool) *corpus {
	c := &corpus{lines: map[string]bool{}}
	utm := newMaker(11, utmTerms)
	heldUTM := newMaker(12, heldTerms)
	var plain, tracked []sample
	count := map[string]int{}
	for _, line := range lines {
		c.lines[line] = true
	}
	for _, line := range preferSecure(lines) {
		name := site(line)
		if count[name]++; count[name] > hostCap {
			continue
		}
		if hold && isHeld(name) {
			plain = append(plain, sample{[]byte(line), urlcode.URL})
			if !strings.Contains(line, "?") {
				tracked = append(tracked, sample{[]byte(heldUTM.tracked(line)), urlcode.URL})
			}
			continue
		}
		if len(c.learn)%2 == 1 && !strings.Contains(line, "?") {
			line = utm.tracked(line)
		}
		c.learn = append(c.learn, sample{[]byte(line), urlcode.URL})
	}
	c.generate(generated)
	if hold {
		half := append([]sample(nil), plain[:len(plain)/2]...)
		half = append(half, tracked[len(tracked)/2:]...)
		c.held = append(c.held, heldSet{"held hosts, as listed", plain}, heldSet{"held hosts, half with other UTM values", half},
			heldSet{"held hosts, all with other UTM values", tracked})
	}
	c.held = append(c.held, heldMailSets(heldMail)...)
	return c
}

// generate adds generated mail links, addresses and tags, in these proportions.
func (c *corpus) generate(links int) {
	m := newMaker(21, utmTerms)
	for range links {
		c.learn = append(c.learn, sample{[]byte(m.link()), urlcode.URL})
	}
	for range links * addresses / mailLinks {
		c.learn = append(c.learn, sample{[]byte(m.address()), urlcode.Text})
	}
	for range links * tags / mailLinks {
		c.learn = append(c.learn, sample{[]byte(m.tag()), urlcode.Text})
	}
}

func heldMailSets(n int) []heldSet {
	m := newMaker(31, heldTerms)
	sets := []heldSet{{name: "generated mail links, same words, other ids"}, {name: "generated addresses, same names"}, {name: "generated tags, same words"}}
	for range n {
		sets[0].samples = append(sets[0].samples, sample{[]byte(m.link()), urlcode.URL})
		sets[1].samples = append(sets[1].samples, sample{[]byte(m.address()), urlcode.Text})
		sets[2].samples = append(sets[2].samples, sample{[]byte(m.tag()), urlcode.Text})
	}
	return sets
}
