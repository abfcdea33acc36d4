package crash

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAgent(t *testing.T) {
	if n, err := clickNumber(agent(1234)); n != 1234 || err != nil {
		t.Errorf("got %d %v", n, err)
	}
	for _, bad := range []string{"", "curl/8", agentPrefix, agentPrefix + "x"} {
		if _, err := clickNumber(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// The mails must make uniqueness worth testing: keys met by several mails, recipients known by address only, equal pages in different mails.
func TestComposeMixes(t *testing.T) {
	mails, byAddress, originals := map[key]int{}, 0, map[string]int{}
	for i := range 400 {
		m := compose(i)
		if m.prospect == "" {
			byAddress++
		}
		for n, l := range m.links {
			mails[m.key(n)]++
			originals[l.Original]++
		}
	}
	repeated := 0
	for _, n := range mails {
		if n > 1 {
			repeated++
		}
	}
	if repeated < 20 || byAddress < 20 || len(originals) > 60 {
		t.Errorf("%d keys of several mails, %d recipients by address, %d pages", repeated, byAddress, len(originals))
	}
	if got, want := compose(3).key(0).recipient, "p3@prospect.com"; got != want {
		t.Errorf("recipient %q, want %q", got, want)
	}
}

func TestReadDecisions(t *testing.T) {
	got, err := readDecisions([]byte("{\"key\":\"k\",\"first_any\":\"a\",\"first_person\":\"p\"}\n{\"first_any\":\"b\",\"first_person\":\"\"}\n"))
	if d := cmp.Diff([]decision{{"a", "p"}, {"b", ""}}, got, cmp.AllowUnexported(decision{})); d != "" || err != nil {
		t.Error(d, err)
	}
	if _, err := readDecisions([]byte("nothing")); err == nil {
		t.Error("no error")
	}
}

func TestReadLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy")
	for text, want := range map[string]string{
		`{"id":"1-2","data":{"user_agent":"` + agent(5) + `"}}` + "\n": "",
		"{}\n": `copy:1: user agent "" is none of ours`,
		"{":    "copy:1: unexpected end",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		log, err := readLog(path)
		switch {
		case want == "" && (err != nil || len(log) != 1 || log[0].number != 5):
			t.Errorf("%q: %v %v", text, log, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestCutJournal(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "consumers"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("1", "head id-1 id-2 ")
	write("2", "head id-3 id-4 ")
	write("3", "head id-5 ")
	n, err := cutJournal(dir, []string{"id-4", "id-5"})
	if err != nil || n != 2 {
		t.Fatalf("%d files, %v", n, err)
	}
	for name, want := range map[string]string{"1": "head id-1 id-2 ", "2": "head id-3 \x00\x00\x00\x00\x00"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != want || err != nil {
			t.Errorf("%s: %q %v, want %q", name, got, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "3")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("3 is still there: %v", err)
	}
	if _, err := cutJournal(dir, []string{"id-9"}); !errors.Is(err, errNotFound) {
		t.Errorf("got %v, want errNotFound", err)
	}
}
