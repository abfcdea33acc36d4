package blocks

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/configs"
	"waypost/mint/link"
)

func testTenants() *configs.Tenants {
	one, two := configs.DefaultTenant(), configs.DefaultTenant()
	one.Number, one.Name = 1, "demo"
	two.Number, two.Name = 2, "other"
	return &configs.Tenants{List: []*configs.Tenant{&one, &two}}
}

// testToken gives a token under the key of slot 3.
func testToken(t testing.TB, message string) string {
	t.Helper()
	keys, err := link.NewKeyring(3, [64]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	token, err := keys.AppendToken(nil, &link.Link{Tenant: 1, Message: link.ParseID([]byte(message)), Destination: []byte("https://example.com/")})
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blocks")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBlocks(t *testing.T) {
	token, another := testToken(t, "1"), testToken(t, "2")
	visit := func(change func(*Visit)) Visit {
		v := Visit{Token: []byte(token), Tenant: 1, Message: []byte("123"), Prospect: []byte("<a b@c>"), Destination: []byte("https://user@WWW.Evil.example:8443/path?x")}
		if change != nil {
			change(&v)
		}
		return v
	}
	to := func(destination string) func(*Visit) {
		return func(v *Visit) { v.Destination = []byte(destination) }
	}
	for _, c := range []struct {
		name, text string
		change     func(*Visit)
		want       Kind
	}{
		{"nothing", "# a comment\n\n", nil, None},
		{"tenant", "tenant demo", nil, Tenant},
		{"another tenant", "tenant other", nil, None},
		{"mailing", "mailing demo 123 # ticket 4711", nil, Mailing},
		{"mailing of another tenant", "mailing other 123", nil, None},
		{"another mailing", "mailing demo 12", nil, None},
		{"prospect in quotes", `prospect demo "<a b@c>"`, nil, Prospect},
		{"another prospect", "prospect demo 123", nil, None},
		{"host", "host www.evil.example", nil, Host},
		{"host in capitals, with a dot", "host WWW.EVIL.example.", nil, Host},
		{"domain above", "host evil.example", nil, Host},
		{"end of a label", "host vil.example", nil, None},
		{"host below", "host a.www.evil.example", nil, None},
		{"dot at the end", "host evil.example", to("https://evil.example./"), Host},
		{"escaped letters", "host evil.example", to("https://%65vil%2Eexample/"), Host},
		{"escape that ends early", "host evil.example", to("https://evil.example%2"), None},
		{"backslash", "host evil.example", to(`https://evil.example\@good.example/`), Host},
		{"user that looks like a host", "host good.example", to("https://good.example@evil.example/"), None},
		{"in the query only", "host good.example", to("https://evil.example?good.example"), None},
		{"IPv6", "host [2001:db8::1]", to("https://[2001:DB8::1]:443/"), Host},
		{"too long for a name", "host evil.example", to("https://" + strings.Repeat("a.", 400) + "evil.example/"), None},
		{"key", "key 3", nil, Key},
		{"another key", "key 4\nkey 63", nil, None},
		{"link", "link " + token, nil, Link},
		{"link as a URL", "link https://links.example.com/" + token + "?utm_source=x", nil, Link},
		{"another link", "link " + another, nil, None},
		{"many", "tenant other\nmailing demo 1\nprospect demo 2\nhost x.example\nkey 1\nlink " + another + "\nmailing demo 123\n", nil, Mailing},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Load(file(t, c.text), testTenants())
			if err != nil {
				t.Fatal(err)
			}
			v := visit(c.change)
			if got := s.Blocks(&v); got != c.want {
				t.Errorf("blocked by %s, want %s", Names[got], Names[c.want])
			}
			if n := testing.AllocsPerRun(100, func() { s.Blocks(&v) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func TestFaultsNameTheirLines(t *testing.T) {
	path := file(t, "tenant demo\ntenant nobody\nburn x\nmailing demo\nhost https://evil.example/\nkey 64\nkey 03\nlink short\nprospect demo \"open\nhost a b\n")
	s, err := Load(path, testTenants())
	if err == nil {
		t.Fatal("no fault")
	}
	var places []string
	for line := range strings.Lines(err.Error()) {
		rest, ok := strings.CutPrefix(line, path+":")
		if !ok {
			t.Errorf("no place: %s", line)
		}
		number, _, _ := strings.Cut(rest, ":")
		places = append(places, number)
	}
	if got := strings.Join(places, " "); got != "3 4 5 6 7 8 9 10 2" {
		t.Errorf("faults on lines %s\n%v", got, err)
	}
	if s.Len() != 1 {
		t.Errorf("%d entries beside the faults", s.Len())
	}
	if _, err := Load(t.TempDir(), testTenants()); err == nil {
		t.Error("a directory was read")
	}
}

func TestNoFileBlocksNothing(t *testing.T) {
	s, err := Load(filepath.Join(t.TempDir(), "blocks"), testTenants())
	if s != nil || err != nil || s.Len() != 0 || s.Blocks(&Visit{}) != None {
		t.Errorf("%v, %v", s, err)
	}
}

func TestAddAndRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blocks")
	mailing := Entry{Mailing, "demo", `an "odd" # id`}
	host := Entry{Host, "", "evil.example"}
	for i, c := range []struct {
		do   func() (bool, error)
		want bool
		text string
	}{
		{func() (bool, error) { return Remove(path, host) }, false, ""},
		{func() (bool, error) { return Add(path, host, "ticket\n4711") }, true, head + "host evil.example  # ticket 4711\n"},
		{func() (bool, error) { return Add(path, host, "again") }, false, head + "host evil.example  # ticket 4711\n"},
		{func() (bool, error) { return Add(path, mailing, "") }, true, head + "host evil.example  # ticket 4711\nmailing demo \"an \\\"odd\\\" # id\"\n"},
		{func() (bool, error) { return Remove(path, host) }, true, head + "mailing demo \"an \\\"odd\\\" # id\"\n"},
		{func() (bool, error) { return Remove(path, host) }, false, head + "mailing demo \"an \\\"odd\\\" # id\"\n"},
		{func() (bool, error) { return Remove(path, mailing) }, true, head},
	} {
		done, err := c.do()
		if err != nil || done != c.want {
			t.Fatalf("step %d: %v, %v", i, done, err)
		}
		text, err := read(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.text, text); diff != "" {
			t.Fatalf("step %d (-want +got):\n%s", i, diff)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A file that people got wrong is not written to, and keeps its mode; a link stays a link.
func TestChangesAreCareful(t *testing.T) {
	path := file(t, "nonsense\n")
	if _, err := Add(path, Entry{Key, "", "1"}, ""); err == nil || !strings.Contains(err.Error(), ":1: must be one of") {
		t.Errorf("error %v", err)
	}
	if text, _ := read(path); text != "nonsense\n" {
		t.Errorf("the file became %q", text)
	}
	path = file(t, "key 2") // no line end
	symlink := path + ".link"
	if err := os.Symlink(path, symlink); err != nil {
		t.Fatal(err)
	}
	if added, err := Add(symlink, Entry{Key, "", "1"}, ""); !added || err != nil {
		t.Fatal(added, err)
	}
	info, err := os.Lstat(symlink)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if text, _ := read(path); text != "key 2\nkey 1\n" {
		t.Errorf("the file became %q", text)
	}
}

func TestConcurrentChangesLoseNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blocks")
	var all sync.WaitGroup
	for slot := range 20 {
		all.Go(func() {
			if added, err := Add(path, Entry{Mailing, "demo", strings.Repeat("x", slot+1)}, ""); !added || err != nil {
				t.Error(added, err)
			}
		})
	}
	all.Wait()
	if entries, err := List(path); err != nil || len(entries) != 20 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

// What a file's lines mean survives being written by the program; nothing that people write makes it panic.
func FuzzFile(f *testing.F) {
	f.Add("tenant demo # note\nmailing demo \"a b\"\n")
	f.Add("host [::1]\nkey 63\nhost EVIL.\n\n# x")
	f.Add("prospect demo \"\\u00e4#\"\"x\"\r\nlink https://a/b")
	f.Fuzz(func(t *testing.T, text string) {
		entries, _ := parse("blocks", text)
		var b strings.Builder
		for _, e := range entries {
			b.WriteString(e.String() + "\n")
		}
		again, faults := parse("blocks", b.String())
		if len(faults) > 0 || len(again) != len(entries) {
			t.Fatalf("%q becomes %q: %v", text, b.String(), faults)
		}
		for i := range again {
			if again[i].Entry != entries[i].Entry {
				t.Errorf("%v becomes %v", entries[i].Entry, again[i].Entry)
			}
		}
	})
}
