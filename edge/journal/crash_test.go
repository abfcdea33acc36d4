package journal

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// appendUntilKilled is the child: it appends numbered records from 8 goroutines and prints each one that Append acknowledged.
func appendUntilKilled(dir string) {
	w, err := Open(crashOptions(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	life := os.Getenv("JOURNAL_TEST_LIFE")
	var wg sync.WaitGroup
	for a := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%s/%d/%d", life, a, n)
				if _, err := w.Append([]byte(id + strings.Repeat(".", 100+n%200))); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				if _, err := os.Stdout.WriteString(id + "\n"); err != nil {
					os.Exit(1)
				}
			}
		})
	}
	wg.Wait()
}

func crashOptions(dir string) Options {
	return Options{Dir: dir, SegmentBytes: 64 << 10, Budget: 32 << 20, KeepBytes: 256 << 10, Sync: 5 * time.Millisecond,
		Patience: time.Minute, Consumers: []string{"test"}, Logger: quiet()}
}

// consume reads beside the child and publishes its position, so that segments are recycled under both.
type consumer struct {
	*Reader
	dir  string
	seen map[string]int
}

func (c *consumer) read(t *testing.T) {
	t.Helper()
	for n := 0; ; n++ {
		rec, err := c.Next()
		if err == ErrWait {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		id, _, _ := strings.Cut(string(rec.Payload), ".")
		c.seen[id]++
		if n%100 == 99 {
			c.publish(t)
		}
	}
	c.publish(t)
}

func (c *consumer) publish(t *testing.T) {
	t.Helper()
	if err := PublishPosition(c.dir, "test", c.Position()); err != nil {
		t.Fatal(err)
	}
}

// TestKilledWriters kills a writing process again and again: what it acknowledged is read exactly once, what it did not at most once.
func TestKilledWriters(t *testing.T) {
	dir := t.TempDir()
	r, err := NewReader(ReaderOptions{Dir: dir, OnDamage: func(d Damage) { t.Errorf("damage %+v", d) },
		OnPastEnd: func(r Run, s uint64) { t.Errorf("past the end of %s: %d", r, s) }})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := &consumer{r, dir, map[string]int{}}
	acknowledged := map[string]bool{}
	const lives = 10
	for life := range lives {
		n := len(acknowledged)
		liveAndDie(t, dir, life, c, acknowledged)
		if len(acknowledged) == n {
			t.Errorf("life %d acknowledged nothing", life)
		}
	}
	w := mustOpen(t, crashOptions(dir))
	st := w.Stats()
	mustClose(t, w)
	c.read(t)
	for id := range acknowledged {
		if c.seen[id] != 1 {
			t.Errorf("%s was acknowledged and read %d times", id, c.seen[id])
		}
	}
	for id, n := range c.seen {
		if n != 1 {
			t.Errorf("%s was read %d times", id, n)
		}
	}
	t.Logf("%d acknowledged, %d read, %d holes in the last life", len(acknowledged), len(c.seen), st.HolesSkipped)
	if len(c.seen) < 5000 {
		t.Errorf("only %d records: segments were not recycled", len(c.seen))
	}
}

func liveAndDie(t *testing.T, dir string, life int, c *consumer, acknowledged map[string]bool) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), "JOURNAL_TEST_CHILD=append", "JOURNAL_TEST_DIR="+dir, fmt.Sprint("JOURNAL_TEST_LIFE=", life))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	kill := 500 + rand.IntN(500) // ten lives make the records that are wanted in the end, wherever in them the kills fall
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		acknowledged[lines.Text()] = true
		if n%50 == 0 {
			c.read(t)
		}
		if n == kill {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("child ended by itself: %v", err)
	}
}
