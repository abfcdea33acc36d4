package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.uber.org/goleak"

	"waypost/bench/result"
)

// TestMain lets the test binary stand in for bench: the yardstick is this program begun again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "load" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := bench(ctx, os.Stdout, os.Args[1:]...)
		stop()
		if err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m,
		// fasthttp writes the Date header once a second for ever, and looks for idle workers ten seconds longer than its server lives.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.Cleanup(func(code int) {
			os.RemoveAll(builtPrograms)
			os.Exit(code)
		}),
	)
}

func bench(ctx context.Context, out *os.File, args ...string) error {
	var cli struct {
		Load    Command        `cmd:""`
		Compare CompareCommand `cmd:""`
	}
	parser, err := kong.New(&cli, kong.BindTo(ctx, (*context.Context)(nil)), kong.Writers(out, os.Stderr))
	if err != nil {
		return err
	}
	k, err := parser.Parse(args)
	if err != nil {
		return err
	}
	return k.Run()
}

// benchReport runs a command and reads the report that it writes. Its error is the command's.
func benchReport(t *testing.T, report any, args ...string) error {
	t.Helper()
	out := filepath.Join(t.TempDir(), "report.json")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	ran := bench(t.Context(), null, append(args, "--dir="+t.TempDir(), "--json="+out)...)
	if ran != nil && !errors.Is(ran, errAllVoid) {
		return ran
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, report); err != nil {
		t.Fatal(err)
	}
	return ran
}

// orVoid are runs in which no turn needs to count: on a busy machine.
func orVoid(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, errAllVoid) {
		t.Fatal(err)
	}
}

// refuses holds a command to what it says to flags.
func refuses(t *testing.T, command []string, cases map[string]string) {
	t.Helper()
	for args, want := range cases {
		all := slices.Concat(command, []string{"--dir=" + t.TempDir()}, strings.Fields(args))
		if err := bench(t.Context(), os.Stdout, all...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", args, err, want)
		}
	}
}

// testField is a field with unsealed links: the yardstick does not open them.
func testField(t *testing.T) *field {
	t.Helper()
	cores, err := allowedCores()
	if err != nil {
		t.Fatal(err)
	}
	return &field{
		connections: 8, warmup: 20 * time.Millisecond, duration: 200 * time.Millisecond,
		serverCore: cores[len(cores)-1], generatorCore: cores[0],
		links: newLinkMaker(1), requests: newRequests(browserHeaders),
		seal: func(r *requests, _ *linkMaker, n int) error {
			r.reset()
			for range n {
				r.add([]byte("/token"))
			}
			return nil
		},
	}
}

