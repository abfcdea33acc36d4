package configs

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const testStandardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func samePrefix(a, b netip.Prefix) bool { return a == b }
func sameSecret(a, b Secret) bool       { return string(a) == string(b) }

func write(t testing.TB, dir, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// folder holds an edge.yaml that is fine but for edge, a tenants.yaml likewise, and a key file.
func folder(t testing.TB, edge, tenants string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "edge.yaml", edge, 0o644)
	write(t, dir, "tenants.yaml", tenants, 0o644)
	write(t, dir, "link.keys", "", 0o600)
	return dir
}

func TestLoadSetsWhatIsWritten(t *testing.T) {
	dir := folder(t, `
listen: "[::1]:0"
trusted_proxies: [10.0.0.0/8, 192.0.2.7, "fd00::/8"]
cache_bytes: 1 GiB
journal: {dir: journal, keep_age: 1d12h, sync: 1.5s, consumers: [sink, copy], segment_bytes: 65536, budget: 1MiB, keep_bytes: 0}
log: {level: "${LEVEL}"}
`, `
tenants:
  - {number: 4294967295, name: a-1, hosts: ["Links.Example.COM:443", "http://127.0.0.1:8080"], retention_days: 365, outreach: {orgs: [17]}}
  - {number: 2, name: b, hosts: ["[::1]:99"], unique: any}
defaults: {retention_days: 7, unique: person, outreach: {secrets: ['a$${b']}}
`)
	cfg, tenants, faults := LoadEdge(dir+"/edge.yaml", []string{"LEVEL=debug"})
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	want := DefaultEdge()
	want.Listen = "[::1]:0"
	want.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("fd00::/8")}
	want.CacheBytes = 1 << 30
	want.Keys, want.Tenants, want.Blocks = dir+"/link.keys", dir+"/tenants.yaml", dir+"/blocks"
	want.Journal = Journal{Dir: dir + "/journal", SegmentBytes: 65536, Budget: 1 << 20, KeepAge: 36 * time.Hour, Sync: 1500 * time.Millisecond, Consumers: []string{"sink", "copy"}}
	want.Log.Level = "debug"
	if diff := cmp.Diff(&want, cfg, cmp.Comparer(samePrefix)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	a, b := DefaultTenant(), DefaultTenant()
	a.Number, a.Name, a.Hosts, a.RetentionDays = 4294967295, "a-1", []string{"https://links.example.com", "http://127.0.0.1:8080"}, 365
	a.Outreach = Outreach{Secrets: []Secret{"a${b"}, Orgs: []string{"17"}}
	b.Number, b.Name, b.Hosts, b.RetentionDays, b.Unique = 2, "b", []string{"https://[::1]:99"}, 7, "any"
	b.Outreach = Outreach{Secrets: []Secret{"a${b"}}
	if diff := cmp.Diff([]*Tenant{&a, &b}, tenants.List, cmp.Comparer(sameSecret)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Each case's comment is the exact list of faults, DIR standing for the folder.
func TestFaults(t *testing.T) {
	for _, c := range faultCases {
		t.Run(c.name, func(t *testing.T) {
			tenants := c.tenants
			if tenants == "" {
				tenants = "tenants: []\n"
			}
			dir := folder(t, c.edge, tenants)
			if c.prepare != nil {
				c.prepare(t, dir)
			}
			_, _, faults := LoadEdge(filepath.Join(dir, "edge.yaml"), []string{"SET=value", "BAD=nonsense"})
			got := strings.ReplaceAll(faults.Error(), dir+"/", "")
			if strings.Contains(got, "hunter2") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			if diff := cmp.Diff(strings.TrimSpace(c.want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestMissingFilesAreFaults(t *testing.T) {
	_, tenants, faults := LoadMint("/nonexistent/mint.yaml", nil)
	if got, want := faults.Error(), "/nonexistent/mint.yaml: must be a file that can be read: no such file or directory"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if tenants.ByName("demo") != nil || tenants.ByNumber(1) != nil || tenants.ByOrg("x") != nil {
		t.Error("tenants from nowhere")
	}
}

// A value that is wrong in many places is told in as many lines, and none twice.
func TestDefaultsAreFaultedOnce(t *testing.T) {
	dir := folder(t, "", `
defaults:
  endpoints:
    - {id: a, url: "http://a/", format: standard}
    - {id: a, url: "http://a/", format: postmark}
tenants:
  - {number: 1, name: a, hosts: [a]}
  - {number: 2, name: b, hosts: [b]}
`)
	_, _, faults := LoadEdge(dir+"/edge.yaml", nil)
	if len(faults) != 2 {
		t.Errorf("%d faults, want 2:\n%v", len(faults), faults)
	}
}

func TestHostileNestingIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"brackets": strings.Repeat("[", 1<<20),
		"braces":   strings.Repeat("{a: ", 1<<18),
		"dashes":   strings.Repeat("- ", 1<<19),
		"anchors":  "a: &a [x]\nb: [*a, *a]\n",
		"binary":   "\x00\xff\xfe",
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultEdge()
			r := newReader("edge.yaml", nil)
			r.read([]byte(text), cfg.group())
			if len(r.faults) == 0 {
				t.Error("no fault")
			}
		})
	}
}

const switchedOff = "cache_bytes: 0\njournal: {sync: never}\n"

func TestWhatCanBeSwitchedOff(t *testing.T) {
	cfg := DefaultEdge()
	r := newReader("edge.yaml", nil)
	r.read([]byte(switchedOff), cfg.group())
	if len(r.faults) > 0 || cfg.CacheBytes != 0 || cfg.Journal.Sync >= 0 {
		t.Errorf("cache %d bytes, sync %v; faults %v", cfg.CacheBytes, cfg.Journal.Sync, r.faults)
	}
	if _, lines := cfg.group().render(); !slices.Contains(lines, "  sync: never") {
		t.Errorf("printed as\n%s", strings.Join(lines, "\n"))
	}
}

// What --print-config prints reads back as the same settings.
func FuzzLoadEdge(f *testing.F) {
	for _, c := range faultCases {
		f.Add([]byte(c.edge))
	}
	shipped, err := os.ReadFile("edge.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shipped)
	f.Add([]byte(switchedOff))
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("file:")) {
			return // no reading of files that the fuzzer names
		}
		cfg := DefaultEdge()
		r := newReader("edge.yaml", nil)
		r.read(text, cfg.group())
		wantPrintable(t, r.faults)
		if len(r.faults) > 0 {
			return
		}
		_, lines := cfg.group().render()
		again := Edge{}
		r = newReader("printed", nil)
		r.read([]byte(strings.Join(lines, "\n")), again.group())
		if len(r.faults) > 0 {
			t.Fatalf("printed settings have faults:\n%v\n%s", r.faults, strings.Join(lines, "\n"))
		}
		if cfg.Kafka.SASL.Password != "" {
			cfg.Kafka.SASL.Password = mask
		}
		if diff := cmp.Diff(cfg, again, cmp.Comparer(samePrefix)); diff != "" {
			t.Fatalf("-read +printed and read:\n%s", diff)
		}
	})
}

func FuzzLoadTenants(f *testing.F) {
	for _, c := range faultCases {
		f.Add([]byte(c.tenants))
	}
	shipped, err := os.ReadFile("tenants.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shipped)
	f.Add(disabled.ReplaceAll(shipped, []byte("$1$2")))
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("file:")) {
			return // no reading of files that the fuzzer names
		}
		file := tenantsFile{defaults: DefaultTenant()}
		r := newReader("tenants.yaml", nil)
		r.read(text, file.group())
		wantPrintable(t, append(r.faults, r.warnings...))
		if len(r.faults) > 0 {
			return
		}
		tenants := Tenants{List: file.list}
		for _, tenant := range tenants.List {
			if tenants.ByNumber(tenant.Number) != tenant || tenants.ByName(tenant.Name) != tenant {
				t.Fatal("a tenant is not found")
			}
			origin := tenant.MintOrigin()
			_, host, _ := strings.Cut(origin, "://")
			if !tenant.Opens([]byte(strings.ToUpper(host))) {
				t.Fatalf("a link minted at %s does not open", origin)
			}
		}
	})
}

// wantPrintable holds that a fault is one line with a place and a rule.
func wantPrintable(t *testing.T, faults Faults) {
	t.Helper()
	for _, fault := range faults {
		if s := fault.String(); strings.ContainsAny(s, "\n\r\x1b") || fault.Want == "" || fault.Line < 1 {
			t.Fatalf("unfit for a terminal: %q", s)
		}
	}
}
