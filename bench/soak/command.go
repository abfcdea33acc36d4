package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kong"

	"waypost/bench/result"
)

// ErrVerdict says that something grew, or that a click was lost or doubled. It was printed already.
var ErrVerdict = errors.New("the soak failed")

// Command is `bench soak`.
type Command struct {
	Minutes      float64       `help:"How long the load lasts." default:"10"`
	Rate         float64       `help:"Clicks a second, in an open loop." default:"2000"`
	Connections  int           `help:"Clicks under way at once, at most." default:"64"`
	RestartEvery time.Duration `help:"From the restart of one program to that of the next: edge, sink, mint, edge ... 0s: a sixth of the run. Negative: never." default:"0s"`
	SampleEvery  time.Duration `help:"Between two samples." default:"2s"`
	JSON         string        `help:"Writes the report to this file too, with every sample." placeholder:"FILE" type:"path"`
	Dir          string        `help:"Where the stack's files are while it runs; a run that fails leaves them." default:"var/soak" type:"path"`
	Bin          string        `help:"Folder of the programs edge, mint and sink; the folder of bench itself when not given." type:"path"`
}

// Validate bounds the flags. kong calls it.
func (c *Command) Validate() error {
	switch {
	case c.Minutes <= 0 || c.Minutes > 60*24*31:
		return fmt.Errorf("--minutes=%g: must be above 0, and at most a month", c.Minutes)
	case c.Rate < 1 || c.Rate > 50_000:
		return fmt.Errorf("--rate=%g: must be from 1 to 50000", c.Rate)
	case c.Connections < 1 || c.Connections > 10_000:
		return fmt.Errorf("--connections=%d: must be from 1 to 10000", c.Connections)
	case c.SampleEvery < 10*time.Millisecond:
		return fmt.Errorf("--sample-every=%v: must be at least 10ms", c.SampleEvery)
	}
	return nil
}

func (c *Command) lasts() time.Duration { return time.Duration(c.Minutes * float64(time.Minute)) }

// restartEvery is 0 for never.
func (c *Command) restartEvery() time.Duration {
	switch {
	case c.RestartEvery < 0:
		return 0
	case c.RestartEvery == 0:
		return c.lasts() / 6
	}
	return c.RestartEvery
}

// Run soaks and prints the verdict as the last line; a bad one is ErrVerdict.
func (c *Command) Run(ctx context.Context, k *kong.Context) error {
	if c.Bin == "" {
		own, err := os.Executable()
		if err != nil {
			return err
		}
		c.Bin = filepath.Dir(own)
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.Dir, "run-")
	if err != nil {
		return err
	}
	report, err := c.soak(ctx, dir, k.Stderr)
	if err != nil {
		return fmt.Errorf("soak: %w; see %s", err, dir)
	}
	report.write(k.Stdout)
	if err := result.Write(c.JSON, report); err != nil {
		return err
	}
	if report.Verdict != passed {
		fmt.Fprintf(k.Stderr, "logs, journal and store: %s\n", dir)
		return ErrVerdict
	}
	return os.RemoveAll(dir)
}
