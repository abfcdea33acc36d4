package configs

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name           string
		args           string
		exit           int
		done           bool
		stdout, stderr string // each a part of what is printed
	}{
		{name: "nothing"},
		{name: "help", args: "--help", done: true, stdout: "configs/edge.yaml"},
		{name: "unknown flag", args: "--nope", exit: ExitUsage, done: true, stderr: "edge: unknown flag --nope; see edge --help\n"},
		{name: "too many", args: "a b", exit: ExitUsage, done: true, stderr: "edge: unexpected argument a; see edge --help\n"},
		{name: "flags", args: "--config x.yaml --check"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var cli struct{ Flags }
			var stdout, stderr bytes.Buffer
			ctx, exit, done := Parse(&cli, "edge", "Redirects.", strings.Fields(c.args), &stdout, &stderr)
			if exit != c.exit || done != c.done || done == (ctx != nil) {
				t.Errorf("exit %d, done %v, ctx %v", exit, done, ctx)
			}
			if !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) || (c.stderr == "") != (stderr.Len() == 0) {
				t.Errorf("stdout:\n%s\nstderr:\n%s", &stdout, &stderr)
			}
			if c.name == "flags" && (cli.Config != "x.yaml" || !cli.Check) {
				t.Errorf("%+v", cli)
			}
		})
	}
}

const demoTenants = `
tenants:
  - number: 1
    name: demo
    hosts: [http://links.example.com]
    recipient_in_link: false
    outreach: {secrets: [hunter2]}
    endpoints:
      - {id: pm, url: "http://127.0.0.1:8090/postmark", format: postmark, user: u, password: hunter2}
      - {id: ma, url: "http://127.0.0.1:8090/maileroo", format: maileroo, secret: hunter2}
`

func TestOpenGoesOn(t *testing.T) {
	dir := folder(t, "log: {format: json}\n", demoTenants)
	var out bytes.Buffer
	cfg, tenants, exit, done := Open[Edge](Flags{Config: dir + "/edge.yaml"}, nil, &out, &out)
	if done || exit != 0 || cfg.Log.Format != "json" || cfg.Listen != DefaultEdge().Listen || tenants.ByName("demo") == nil || out.Len() > 0 {
		t.Errorf("done %v, exit %d, %+v, %s", done, exit, cfg, &out)
	}
}

func TestOpenCheck(t *testing.T) {
	dir := folder(t, "", demoTenants)
	var stdout, stderr bytes.Buffer
	_, _, exit, done := Open[Edge](Flags{Config: dir + "/edge.yaml", Check: true}, nil, &stdout, &stderr)
	if !done || exit != ExitOK {
		t.Errorf("done %v, exit %d", done, exit)
	}
	want := `warning: tenants.yaml:3: tenants[0].domain_id = 0: endpoint ma has the format maileroo, whose domain_id will be 0: receivers that tell domains apart want the number that they know
warning: tenants.yaml:3: tenants[0].user_id = 0: endpoint ma has the format maileroo, whose user_id will be 0: receivers that tell accounts apart want the number that they know
warning: tenants.yaml:5: tenants[0].hosts[0] = http://links.example.com: links go over the network in clear: https is meant for everything but tests
warning: tenants.yaml:6: tenants[0].recipient_in_link = false: endpoint pm has the format postmark, whose Recipient will be empty: true puts the address into the links
`
	if diff := cmp.Diff(want, strings.ReplaceAll(stderr.String(), dir+"/", "")); diff != "" {
		t.Error(diff)
	}
	if got, want := stdout.String(), dir+"/edge.yaml: no faults, 4 warnings, 1 tenant\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	write(t, dir, "edge.yaml", "log: {level: loud, format: xml}\n", 0o644)
	stdout.Reset()
	stderr.Reset()
	_, _, exit, done = Open[Edge](Flags{Config: dir + "/edge.yaml", Check: true}, nil, &stdout, &stderr)
	if !done || exit != ExitUsage || stdout.Len() > 0 || strings.Count(stderr.String(), "log.") != 2 {
		t.Errorf("done %v, exit %d\n%s%s", done, exit, &stdout, &stderr)
	}
}

func TestOpenPrintConfig(t *testing.T) {
	dir := folder(t, "", demoTenants)
	write(t, dir, "sink.yaml", "journals: [j]\nstore: /s\n", 0o644)
	var stdout, stderr bytes.Buffer
	if _, _, exit, done := Open[Sink](Flags{Config: dir + "/sink.yaml", PrintConfig: true}, nil, &stdout, &stderr); !done || exit != ExitOK {
		t.Fatalf("done %v, exit %d\n%s", done, exit, &stderr)
	}
	if strings.Contains(stdout.String(), "hunter2") || strings.Count(stdout.String(), mask) != 3 {
		t.Errorf("secrets are not masked:\n%s", &stdout)
	}
	// Both documents read back: what is printed is YAML of the same shape.
	own, tenants, ok := strings.Cut(stdout.String(), "\n---\n")
	if !ok {
		t.Fatalf("no two documents:\n%s", &stdout)
	}
	sink, file := Sink{}, tenantsFile{}
	r := newReader("printed", nil)
	r.read([]byte(own), sink.group())
	r.read([]byte(tenants), file.group())
	want := DefaultSink()
	want.Tenants, want.Journals, want.Store = dir+"/tenants.yaml", []string{dir + "/j"}, "/s"
	if diff := cmp.Diff(want, sink); diff != "" {
		t.Error(diff)
	}
	if len(file.list) != 1 || file.list[0].Stream != "outbound" || file.list[0].RecipientInLink {
		t.Errorf("%+v", file.list)
	}
}

func TestOpenVersionNeedsNoSettings(t *testing.T) {
	var stdout, stderr bytes.Buffer
	_, _, exit, done := Open[Mint](Flags{Config: "/nonexistent", Version: true}, nil, &stdout, &stderr)
	if !done || exit != ExitOK || !strings.HasPrefix(stdout.String(), "mint ") || stderr.Len() > 0 {
		t.Errorf("done %v, exit %d: %s%s", done, exit, &stdout, &stderr)
	}
}

func TestOpenByDefaultReadsConfigs(t *testing.T) {
	t.Chdir(t.TempDir())
	var stdout, stderr bytes.Buffer
	_, _, exit, done := Open[Mint](Flags{}, os.Environ(), &stdout, &stderr)
	if got, want := stderr.String(), "configs/mint.yaml: must be a file that can be read: no such file or directory\n"; !done || exit != ExitUsage || got != want {
		t.Errorf("done %v, exit %d: got %q, want %q", done, exit, got, want)
	}
}

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	log := Log{Level: "warn", Format: "json"}.Logger(&b)
	log.Info("hidden")
	log.Warn("shown", "time", "kept")
	if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"msg":"shown"`) || !strings.Contains(got, `Z","level"`) {
		t.Errorf("log: %s", got)
	}
	if !(Log{}).Logger(&b).Enabled(t.Context(), slog.LevelInfo) {
		t.Error("info is not the level where none is set")
	}
}
