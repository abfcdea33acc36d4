package configs

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The shipped files are what operators copy: each must say exactly what holds without it.
func TestShippedFilesAreTheDefaults(t *testing.T) {
	edge, mint, sink := DefaultEdge(), DefaultMint(), DefaultSink()
	blankEdge, blankMint, blankSink := Edge{}, Mint{}, Sink{}
	for _, c := range []struct {
		file        string
		want, blank program
	}{
		{"edge.yaml", &edge, &blankEdge},
		{"mint.yaml", &mint, &blankMint},
		{"sink.yaml", &sink, &blankSink},
	} {
		t.Run(c.file, func(t *testing.T) {
			r := readShipped(t, c.file, c.blank.group())
			if diff := cmp.Diff(c.want, c.blank, cmp.Comparer(samePrefix)); diff != "" {
				t.Errorf("Default and %s differ (-default +shipped):\n%s", c.file, diff)
			}
			wantEveryKey(t, r, "", c.want.group())
		})
	}
}

func TestShippedTenantsAreTheDefaults(t *testing.T) {
	file := tenantsFile{}
	r := readShipped(t, "tenants.yaml", file.group())
	if diff := cmp.Diff(DefaultTenant(), file.defaults); diff != "" {
		t.Errorf("DefaultTenant and the defaults of tenants.yaml differ (-default +shipped):\n%s", diff)
	}
	wantEveryKey(t, r, "defaults", group{settings: file.defaults.inherited(false)})
	want := DefaultTenant()
	want.Number, want.Name, want.Hosts = 1, "example", []string{"https://links.example.com"}
	if diff := cmp.Diff([]*Tenant{&want}, file.list); diff != "" {
		t.Errorf("the example tenant (-want +shipped):\n%s", diff)
	}
}

var disabled = regexp.MustCompile(`(?m)^( *)#([^ \n]|  )`)

// The examples in tenants.yaml are what an operator tries first.
func TestShippedExamplesLoad(t *testing.T) {
	text, err := os.ReadFile("tenants.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "tenants.yaml", disabled.ReplaceAllString(string(text), "$1$2"), 0o644)
	write(t, dir, "outreach-old.secret", "old\n", 0o600)
	write(t, dir, "api-old.token", "00000000-0000-0000-0000-000000000001\n", 0o600)
	for _, name := range []string{"crm.secret", "legacy.secret", "legacy-new.secret"} {
		write(t, dir, name, testStandardSecret+"\n", 0o600)
	}
	write(t, dir, "sink.yaml", "", 0o644)
	_, tenants, faults := LoadSink(dir+"/sink.yaml", []string{"OUTREACH_SECRET=new", "LEGACY_PASSWORD=pass", "LEGACY_TOKEN=token", "MAILEROO_SECRET=text", "RESEND_SECRET=" + testStandardSecret, "POSTMARK_PASSWORD=pass", "ACMEMAIL_SECRET=text", "API_TOKEN=00000000-0000-0000-0000-000000000002"})
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	example := tenants.ByName("example")
	if diff := cmp.Diff([]Secret{"new", "old"}, example.Outreach.Secrets, cmp.Comparer(sameSecret)); diff != "" {
		t.Error(diff)
	}
	if got := len(example.APITokens); got != 2 {
		t.Errorf("%d tokens of the API, want 2", got)
	}
	if got := len(example.Endpoints); got != 3 {
		t.Fatalf("%d endpoints, want 3", got)
	}
	file := tenantsFile{}
	r := newReader("x", nil)
	r.read([]byte(disabled.ReplaceAllString(string(text), "$1$2")), file.group())
	for _, key := range (&Parser{}).group().keys() {
		if !r.wrote("tenants[0].inbound.parsers[0]." + key) {
			t.Errorf("no example shows inbound.parsers[].%s", key)
		}
	}
	for _, key := range (&Endpoint{}).group().keys() {
		if !r.wrote("tenants[0].endpoints[0]."+key) && !r.wrote("tenants[0].endpoints[1]."+key) {
			t.Errorf("no example shows endpoints[].%s", key)
		}
	}
}

// Each field of a struct has a key in its table and the other way round, under its yaml tag.
func TestTablesHaveEveryField(t *testing.T) {
	var (
		edge   Edge
		mint   Mint
		sink   Sink
		tenant Tenant
	)
	for _, c := range []struct {
		is    any
		group group
	}{
		{edge, edge.group()}, {edge.Journal, edge.Journal.group()}, {edge.Log, edge.Log.group()},
		{mint, mint.group()},
		{sink, sink.group()}, {sink.Dispatch, sink.Dispatch.group()}, {sink.Dispatch.Operator, sink.Dispatch.Operator.group()}, {sink.API, sink.API.group()}, {sink.Live, sink.Live.group()},
		{edge.Kafka, edge.Kafka.group()}, {edge.Kafka.TLS, edge.Kafka.TLS.group()}, {edge.Kafka.SASL, edge.Kafka.SASL.group()}, {edge.Kafka.Topics, edge.Kafka.Topics.group()},
		{tenant, tenant.group()}, {tenant.Outreach, tenant.Outreach.group(true)}, {tenant.NexoMailer, tenant.NexoMailer.group()}, {tenant.Inbound, tenant.Inbound.group()},
		{tenant.Inbound.Resend, tenant.Inbound.Resend.group(standardSecret)}, {tenant.Inbound.Postmark, tenant.Inbound.Postmark.group()}, {Parser{}, (&Parser{}).group()}, {ParserAuth{}, (&ParserAuth{}).group()}, {ParserHMAC{}, (&ParserHMAC{}).group()}, {Endpoint{}, (&Endpoint{}).group()}, {Header{}, (&Header{}).group()},
	} {
		var fields []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(c.is)) {
			if !f.Anonymous { // its fields are visible themselves
				fields = append(fields, f.Tag.Get("yaml"))
			}
		}
		keys := c.group.keys()
		slices.Sort(fields)
		slices.Sort(keys)
		if diff := cmp.Diff(fields, keys); diff != "" {
			t.Errorf("%T (-fields +keys):\n%s", c.is, diff)
		}
	}
}

// Each key of a shipped file has a comment above it, alone or together with its neighbour.
func TestShippedKeysAreCommented(t *testing.T) {
	key := regexp.MustCompile(`^\s*(- )?[a-z_]+:`)
	for _, file := range []string{"edge.yaml", "mint.yaml", "sink.yaml", "tenants.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		above := ""
		for i, line := range strings.Split(string(text), "\n") {
			trimmed := strings.TrimSpace(line)
			if key.MatchString(line) && strings.TrimSpace(above) == "" && trimmed != "outreach:" {
				t.Errorf("%s:%d: %s has no comment above it", file, i+1, trimmed)
			}
			above = line
		}
	}
}

func readShipped(t *testing.T, file string, v value) *reader {
	t.Helper()
	r := newReader(file, nil)
	r.load(v)
	if len(r.faults) > 0 {
		t.Fatal(r.faults)
	}
	return r
}

// wantEveryKey holds that the file writes each key of g, so that nothing is left for an operator to guess.
func wantEveryKey(t *testing.T, r *reader, key string, g group) {
	t.Helper()
	for _, s := range g.settings {
		if !r.wrote(join(key, s.key)) {
			t.Errorf("%s does not show %s", r.file, join(key, s.key))
		}
		if inner, ok := s.value.(group); ok {
			wantEveryKey(t, r, join(key, s.key), inner)
		}
	}
}
