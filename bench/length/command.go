package length

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"waypost/bench/result"
)

// Command is `bench length`.
type Command struct {
	File   string `arg:"" help:"The list: one URL a line." type:"path"`
	Host   string `help:"Host of the links." default:"go.example.test"`
	Budget int    `help:"Links longer than this are counted; the default is that of link_budget in tenants.yaml." default:"998"`
	JSON   string `help:"Writes the report to this file too." placeholder:"FILE" type:"path"`
}

// Validate bounds the flags. kong calls it.
func (c *Command) Validate() error {
	switch {
	case c.Host == "":
		return fmt.Errorf("--host=: must not be empty")
	case c.Budget < 1:
		return fmt.Errorf("--budget=%d: must be at least 1", c.Budget)
	}
	return nil
}

// Run measures and reports.
func (c *Command) Run(ctx context.Context, k *kong.Context) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	l, err := readList(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	r, err := c.measure(ctx, l)
	switch {
	case errors.Is(err, context.Canceled): // by the user, who needs no error
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", c.File, err)
	}
	sum := sha256.Sum256(text)
	r.List = hex.EncodeToString(sum[:])
	if err := r.writeTable(k.Stdout); err != nil {
		return err
	}
	return result.Write(c.JSON, r)
}

// lengths are one contents' links, by scheme, and how long their tokens are together.
type lengths struct {
	links  [len(schemes)][]int
	tokens [len(schemes)]int
}

// measure makes every link of the list. A URL that one of the contents cannot carry counts in none.
func (c *Command) measure(ctx context.Context, l *list) (*Report, error) {
	m, err := newMaker()
	if err != nil {
		return nil, err
	}
	var all [Original + 1]lengths
	var plain []int
	before := len("https://") + len(c.Host) + len("/")
	for place, url := range l.urls {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		made, err := m.measure(url, place)
		if err != nil {
			l.refused[err]++
			continue
		}
		plain = append(plain, len(url))
		for contents := range all {
			for scheme, token := range made[contents] {
				all[contents].links[scheme] = append(all[contents].links[scheme], before+token)
				all[contents].tokens[scheme] += token
			}
		}
	}
	if len(plain) == 0 {
		return nil, fmt.Errorf("no URL that can be a link; %d lines cannot", l.refused.total())
	}
	r := &Report{
		Head: result.Begin("bench length"), Host: c.Host, Budget: c.Budget,
		URLs: len(plain), LeftOut: l.refused.reasons(), Plain: sumUp(plain, c.Budget),
	}
	for contents := range all {
		for scheme, name := range schemes {
			token := float64(all[contents].tokens[scheme]) / float64(len(plain))
			r.Rows = append(r.Rows, Row{
				Contents: Contents(contents), Scheme: name, Token: token, ToURL: token / r.Plain.Mean,
				Link: sumUp(all[contents].links[scheme], c.Budget),
			})
		}
	}
	return r, nil
}

// measure gives the lengths of the tokens of one URL, by contents and scheme.
func (m *maker) measure(url string, place int) (made [Original + 1][len(schemes)]int, err error) {
	for contents := range made {
		tokens, err := m.tokens(claimsOf(url, place, Contents(contents)))
		if err != nil {
			return made, err
		}
		for scheme, token := range tokens {
			made[contents][scheme] = len(token)
		}
	}
	return made, nil
}
