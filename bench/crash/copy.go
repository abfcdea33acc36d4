package crash

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"waypost/edge/journal"
)

// consumer is the name under which the copy publishes its positions.
const consumer = "copy"

// errPayload says that a journal's record does not begin with the length of its key.
var errPayload = errors.New("copy: record without a key")

// copier keeps a copy of one journal: every event's JSON, one a line, in the journal's order.
type copier struct {
	dir    string
	reader *journal.Reader
	file   *os.File
	out    *bufio.Writer
	next   map[journal.Run]uint64 // the lowest sequence not copied

	passes  atomic.Int64     // how often the journal's end was reached with everything before it on disk
	damages []journal.Damage // read after halt

	stop    context.CancelFunc
	running sync.WaitGroup
	err     error // why it ended by itself; read after halt
}

// startCopier copies the journal in dir into path until halt.
func startCopier(ctx context.Context, dir, path string) (*copier, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	c := &copier{dir: dir, file: file, out: bufio.NewWriter(file), next: map[journal.Run]uint64{}}
	c.reader, err = journal.NewReader(journal.ReaderOptions{
		Dir:      dir,
		Resume:   func(r journal.Run) uint64 { return c.next[r] },
		OnDamage: func(d journal.Damage) { c.damages = append(c.damages, d) },
	})
	if err != nil {
		file.Close()
		return nil, err
	}
	ctx, c.stop = context.WithCancel(ctx)
	c.running.Go(func() { c.err = c.loop(ctx) })
	return c, nil
}

// halt ends the copier and says what went wrong in its life.
func (c *copier) halt() error {
	c.stop()
	c.running.Wait()
	return errors.Join(c.err, c.reader.Close(), c.file.Close())
}

func (c *copier) loop(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := c.pass(); err != nil {
			return err
		}
		c.passes.Add(1)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// pass copies what is there, syncs it, and only then publishes the position: a segment that was given back is never needed again.
func (c *copier) pass() error {
	copied := 0
	for {
		r, err := c.reader.Next()
		if err == journal.ErrWait {
			break
		}
		if err != nil {
			return fmt.Errorf("copy: %w", err)
		}
		if err := c.write(r.Payload); err != nil {
			return err
		}
		c.next[r.Run] = r.Sequence + 1
		copied++
	}
	if copied == 0 {
		return nil
	}
	if err := errors.Join(c.out.Flush(), c.file.Sync()); err != nil {
		return err
	}
	p := c.reader.Position()
	c.next[p.Run] = p.Sequence
	if err := journal.PublishPosition(c.dir, consumer, p); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// write copies a payload's document: what follows its key, which has its length in front.
func (c *copier) write(payload []byte) error {
	if len(payload) < 2 {
		return errPayload
	}
	keyLen := int(binary.BigEndian.Uint16(payload))
	if len(payload) < 2+keyLen {
		return errPayload
	}
	if _, err := c.out.Write(payload[2+keyLen:]); err != nil {
		return err
	}
	return c.out.WriteByte('\n')
}
