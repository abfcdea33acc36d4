package rewrite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"
)

// construct is a file of testdata: a body in which ⟦ and ⟧ stand around what has to be replaced, and where the links in it lead.
type construct struct {
	name   string
	place  Place
	marked string
	urls   []string
}

func constructs(t testing.TB) (all []construct) {
	t.Helper()
	for place, dir := range map[Place]string{HTML: "html", Text: "text"} {
		files, err := filepath.Glob("testdata/" + dir + "/*.txtar")
		if err != nil || len(files) == 0 {
			t.Fatalf("testdata/%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := construct{name: dir + "/" + strings.TrimSuffix(filepath.Base(file), ".txtar"), place: place}
			for _, section := range txtar.Parse(data).Files {
				switch section.Name {
				case "body":
					c.marked = string(section.Data)
				case "links":
					c.urls = strings.FieldsFunc(string(section.Data), func(r rune) bool { return r == '\n' })
				}
			}
			all = append(all, c)
		}
	}
	return all
}

// body is the body without its marks, wanted what becomes of it when its n-th link becomes replacement(n).
func (c construct) body() []byte {
	return []byte(strings.NewReplacer("⟦", "", "⟧", "").Replace(c.marked))
}

func (c construct) wanted(t *testing.T, replacement func(n int) string) string {
	var out strings.Builder
	n := 0
	for rest := c.marked; ; n++ {
		before, after, found := strings.Cut(rest, "⟦")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if _, rest, found = strings.Cut(after, "⟧"); !found {
			t.Fatalf("%s: ⟦ without ⟧", c.name)
		}
		out.WriteString(replacement(n))
	}
}

func (c construct) rewrite(replace Replace) string {
	if c.place == HTML {
		return string(AppendHTML(nil, c.body(), "", replace))
	}
	return string(AppendText(nil, c.body(), replace))
}

func TestConstructs(t *testing.T) {
	replacement := func(n int) string { return fmt.Sprintf("https://go.example.net/%d", n) }
	for _, c := range constructs(t) {
		t.Run(c.name, func(t *testing.T) {
			var found []string
			got := c.rewrite(func(l Link) (string, bool) {
				if l.Place != c.place {
					t.Errorf("place %d, want %d", l.Place, c.place)
				}
				found = append(found, l.URL)
				return replacement(len(found) - 1), true
			})
			if diff := cmp.Diff(c.urls, found, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
			if want := c.wanted(t, replacement); got != want {
				t.Errorf("got:\n%q\nwant:\n%q", got, want)
			}
			unchanged := c.rewrite(func(Link) (string, bool) { return "https://go.example.net/", false })
			if unchanged != string(c.body()) {
				t.Errorf("changed though nothing was replaced:\n%q", unchanged)
			}
		})
	}
}

// Positions are where the marks are.
func TestPositions(t *testing.T) {
	for _, c := range constructs(t) {
		var want, got []int
		for at, rest := 0, c.marked; ; {
			before, after, found := strings.Cut(rest, "⟦")
			if !found {
				break
			}
			want = append(want, at+len(before))
			inner, behind, _ := strings.Cut(after, "⟧")
			at += len(before) + len(inner)
			rest = behind
		}
		c.rewrite(func(l Link) (string, bool) {
			got = append(got, l.Position)
			return "", false
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// Every second link stays: the caller's rule is asked for each, and what stays has its old bytes.
func TestCallersRule(t *testing.T) {
	src := `<a href="https://example.com/1?a&amp;b">1</a><a href='https://example.com/unsubscribe?a&amp;b'>2</a><a href=https://example.com/3>3</a>`
	got := string(AppendHTML([]byte("before "), []byte(src), "", func(l Link) (string, bool) {
		return "https://go.example.net/x", !strings.Contains(l.URL, "unsubscribe")
	}))
	want := `before <a href="https://go.example.net/x">1</a><a href='https://example.com/unsubscribe?a&amp;b'>2</a><a href=https://go.example.net/x>3</a>`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// What a caller puts in is read as itself, whatever stands around it.
func TestReplacementIsEscaped(t *testing.T) {
	const url = "https://go.example.net/?a=\"1\"&b='2'&amp;c=<3>`4` -->#<![endif]-->ü"
	const written = "https://go.example.net/?a&#x3D;&#x22;1&#x22;&amp;b&#x3D;&#x27;2&#x27;&amp;amp;c&#x3D;&#x3C;3&#x3E;&#x60;4&#x60;&#x20;--&#x3E;#&#x3C;![endif]--&#x3E;ü"
	for _, around := range [][2]string{{`<a href="`, `">`}, {`<a href='`, `'>`}, {`<a href=`, `>`}, {`<!--[if mso]><a href=`, ` x><![endif]--><p>`}} {
		src := around[0] + "https://example.com/" + around[1]
		replaced := AppendHTML(nil, []byte(src), "", func(Link) (string, bool) { return url, true })
		if want := around[0] + written + around[1]; string(replaced) != want {
			t.Errorf("got %s\nwant %s", replaced, want)
		}
		var again []string
		AppendHTML(nil, replaced, "", func(l Link) (string, bool) {
			again = append(again, l.URL)
			return "", false
		})
		if diff := cmp.Diff([]string{url}, again); diff != "" {
			t.Errorf("read again (-want +got):\n%s", diff)
		}
	}
}

func TestPixel(t *testing.T) {
	const picture = `<img src="https://go.example.net/o/T.gif?a&amp;b" alt="" width="1" height="1" border="0" style="width:1px;height:1px;border:0">`
	for _, c := range []struct{ name, src, want string }{
		{"before the body's end", "<html><body>x</body></html>\n", "<html><body>x" + picture + "</body></html>\n"},
		{"the last one", "<body>x</BODY>y</body ><!-- </body> -->", "<body>x</BODY>y" + picture + "</body ><!-- </body> -->"},
		{"not in a conditional comment", "<body>x</body><!--[if mso]></body><![endif]--></html>", "<body>x" + picture + "</body><!--[if mso]></body><![endif]--></html>"},
		{"without a body", "<html>x</html>", "<html>x" + picture + "</html>"},
		{"a fragment", "<p>x", "<p>x" + picture},
		{"nothing", "", picture},
	} {
		got := AppendHTML([]byte("before "), []byte(c.src), "https://go.example.net/o/T.gif?a&b", func(Link) (string, bool) { return "", false })
		if want := "before " + c.want; string(got) != want {
			t.Errorf("%s: got %s\nwant %s", c.name, got, want)
		}
	}
}
