package live

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/edge/journal"
)

var cursors = []cursor{
	{kind: ofJournals},
	{kind: ofJournals, journals: []journal.Position{{Run: 1<<64 - 1, Sequence: 512}}},
	{kind: ofJournals, journals: []journal.Position{{Run: 7, Sequence: 9_999_999_999_999_999}, {Run: 0x0123456789abcdef, Sequence: 1}}},
	{kind: ofEvents, offsets: []int64{0, 1, 1<<62 - 1}},
	{kind: ofEvents, offsets: []int64{5, 6}, runs: []seenRun{{run: 3, last: []uint64{0, 700}}, {run: 1 << 63, last: []uint64{512, 513}}}},
	{kind: ofUnique, offsets: []int64{5, 6}, sources: []int64{-1, 1 << 40}},
}

func TestCursorsComeBack(t *testing.T) {
	for _, c := range cursors {
		text := string(c.appendText(nil))
		got, err := parseCursor(text)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if diff := cmp.Diff(c, *got, cmp.AllowUnexported(cursor{}, seenRun{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		for i := range text { // a changed or a lost character is no cursor
			for _, other := range []string{text[:i], text[:i] + string(text[i]^1) + text[i+1:]} {
				if _, err := parseCursor(other); err == nil {
					t.Errorf("%s is taken for %s", other, text)
				}
			}
		}
	}
}

// A cursor stays within its limit, and gives up first what was met longest ago.
func TestCursorsAreBounded(t *testing.T) {
	c := cursor{kind: ofEvents, offsets: make([]int64, maxPartitions)}
	for i := range c.offsets {
		c.offsets[i] = 1 << 50
	}
	for run := range uint64(200) {
		last := make([]uint64, maxPartitions)
		for p := range last {
			last[p] = 1 + uint64(p)<<20
		}
		c.runs = append(c.runs, seenRun{run, last})
	}
	text := string(c.appendText(nil))
	got, err := parseCursor(text)
	if err != nil || len(text) > 6000 {
		t.Fatalf("%d characters, %v", len(text), err)
	}
	if len(got.offsets) != maxPartitions || len(got.runs) > 0 && got.runs[0].run != 0 {
		t.Errorf("%d offsets, %d runs", len(got.offsets), len(got.runs))
	}
	c.offsets, c.runs = c.offsets[:12], nil
	for run := range uint64(200) {
		c.runs = append(c.runs, seenRun{run, make([]uint64, 12)})
		for p := range 12 {
			c.runs[run].last[p] = 1<<40 + uint64(p)<<10
		}
	}
	got, err = parseCursor(string(c.appendText(nil)))
	if err != nil || len(got.runs) < mostRuns || got.runs[0].run != 0 {
		t.Errorf("%d runs at 12 partitions: %v", len(got.runs), err)
	}
}

// What parses is written back as it was, and nothing makes the parser fail otherwise.
func FuzzCursor(f *testing.F) {
	for _, c := range cursors {
		f.Add(string(c.appendText(nil)))
	}
	f.Add("")
	f.Add(strings.Repeat("A", 6001))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err == nil && string(c.appendText(nil)) != text {
			t.Errorf("%q is written back as %q", text, c.appendText(nil))
		}
		// The same bytes with a checksum that is right: what is behind it must hold too.
		if raw, err := text64.DecodeString(text); err == nil && len(raw) >= 4 {
			signed := text64.EncodeToString(withSum(raw[: len(raw)-4 : len(raw)-4]))
			if c, err := parseCursor(signed); err == nil && string(c.appendText(nil)) != signed {
				t.Errorf("%q is written back as %q", signed, c.appendText(nil))
			}
		}
	})
}
