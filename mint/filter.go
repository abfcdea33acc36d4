package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"waypost/mint/filter"
)

type filterCommand struct {
	Test filterTestCommand `cmd:"" help:"Print for each URL whether the expression matches it, and what of it: bytes from-to; or where the expression has a mistake (exit 1)."`
}

// filterTestCommand needs no settings.
type filterTestCommand struct {
	Expression string   `arg:"" help:"The PCRE expression, as a tenant's filter has it; -- in front of one that begins with -."`
	URLs       []string `arg:"" name:"url" help:"Links as they stand in the mail."`
}

// Run prints a line a URL. What the filter gives up on makes the exit code 1: such a link would be left.
func (c *filterTestCommand) Run(p *program) error {
	f, err := filter.Compile(c.Expression)
	var wrong *filter.SyntaxError
	switch {
	case errors.As(err, &wrong):
		return fmt.Errorf("the expression: %w\n%s", err, pointed(wrong))
	case err != nil:
		return err
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "LINK\tBYTES\tMATCHED\tURL")
	failed := 0
	for _, url := range c.URLs {
		where, matches, err := f.Match([]byte(url))
		switch {
		case err != nil:
			failed++
			_, _ = fmt.Fprintf(table, "left\t\t(%v)\t%s\n", err, shown(url))
		case matches:
			_, _ = fmt.Fprintf(table, "replaced\t%d-%d\t%s\t%s\n", where.From, where.To, shown(url[where.From:where.To]), shown(url))
		default:
			_, _ = fmt.Fprintf(table, "left\t\t\t%s\n", shown(url))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("of %d of %d URLs the filter does not say whether they match", failed, len(c.URLs))
	}
	return nil
}

// pointed is the expression with a mark below the place of the mistake.
func pointed(wrong *filter.SyntaxError) string {
	before := shown(wrong.Expression[:wrong.Offset])
	return fmt.Sprintf("  %s\n  %s^", before+shown(wrong.Expression[wrong.Offset:]), strings.Repeat(" ", utf8.RuneCountInString(before)))
}

// shown keeps what a terminal would not print on its line.
func shown(s string) string {
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`), `\\`, `\`)
}
