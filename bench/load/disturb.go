package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// DisturbCommand is a program that has nothing to do with Waypost and keeps the disk busy: it overwrites a file block by block, and syncs each.
type DisturbCommand struct {
	File  string `arg:"" help:"The file; made when it is missing."`
	Block int    `help:"Bytes of a block." default:"1048576"`
}

// disturbBlocks is how many blocks the file has.
const disturbBlocks = 64

// Run writes until ctx ends.
func (c *DisturbCommand) Run(ctx context.Context, k *kong.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM) // Ctrl-C does not reach it: the bench ends it
	defer stop()
	file, err := os.OpenFile(c.File, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	block := bytes.Repeat([]byte("disturb "), c.Block/8)
	fmt.Fprintf(k.Stdout, "disturb ready on %s\n", c.File)
	for n := int64(0); ctx.Err() == nil; n++ {
		if _, err := file.WriteAt(block, n%disturbBlocks*int64(len(block))); err != nil {
			return errors.Join(err, file.Close())
		}
		if err := syscall.Fdatasync(int(file.Fd())); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return file.Close()
}

// disturbance runs DisturbCommand beside turns, and says how much it wrote.
type disturbance struct {
	dir     string
	core    int
	pid     int // 0: it does not run
	bytes   int64
	running time.Duration
}

// begin starts it; end stops it.
func (d *disturbance) begin(ctx context.Context) (end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// It shares the generator's core, and is to keep the disk busy, not the generator: SCHED_IDLE, whoever else wakes up runs at once.
	c, err := startChild(ctx, d.core, filepath.Join(d.dir, "disturb.log"), "disturb", "chrt", "--idle", "0", self, "load", "disturb", filepath.Join(d.dir, "disturb.data"))
	if err != nil {
		return nil, err
	}
	d.pid = c.pid()
	begun := time.Now()
	return func() {
		d.pid = 0
		if n, err := writtenBytes(c.pid()); err == nil { // else it has ended, and the rate tells
			d.bytes += n
		}
		d.running += time.Since(begun)
		c.stop()
	}, nil
}

// perSecond is how many MiB a second it wrote and synced.
func (d *disturbance) perSecond() float64 {
	if d.running == 0 {
		return 0
	}
	return float64(d.bytes) / (1 << 20) / d.running.Seconds()
}

// writtenBytes is what the process has had written to disks.
func writtenBytes(pid int) (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/io")
	if err != nil {
		return 0, err
	}
	return statusNumber(text, "write_bytes"), nil
}