func TestTurnsOverARealServer(t *testing.T) {
	f := testField(t)
	b, err := startBare(t.Context(), t.TempDir(), f.serverCore, []string{"Location: https://example.com/", "Cache-Control: no-store"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.stop()
	addr, err := b.addr()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := ask(addr, loadHost, "/token")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Join(answer.lines(), "; "); answer.status != 302 || lines != "Cache-Control: no-store; Location: https://example.com/" {
		t.Fatalf("the yardstick answered %d %s", answer.status, lines)
	}
	c := &contestant{name: "bare", addr: addr, pid: b.pid()}
	var progress bytes.Buffer
	open, err := takeTurns(t.Context(), f, []*contestant{c}, 2, 1000, &progress)
	if err != nil {
		t.Fatal(err)
	}
	for _, turn := range open {
		if turn.Due != 200 || turn.Sent != 200 || turn.Answered != 200 || turn.Wrong != 0 || turn.Broken != 0 || faulty(turn) {
			t.Errorf("open loop: %+v; want 200 due, sent, answered", turn)
		}
	}
	closed, err := takeTurns(t.Context(), f, []*contestant{c}, 1, 0, &progress)
	if err != nil {
		t.Fatal(err)
	}
	if turn := closed[0]; turn.Answered == 0 || turn.Answered != turn.Sent || turn.Wrong != 0 || turn.Broken != 0 {
		t.Errorf("closed loop: %+v", turn)
	}
	if lines := strings.Count(progress.String(), "\n"); lines != 3 {
		t.Errorf("%d lines of progress, want 3:\n%s", lines, progress.String())
	}
}

// faulty says that a turn is void for another reason than a busy machine.
func faulty(t Turn) bool { return t.Void != "" && t.GeneratorBusy <= generatorLimit }

func TestAServerThatClosesItsConnections(t *testing.T) {
	f := testField(t)
	f.warmup = 0
	b, err := startBare(t.Context(), t.TempDir(), f.serverCore, []string{"Connection: close"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.stop()
	addr, err := b.addr()
	if err != nil {
		t.Fatal(err)
	}
	turn, err := f.turn(t.Context(), &contestant{name: "bare", addr: addr, pid: b.pid()}, 500)
	if err != nil {
		t.Fatal(err)
	}
	if turn.Sent != turn.Answered+turn.Broken || turn.Reopened == 0 || turn.Sent != 100 {
		t.Errorf("sent %d, answered %d, broken %d, reopened %d", turn.Sent, turn.Answered, turn.Broken, turn.Reopened)
	}
}

func TestNoServerIsAnErrorThatNamesIt(t *testing.T) {
	f := testField(t)
	_, err := f.turn(t.Context(), &contestant{name: "bare", addr: netip.MustParseAddrPort("127.0.0.1:1")}, 500)
	if err == nil || !strings.Contains(err.Error(), "bare: load: connection 1 of 8 to 127.0.0.1:1") {
		t.Errorf("error %v", err)
	}
}

func TestAChildThatEndsIsToldWithItsLastWords(t *testing.T) {
	f := testField(t)
	_, err := startBare(t.Context(), t.TempDir(), f.serverCore, []string{"no colon"})
	if err == nil || !strings.Contains(err.Error(), `header "no colon": want NAME: VALUE`) {
		t.Errorf("error %v", err)
	}
}

func TestFlagsThatMakeNoSense(t *testing.T) {
	refuses(t, []string{"load", "edge"}, map[string]string{
		"--open --max":                      "exclude each other",
		"--open":                            "asks for a --rate",
		"--rounds=0":                        "--rounds",
		"--connections=0":                   "--connections",
		"--server-core=0 --client-core=0":   "both on core 0",
		"--edge=/nowhere/edge --max":        "/nowhere/edge",
		"--duration=-1s":                    "--duration",
		"--headers=none":                    `must be one of "browser","minimal"`,
		"--rate=-5 --dir=" + os.TempDir():   "--rate",
		"--connections=60000 --duration=1s": "--connections",
	})
}

func turnOf(name string, round int, offered, cpu float64, void string) Turn {
	return Turn{Contestant: name, Round: round, Offered: offered, CPU: cpu, PerSecond: 1000 / cpu, Latency: map[string]float64{"p99": 10 * cpu}, Void: void}
}

func TestSummaryTakesMediansAndRatiosWithinARound(t *testing.T) {
	turns := []Turn{
		turnOf("bare", 1, 0, 5, ""), turnOf("edge", 1, 0, 6, ""),
		turnOf("bare", 2, 0, 10, ""), turnOf("edge", 2, 0, 15, ""), // a noisy minute hits both
		turnOf("bare", 3, 0, 5, "the generator's core was 95 % busy"), turnOf("edge", 3, 0, 100, ""),
		turnOf("bare", 1, 700, 7, ""), turnOf("edge", 1, 700, 14, ""),
	}
	s := summarize(turns, "bare")
	if len(s) != 4 {
		t.Fatalf("%d summaries, want 4", len(s))
	}
	bare, edge, open := s[0], s[1], s[3]
	if bare.CPU != 7.5 || bare.Rounds != 2 || len(bare.Voids) != 1 || bare.Ratios != nil {
		t.Errorf("bare: %+v", bare)
	}
	if edge.CPU != 15 || edge.Rounds != 3 || edge.Ratios["bare"]["cpu"] != (result.Spread{Min: 1.2, Median: 1.35, Max: 1.5}) || edge.Above["cpu"] != (result.Spread{Min: 1, Median: 3, Max: 5}) {
		t.Errorf("edge: %+v", edge)
	}
	if open.Offered != 700 || open.Ratios["bare"]["cpu"] != (result.Spread{Min: 2, Median: 2, Max: 2}) {
		t.Errorf("edge, open loop: %+v", open)
	}
	if slow := slowest(turns[:6]); slow != 1000.0/15 {
		t.Errorf("slowest = %v", slow)
	}
}

func TestReportIsWritten(t *testing.T) {
	r := &Report{Setup: Setup{Baselines: []string{"bare"}}, Turns: []Turn{turnOf("bare", 1, 0, 5, ""), turnOf("edge", 1, 0, 6, ""), turnOf("edge", 2, 0, 6, "why not")}}
	r.Summary = summarize(r.Turns, "bare")
	var text bytes.Buffer
	if err := r.writeTable(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"maximum, closed loop", "void: edge, round 2: why not", "1.20"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	path := filepath.Join(t.TempDir(), "report.json")
	if err := result.Write(path, r); err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(stored, &back); err != nil || len(back.Turns) != 3 {
		t.Errorf("%v, %d turns", err, len(back.Turns))
	}
}

func TestLinksAreDistinctAndRepeatable(t *testing.T) {
	a, b := newLinkMaker(7), newLinkMaker(7)
	seen := map[string]bool{}
	r := newRequests("")
	for range 1000 {
		la, lb := made(a), made(b)
		if la != lb {
			t.Fatalf("the same seed made\n%s\n%s", la, lb)
		}
		seen[la] = true
		r.add([]byte("/" + la))
	}
	if len(seen) != 1000 || r.left() != 1000 {
		t.Errorf("%d distinct links, %d requests", len(seen), r.left())
	}
	first := string(r.next())
	if !strings.HasPrefix(first, "GET /") || !strings.HasSuffix(first, " HTTP/1.1\r\nHost: links.load.test\r\n\r\n") || string(r.next()) == first {
		t.Errorf("request %q", first)
	}
	for r.next() != nil {
	}
	if r.left() != 0 {
		t.Errorf("%d left", r.left())
	}
}
