package report

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
)

// Command is `bench report`.
type Command struct {
	Results  []string `arg:"" help:"Files that other commands wrote by --json, and folders of them." type:"path"`
	Markdown string   `help:"Writes Markdown to this file; without --markdown and --html it goes to stdout." placeholder:"FILE" type:"path"`
	HTML     string   `name:"html" help:"Writes one page with plots to this file; it needs nothing else, and no network." placeholder:"FILE" type:"path"`
}

// Run reads all and writes what was asked for. Nothing is written where one of the files cannot be read.
func (c *Command) Run(_ context.Context, k *kong.Context) error {
	runs, err := read(c.Results)
	if err != nil {
		return err
	}
	p := pageOf(runs)
	if c.Markdown == "" && c.HTML == "" {
		return p.writeMarkdown(k.Stdout)
	}
	if err := c.write(k.Stderr, c.Markdown, p.writeMarkdown); err != nil {
		return err
	}
	return c.write(k.Stderr, c.HTML, p.writeHTML)
}

// write makes the file at path whole, or leaves the one that is there.
func (c *Command) write(progress io.Writer, path string, make func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	var b bytes.Buffer
	if err := make(&b); err != nil {
		return err
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return err
	}
	_, err := fmt.Fprintf(progress, "wrote %s, %d bytes\n", path, b.Len())
	return err
}
