package kafka

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// command runs `bench kafka ARGS` in this process and gives what it printed.
func command(ctx context.Context, t *testing.T, args ...string) (string, error) {
	t.Helper()
	var cli struct {
		Kafka Command `cmd:""`
	}
	var out bytes.Buffer
	parser, err := kong.New(&cli, kong.BindTo(ctx, (*context.Context)(nil)), kong.Writers(&out, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	k, err := parser.Parse(append([]string{"kafka"}, args...))
	if err != nil {
		return "", err
	}
	err = k.Run()
	return out.String(), err
}

func TestCommands(t *testing.T) {
	// The commands look for the jars beside the cluster's directory; this also fetches them where no test has yet.
	startTest(t, Options{}).Close()
	parent := t.TempDir()
	if err := os.Symlink(testJars(t), filepath.Join(parent, "jars")); err != nil {
		t.Fatal(err)
	}
	dir := "--dir=" + filepath.Join(parent, "cluster")
	run := func(want string, args ...string) {
		t.Helper()
		out, err := command(t.Context(), t, append(args, dir)...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v: %v, printed %q; want %q in it", args, err, out, want)
		}
	}
	if _, err := command(t.Context(), t, "status", dir); !errors.Is(err, ErrNoCluster) {
		t.Errorf("status of nothing: %v", err)
	}
	run("nothing runs", "down")
	t.Cleanup(func() { _, _ = command(context.Background(), t, "down", "--wipe", dir) })
	run("kafka ready on 127.0.0.1:", "up", "--port=0")
	run("node 1", "up", "--port=0") // once more: it runs already
	run("running, process", "status")
	if _, err := command(t.Context(), t, "up", "--nodes=3", "--port=0", dir); err == nil || !strings.Contains(err.Error(), "holds a cluster of 1 nodes") {
		t.Errorf("up with another number of nodes: %v", err)
	}
	run("node 1 killed", "kill", "1")
	if out, err := command(t.Context(), t, "status", dir); err == nil || !strings.Contains(out, "stopped") {
		t.Errorf("status of a dead node: %v, %q", err, out)
	}
	run("node 1 runs", "start", "1")
	run("stopped", "down", "--wipe")
	if _, err := os.Stat(filepath.Join(parent, "cluster")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after --wipe: %v", err)
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for want, o := range map[string]Options{
		"Dir is required": {},
		"1 or 3":          {Dir: "x", Nodes: 2},
		"0 to 65000":      {Dir: "x", Port: 70000},
		`user "a b"`:      {Dir: "x", Users: []User{{"a b", "c"}}},
		`user ""`:         {Dir: "x", Users: []User{{"", "c"}}},
		`user "a"`:        {Dir: "x", Users: []User{{"a", "c];"}}},
	} {
		if _, err := Start(t.Context(), o); !errors.Is(err, errOptions) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", o, err, want)
		}
	}
}

func TestJarsAreHeldToTheirSums(t *testing.T) {
	// The sums of "a" and "b".
	const sums = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a.jar\n" +
		"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  b.jar\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"right", map[string]string{"a.jar": "a", "b.jar": "b"}, ""},
		{"changed", map[string]string{"a.jar": "a", "b.jar": "c"}, "b.jar has SHA-256 2e7d2c03a9507ae265ecf5b5356885a5"},
		{"missing", map[string]string{"a.jar": "a"}, "b.jar is missing"},
		{"another", map[string]string{"a.jar": "a", "b.jar": "b", "evil.jar": "b"}, "evil.jar is not one of Kafka's"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := checkJars(dir, sums)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("checkJars: %v; want %q", err, c.want)
			}
		})
	}
	if n := strings.Count(jarSums, ".jar\n"); n != 46 {
		t.Errorf("%d sums are committed, want 46", n)
	}
}

func TestWhatIsMissingIsSaidInOneLine(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Start(t.Context(), Options{Dir: t.TempDir()})
	if !errors.Is(err, ErrNoJava) || !strings.Contains(err.Error(), "openjdk-17-jre-headless") {
		t.Errorf("without Java: %v", err)
	}
	err = ensureJars(t.Context(), filepath.Join(t.TempDir(), "jars"), io.Discard)
	if !errors.Is(err, ErrNoMaven) || strings.Contains(err.Error(), "\n") {
		t.Errorf("without Maven: %v", err)
	}
}

func TestAStateThatDoesNotFitIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "{", `{"id":"x"}`, `{"options":{"Nodes":3},"ports":[{}],"processes":[{}]}`} {
		if err := os.WriteFile(stateFile(dir), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readState(dir); err == nil || !strings.Contains(err.Error(), "cluster.json") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAnotherProcessWithTheSameNumberIsNotOurs(t *testing.T) {
	p, err := thisProcess(os.Getpid())
	if err != nil || !p.alive() {
		t.Fatalf("%+v, %v", p, err)
	}
	p.Started++
	if p.alive() || (process{}).alive() {
		t.Error("a process that is another's passes as ours")
	}
}
