package configs

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the tables of README.md anew")

// The README's tables are made from the tables that the loader reads by.
func TestReadmeTables(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	edge, mint, sink, tenant := DefaultEdge(), DefaultMint(), DefaultSink(), DefaultTenant()
	got := string(text)
	for name, g := range map[string]group{"edge.yaml": edge.group(), "mint.yaml": mint.group(), "sink.yaml": sink.group(), "tenants.yaml": tenant.group()} {
		begin, end := "<!-- keys of "+name+" -->\n", "<!-- end -->"
		before, rest, ok := strings.Cut(got, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("README.md has no place for the keys of %s: %s ... %s", name, strings.TrimSpace(begin), end)
		}
		got = before + begin + "\n" + table(g) + "\n" + end + after
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(text), got); diff != "" && !*update {
		t.Errorf("README.md is behind the settings; go test ./configs -run Readme -update writes it anew (-README +settings):\n%s", diff)
	}
}

func table(g group) string {
	var b strings.Builder
	b.WriteString("| key | default | allowed |\n|---|---|---|\n")
	rows(&b, "", g)
	return b.String()
}

func rows(b *strings.Builder, outer string, g group) {
	for _, s := range g.settings {
		key := join(outer, s.key)
		switch v := s.value.(type) {
		case group:
			rows(b, key, v)
			continue
		case list[Endpoint]:
			row(b, key, "`[]`", v)
			rows(b, key+"[]", (&Endpoint{}).group())
			continue
		case list[Parser]:
			row(b, key, "`[]`", v)
			rows(b, key+"[]", (&Parser{}).group())
			continue
		case list[Header]:
			row(b, key, "", v)
			rows(b, key+"[]", (&Header{}).group())
			continue
		}
		inline, _ := s.value.render()
		if strings.HasPrefix(outer, "endpoints") || key == "number" || key == "name" || key == "hosts" {
			inline = ""
		} else {
			inline = "`" + inline + "`"
		}
		row(b, key, inline, s.value)
	}
}

func row(b *strings.Builder, key, value string, v value) {
	fmt.Fprintf(b, "| `%s` | %s | %s |\n", key, value, strings.ReplaceAll(v.allowed(), "|", `\|`))
}
