// Train makes the model of the link codec (mint/link/internal/urlcode) out of a list of links, one a line, and reports how long links of hosts become that it never
// saw. The same list gives the same bytes.
//
//	go run ./mint/link/train -urls LIST -out mint/link/internal/urlcode/model1.bin
//
// A model that links were minted with must never change: a new one gets a codec number of its own. Exit codes: 0 fine, 1 could not run, 2 wrong usage.
package main

import (
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"waypost/mint/link/internal/urlcode"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("train", flag.ContinueOnError)
	flags.SetOutput(stderr)
	list := flags.String("urls", "", "list of links, one a line")
	also := flags.String("also", "", "list of further links to judge by, one a line")
	out := flags.String("out", "", "model file to write; none: only report")
	tokens := flags.Int("tokens", urlcode.MaxTokens, "size of the vocabulary, specials among it")
	states := flags.Int("states", 16+int(urlcode.Starts), "states, starts among them")
	generated := flags.Int("generated", mailLinks, "generated mail links to learn from")
	all := flags.Bool("all", false, "learn from all hosts, hold none back")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *list == "" || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "train: needs -urls LIST and nothing beside flags")
		return 2
	}
	if err := train(options{*list, *also, *out, *tokens, *states, *generated, !*all}, stdout); err != nil {
		fmt.Fprintln(stderr, "train:", err)
		return 1
	}
	return 0
}

// options are the flags.
type options struct {
	list, also, out           string
	tokens, states, generated int
	hold                      bool
}

func train(o options, stdout io.Writer) error {
	lines, err := readList(o.list)
	if err != nil {
		return err
	}
	c := newCorpus(lines, o.generated, o.hold)
	if o.also != "" {
		also, err := readList(o.also)
		if err != nil {
			return err
		}
		c.judge(o.also, also)
	}
	data, model, err := learn(c, o.tokens, o.states)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "model: %d bytes, %d tokens, %d states, CRC-32 %08x\n", len(data), model.Tokens(), model.States, crc32.ChecksumIEEE(data[:len(data)-4]))
	report(stdout, model, c)
	if o.out == "" {
		return nil
	}
	return os.WriteFile(o.out, data, 0o644)
}

// learn makes a model file out of what c has to learn from.
func learn(c *corpus, tokens, states int) ([]byte, *urlcode.Model, error) {
	fragments := vocabulary(c.learn, candidates(c.learn), c.lines, tokens-urlcode.Specials)
	model, err := build(c.learn, fragments, states)
	if err != nil {
		return nil, nil, err
	}
	data, err := model.Append(nil)
	return data, model, err
}

// report prints how many bytes a stream has for each byte of the strings in it.
func report(w io.Writer, model *urlcode.Model, c *corpus) {
	encoder := urlcode.NewEncoder(model)
	var space urlcode.Workspace
	for _, set := range append([]heldSet{{"learnt from", c.learn}}, c.held...) {
		before, after := 0, 0
		for _, s := range set.samples {
			before += len(s.text)
			after += len(encoder.Append(nil, &space, [][]byte{s.text}, []urlcode.Kind{s.kind}))
		}
		if before > 0 {
			fmt.Fprintf(w, "%-50s %6d strings, %5.1f bytes each, ratio %.4f\n", set.name, len(set.samples), float64(before)/float64(len(set.samples)), float64(after)/float64(before))
		}
	}
}
