package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"waypost/edge/event"
	"waypost/edge/journal"
)

// journalCommand looks into a journal, also one that a living edge writes; Ship alone needs a dead one.
type journalCommand struct {
	Cat    catCommand    `cmd:"" help:"Print the events, one JSON line each."`
	Tail   tailCommand   `cmd:"" help:"Print the last events, and new ones as they come, until a signal."`
	Verify verifyCommand `cmd:"" help:"Read every record; say which is damaged (exit 1)."`
	Ship   shipCommand   `cmd:"" help:"Ship to Kafka what a dead edge left behind."`
}

type catCommand struct {
	Dir string `arg:"" help:"The journal's directory."`
}

type tailCommand struct {
	Dir   string `arg:"" help:"The journal's directory."`
	Lines int    `short:"n" default:"10" help:"How many of the events that are there."`
}

type verifyCommand struct {
	Dir string `arg:"" help:"The journal's directory."`
}

// inspection reads a journal for a person.
type inspection struct {
	reader  *journal.Reader
	damaged int
	stderr  io.Writer
}

func inspect(dir string, stderr io.Writer) (*inspection, error) {
	err := isDirectory(dir)
	if err != nil {
		return nil, err
	}
	i := &inspection{stderr: stderr}
	i.reader, err = journal.NewReader(journal.ReaderOptions{
		Dir:      dir,
		Resume:   func(journal.Run) uint64 { return 0 },
		OnDamage: i.damage,
	})
	return i, err
}

func isDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", dir)
	}
	return err
}

func (i *inspection) damage(d journal.Damage) {
	i.report("damaged: run %v, segment %d, byte %d, %d bytes: %s", d.Run, d.Segment, d.Offset, d.Bytes, d.Reason)
}

func (i *inspection) report(format string, values ...any) {
	i.damaged++
	_, _ = fmt.Fprintf(i.stderr, format+"\n", values...)
}

// next gives the next document; journal.ErrWait when there is none yet. Records that are no events are reported and passed over.
func (i *inspection) next() (document []byte, record journal.Record, err error) {
	for {
		record, err = i.reader.Next()
		if err != nil {
			return nil, record, err
		}
		_, document, err = event.SplitRecord(record.Payload)
		if err == nil {
			return document, record, nil
		}
		i.report("damaged: run %v, sequence %d: %v", record.Run, record.Sequence, err)
	}
}

// finish closes the reader and makes damage an error.
func (i *inspection) finish() error {
	if err := i.reader.Close(); err != nil {
		return err
	}
	return i.verdict()
}

func (i *inspection) verdict() error {
	if i.damaged > 0 {
		return fmt.Errorf("journal damaged at %d places", i.damaged)
	}
	return nil
}

// Run prints what is there.
func (c *catCommand) Run(p *program) error {
	i, err := inspect(c.Dir, p.stderr)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(p.stdout, 1<<16)
	for {
		document, _, err := i.next()
		if err == journal.ErrWait {
			break
		}
		if err == nil {
			err = writeLine(out, document)
		}
		if err != nil {
			_ = i.reader.Close()
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return i.finish()
}

func writeLine(out *bufio.Writer, document []byte) error {
	_, _ = out.Write(document) // a bufio.Writer keeps its first error
	return out.WriteByte('\n')
}

// tailPoll is how often tail looks for new events.
const tailPoll = 50 * time.Millisecond

// Run prints the last events and follows.
func (c *tailCommand) Run(p *program) error {
	i, err := inspect(c.Dir, p.stderr)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(p.stdout)
	last, begun := make([][]byte, 0, max(c.Lines, 0)), false
	poll := time.NewTicker(tailPoll)
	defer poll.Stop()
	for {
		document, _, err := i.next()
		switch {
		case err == journal.ErrWait:
			for _, line := range last {
				_ = writeLine(out, line)
			}
			last, begun = nil, true
			if err := out.Flush(); err != nil {
				return err
			}
			select {
			case <-poll.C:
			case <-p.signals:
				return i.finish()
			}
		case err != nil:
			return err
		case begun:
			_ = writeLine(out, document) // Flush gives the error
		case c.Lines > 0:
			if len(last) == c.Lines {
				last = append(last[:0], last[1:]...)
			}
			last = append(last, bytes.Clone(document))
		}
	}
}

// Run reads every record and decodes its event.
func (c *verifyCommand) Run(p *program) error {
	if err := isDirectory(c.Dir); err != nil {
		return err
	}
	i := &inspection{stderr: p.stderr}
	var decoder event.Decoder
	report, err := journal.Verify(c.Dir, i.damage, func(record journal.Record) { i.check(&decoder, record) })
	if err != nil {
		return err
	}
	for _, run := range report.Runs {
		state := "finished"
		if !run.Finished {
			state = "open: its edge is running, or died and has not been started again"
		}
		_, _ = fmt.Fprintf(p.stdout, "run %v: %d events of %d bytes in %d segments, sequences %d to %d; %s\n",
			run.Run, run.Records, run.Bytes, run.Segments, run.First, run.Last, state)
	}
	if err := i.verdict(); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(p.stdout, "%d events, %d holes of unanswered clicks, no damage\n", report.Records, report.Holes)
	return nil
}

// check reports a record that is no event of its place.
func (i *inspection) check(decoder *event.Decoder, record journal.Record) {
	_, document, err := event.SplitRecord(record.Payload)
	var e event.Event
	if err == nil {
		err = decoder.Decode(&e, document)
	}
	if err == nil && e.ID != (event.ID{Run: uint64(record.Run), Sequence: record.Sequence}) {
		err = fmt.Errorf("the event says %v", e.ID)
	}
	if err != nil {
		i.report("damaged: run %v, sequence %d: %v", record.Run, record.Sequence, err)
	}
}
