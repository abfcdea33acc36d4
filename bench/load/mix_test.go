package load

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"waypost/mint/link"
)

// stream is the first n requests of a mix, and the links that they lead to.
func stream(t *testing.T, m *mix, seed uint64, n int) (heads []byte, to []string) {
	t.Helper()
	keys, err := link.NewKeyring(0, [64]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	links := newLinkMaker(seed)
	links.minted = 1 // a minute may end between two streams
	next := m.maker(keys, links, seed)
	for range n {
		var destination []byte
		if heads, destination, err = next(heads); err != nil {
			t.Fatal(err)
		}
		to = append(to, string(destination))
	}
	return heads, to
}

func TestMixesAreRepeatable(t *testing.T) {
	for _, m := range mixes {
		t.Run(m.name, func(t *testing.T) {
			a, to := stream(t, m, 7, 200)
			again, toAgain := stream(t, m, 7, 200)
			if !bytes.Equal(a, again) || !slices.Equal(to, toAgain) {
				t.Error("the same seed made other requests")
			}
			if other, _ := stream(t, m, 8, 200); bytes.Equal(a, other) {
				t.Error("another seed made the same requests")
			}
			if lines := bytes.Count(a, []byte(lineEnd)); lines != 200 {
				t.Errorf("%d request lines, want 200", lines)
			}
		})
	}
}

// The enumeration of --mix and its help are written by hand, since kong reads them from a tag.
func TestTheFlagNamesAllMixes(t *testing.T) {
	field, _ := reflect.TypeFor[EdgeCommand]().FieldByName("Mix")
	var names []string
	for _, m := range mixes {
		names = append(names, m.name)
	}
	if enum := field.Tag.Get("enum"); enum != strings.Join(names, ",") {
		t.Errorf("enum %s, mixes %v", enum, names)
	}
	for _, want := range append(names, "10000 links", "k^-1.1", "all 8 links", "8 times as many") {
		if help := field.Tag.Get("help"); !strings.Contains(help, want) {
			t.Errorf("no %q in the help: %s", want, help)
		}
	}
}

func TestZipfIsHot(t *testing.T) {
	heads, _ := stream(t, mixOf("zipf"), 1, 10_000)
	count := map[string]int{}
	for line := range bytes.Lines(heads) {
		count[string(line)]++
	}
	hottest := 0
	for _, n := range count {
		hottest = max(hottest, n)
	}
	// By the exponent and the number of links, the hottest has 15.6 % of the requests; a link that only one person has would be asked for once.
	if hottest < 1400 || hottest > 1720 || len(count) < 1000 || len(count) > 6000 {
		t.Errorf("%d links, the hottest asked for %d times of 10000", len(count), hottest)
	}
}

func TestForgedLinksDifferInOneCharacter(t *testing.T) {
	heads, _ := stream(t, mixOf("forged"), 1, 300)
	right, _ := stream(t, mixOf(distinctMix), 1, 300)
	rightLines := bytes.Split(right, []byte("\r\n"))
	for i, line := range bytes.Split(heads, []byte("\r\n")) {
		changed := 0
		for j := range line {
			if line[j] != rightLines[i][j] {
				changed++
			}
		}
		if len(line) > 0 && changed != 1 {
			t.Errorf("request %d: %d characters changed\n%s\n%s", i, changed, line, rightLines[i])
		}
	}
}

// What is mangled here is what the edge's own table says is mended, in all classes that are followed.
func TestManglesAreThoseOfTheTable(t *testing.T) {
	text, err := os.ReadFile("../../edge/internal/repair/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Vectors []struct{ Path, Class string }
	}
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	classes := map[string]string{}
	for _, v := range table.Vectors {
		classes[v.Path], left[v.Class] = v.Class, true
	}
	for i := range mangles {
		m := &mangles[i]
		if classes[m.path] != m.class {
			t.Errorf("%s: class %s, in the table %q", m.path, m.class, classes[m.path])
		}
		delete(left, m.class)
	}
	for class := range left {
		if !slices.Contains([]string{"none", "truncated", "folded", "rot13"}, class) {
			t.Errorf("no %s among the mangled links", class)
		}
	}
}

func TestMangling(t *testing.T) {
	got := map[string]string{}
	for i := range mangles {
		got[mangles[i].path] = string(mangles[i].append(nil, []byte("ab-cd_ef")))
	}
	for path, want := range map[string]string{
		"({token})": "(ab-cd_ef)", "{percent}": "ab%2Dcd%5Fef", "{percent2}": "ab%252Dcd%255Fef", "{entity}": "ab&%2345;cd&%2395;ef", "{quoted}": "ab=2Dcd=5Fef",
		"{head}=%0D%0A{tail}": "ab-c=%0D%0Ad_ef",
	} {
		if got[path] != want {
			t.Errorf("%s: %s, want %s", path, got[path], want)
		}
	}
	for i := range mangles {
		if plain := string(mangles[i].append(nil, []byte("abcd"))); plain == "abcd" {
			t.Errorf("%s: a token without marks is not changed", mangles[i].path)
		}
	}
}

func TestASweepAsksForAllLinksOfAMail(t *testing.T) {
	heads, to := stream(t, mixOf("sweep"), 1, 2*2*mailLinks)
	lines := strings.Split(strings.TrimSuffix(string(heads), "\r\n"), "\r\n")
	if len(lines) != 2*len(to) {
		t.Fatalf("%d lines, want a request line and a header for each of %d requests", len(lines), len(to))
	}
	seen := map[string]bool{}
	for i := range to {
		client := lines[2*i+1]
		if want := []string{"X-Forwarded-For: 198.18.0.1", "X-Forwarded-For: 198.18.0.2"}[i/(2*mailLinks)]; client != want {
			t.Errorf("request %d: %s, want %s", i, client, want)
		}
		method, rest, _ := strings.Cut(lines[2*i], " ")
		if want := []string{"HEAD", "GET"}[i%2]; method != want || seen[method+rest] {
			t.Errorf("request %d: %s, want another link by %s", i, lines[2*i], want)
		}
		seen[method+rest] = true
		if i%2 == 1 && to[i] != to[i-1] {
			t.Errorf("request %d leads to %s, the one before it to %s", i, to[i], to[i-1])
		}
	}
}

func TestSchedules(t *testing.T) {
	const rate, window = 10_000, 2 * time.Second
	for name, schedule := range map[string]scheduler{"sweeps": sweeps, "burst": burst} {
		due := schedule(rate, window, 3)
		if !slices.Equal(due, schedule(rate, window, 3)) || slices.Equal(due, schedule(rate, window, 4)) {
			t.Errorf("%s: the seed does not decide", name)
		}
		if n := len(due); n < 18_000 || n > 22_000 || !slices.IsSorted(due) || due[0] < 0 || due[n-1] >= int64(window) {
			t.Errorf("%s: %d requests from %d to %d ns", name, n, due[0], due[n-1])
		}
	}
	tenth := func(due []int64, i int64) (n int) {
		for _, at := range due {
			if at*10/int64(window) == i {
				n++
			}
		}
		return n
	}
	// Of 20,000: 6,700 a window at the peak, which falls by a fifth within the first tenth; 840 at the end.
	due := burst(rate, window, 3)
	if first, last := tenth(due, 0), tenth(due, 9); first < 4900 || first > 5800 || last < 800 || last > 980 {
		t.Errorf("a burst has %d requests in its first tenth and %d in its last", first, last)
	}
}

// A schedule is kept as a rate is: each request counts from when it was due.
func TestAScheduleIsKept(t *testing.T) {
	due := burst(1000, 2*time.Second, 1)
	o := fly(t, driver{rate: 1000, schedule: due, connections: 4, duration: 2 * second, drain: second}, &simWire{service: 1000}, endless)
	if o.due != uint64(len(due)) || o.right != o.due || o.broken != 0 || o.exhausted {
		t.Errorf("due %d, right %d, broken %d; want %d", o.due, o.right, o.broken, len(due))
	}
	// Two due at once wait for one connection.
	o = fly(t, driver{rate: 2, schedule: []int64{5, 5, second / 2}, connections: 1, duration: second, drain: second}, &simWire{service: millisecond}, endless)
	if o.right != 3 || o.latency.Max() < 2*millisecond || o.latency.Max() > 2*millisecond+millisecond/10 || o.latency.Min() > millisecond+millisecond/100 {
		t.Errorf("right %d, latencies %d to %d", o.right, o.latency.Min(), o.latency.Max())
	}
}

func TestMixesOverTheRealEdge(t *testing.T) {
	for _, name := range []string{"forged", "mangled", "sweep"} { // zipf: below
		t.Run(name, func(t *testing.T) {
			report := measured(t, "load", "edge", "--mix="+name, "--open", "--rate=500", "--rounds=1", "--no-steady")
			if report.Setup.Mix != name || len(report.Turns) != 2 {
				t.Fatalf("mix %s, %d turns; want %s, 2", report.Setup.Mix, len(report.Turns), name)
			}
			bare, edge := report.Turns[0], report.Turns[1]
			if bare.Answered == 0 || bare.Answered != edge.Answered || edge.Answered != edge.Due || faulty(bare) || faulty(edge) {
				t.Errorf("bare %+v\nedge %+v\nwant as many right answers from both", bare, edge)
			}
		})
	}
}

func TestNewConnectionsAndOtherEdges(t *testing.T) {
	report := measured(t, "load", "edge", "--mix=zipf", "--new-connections", "--cacheless", "--other-edge="+buildProgram(t, "edge"), "--open", "--rate=500", "--rounds=1", "--no-steady")
	if !report.Setup.NewConnections || !slices.Equal(report.Setup.Baselines, []string{"bare", "edge"}) {
		t.Errorf("%+v", report.Setup)
	}
	var names []string
	for _, turn := range report.Turns {
		names = append(names, turn.Contestant)
		// On kept connections a server that closes them would have each opened again.
		if turn.Answered != 100 || turn.Reopened != 0 || faulty(turn) {
			t.Errorf("%+v; want 100 answered", turn)
		}
	}
	if !slices.Equal(names, []string{"bare", "edge", "edge-cacheless", "edge-other"}) {
		t.Errorf("contestants %v", names)
	}
}

func TestABurstHasNoMaximum(t *testing.T) {
	refuses(t, []string{"load", "edge"}, map[string]string{
		"--mix=burst --max": "--max excludes it",
		"--mix=other":       "must be one of",
	})
}
