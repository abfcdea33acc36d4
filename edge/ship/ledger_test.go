package ship

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"waypost/edge/journal"
)

func TestPlacesFollowWhatIsAcknowledged(t *testing.T) {
	l := newLedger(2)
	r := l.of(7)
	r.take(0, 512, 520)
	r.end = 520
	if r.place(0) != 512 || r.place(1) != 520 {
		t.Errorf("with a record under way: %d, %d; want 512, 520: a partition with nothing under way is done with all that was read", r.place(0), r.place(1))
	}
	r.take(1, 520, 530)
	r.take(0, 530, 540)
	r.end = 540
	r.ack(0, 540)
	if r.place(0) != 540 || r.place(1) != 520 || r.done() || r.least() != 520 {
		t.Errorf("places %d, %d", r.place(0), r.place(1))
	}
	r.ack(1, 530)
	if !r.level() || r.done() || r.least() != 540 {
		t.Errorf("all acknowledged: least %d, level %v, done %v; more may come of the run", r.least(), r.level(), r.done())
	}
	l.settle(l.of(8))
	if !r.done() {
		t.Error("the reader has gone on, and the run is not done")
	}
}

func TestWhatAPartitionMissedIsReadAgain(t *testing.T) {
	l := newLedger(2)
	r := l.of(7)
	r.take(0, 512, 520)
	r.end = 520
	r.miss(0, 530) // behind what is under way
	r.miss(0, 540)
	r.take(1, 550, 560)
	r.end = 560
	r.ack(1, 560)
	if at := l.resume(7); at != 530 {
		t.Errorf("resume at %d, want 530: the first that was missed", at)
	}
	if r.place(0) != 512 || r.place(1) != 560 || l.resume(8) != 0 {
		t.Errorf("places %d, %d", r.place(0), r.place(1))
	}
	r.ack(0, 520)
	l.settle(l.of(9))
	if r.place(0) != 520 || r.done() {
		t.Errorf("place %d, want 520: what was missed is not done", r.place(0))
	}
	l.goBack([]int{0})
	if r.whole || r.end != 530 || r.place(0) != 530 || r.place(1) != 560 || l.resume(7) != 530 {
		t.Errorf("on the way back: end %d, places %d, %d", r.end, r.place(0), r.place(1))
	}
}

func TestARunThatVanishedHoldsNothingUp(t *testing.T) {
	l := newLedger(2)
	old := l.of(1)
	old.end, old.acked, old.taken = 100, []uint64{100, 900}, []uint64{100, 900}
	fresh := l.of(2)
	if at, ok := l.published(); !ok || at.Run != 1 {
		t.Errorf("published %v", at)
	}
	l.settle(fresh)
	fresh.end = 512
	if at, ok := l.published(); !ok || at != (journal.Position{Run: 2, Sequence: 512}) {
		t.Errorf("published %v, want the newer run", at)
	}
	if _, ok := newLedger(3).published(); ok {
		t.Error("an empty ledger has a position")
	}
}

func TestStateSurvivesAndIsHeldToItsTopic(t *testing.T) {
	l := newLedger(3)
	done := l.of(0xa)
	done.end = 4096
	half := l.of(0xc) // being read again for what was missed: all stand at its end, and more will come
	half.end = 800
	l.settle(half)
	busy := l.of(0xb)
	busy.take(1, 600, 610)
	busy.end = 700
	path := filepath.Join(t.TempDir(), "state")
	if empty, err := loadState(path, "t", 3); err != nil || len(empty.runs) != 0 {
		t.Fatalf("no file: %v, %v", empty, err)
	}
	if err := saveState(path, l.text("t")); err != nil {
		t.Fatal(err)
	}
	back, err := loadState(path, "t", 3)
	if err != nil {
		t.Fatal(err)
	}
	if a := back.byRun[0xa]; a.end != 4096 || !a.done() || back.resume(0xa) != 4096 {
		t.Errorf("the finished run: %+v", a)
	}
	if c := back.byRun[0xc]; c.end != 800 || c.done() {
		t.Errorf("the run that was being read again: %+v", c)
	}
	b := back.byRun[0xb]
	if b.end != 600 || b.taken[0] != 700 || b.taken[1] != 600 || b.taken[2] != 700 || back.resume(0xb) != 600 {
		t.Errorf("the run with a record under way: %+v", b)
	}
	if _, err := loadState(path, "u", 3); !errors.Is(err, ErrTopic) {
		t.Errorf("another topic: %v", err)
	}
	if _, err := loadState(path, "t", 4); !errors.Is(err, ErrPartitions) {
		t.Errorf("another number of partitions: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		changed := bytes.Clone(text)
		changed[i] ^= 1
		if err := os.WriteFile(path, changed, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := loadState(path, "t", 3); !errors.Is(err, ErrState) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

func FuzzState(f *testing.F) {
	l := newLedger(2)
	l.of(1).end = 5
	l.of(2).take(0, 8, 9)
	f.Add(l.text("t"))
	f.Add([]byte("waypost-ship 1 t 2\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parseState(text, "t", 2)
		if err != nil {
			return
		}
		again, err := parseState(l.text("t"), "t", 2)
		if err != nil || !bytes.Equal(again.text("t"), l.text("t")) {
			t.Errorf("%q is read, and not read again: %v", text, err)
		}
	})
}
