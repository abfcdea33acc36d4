package length

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// runCommand is `bench length` with c's flags; it gives what was printed.
func runCommand(t *testing.T, c Command) (string, error) {
	t.Helper()
	if c.Host == "" {
		c.Host, c.Budget = "go.example.test", 998
	}
	var out strings.Builder
	err := c.Run(t.Context(), &kong.Context{Kong: &kong.Kong{Stdout: &out}})
	return out.String(), err
}

// What bench/README.md shows is what the command prints, to the letter.
func TestReadmeShowsTheReport(t *testing.T) {
	out, err := runCommand(t, Command{File: "testdata/mail.txt"})
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := "$ bin/bench length bench/length/testdata/mail.txt\n" + out + "```"; !strings.Contains(string(readme), want) {
		t.Errorf("bench/README.md does not show:\n%s", want)
	}
}

func TestReportAsJSON(t *testing.T) {
	dir := t.TempDir()
	list, file := filepath.Join(dir, "list"), filepath.Join(dir, "report.json")
	long := "https://example.com/" + strings.Repeat("long/", 160)  // a JWT of it is too long for a mail, the URL is not
	tooLong := "https://example.com/" + strings.Repeat("Zq", 4500) // longer than a token's contents can be
	write(t, list, "https://example.com/a\n"+long+"\n"+tooLong+"\nnothing\n")
	if _, err := runCommand(t, Command{File: list, JSON: file, Host: "l.test", Budget: 998}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		URLs    int       `json:"urls"`
		LeftOut []Refusal `json:"left_out"`
		Plain   Lengths   `json:"plain"`
		Rows    []struct {
			Contents, Scheme string
			Token            float64 `json:"token_mean"`
			ToURL            float64 `json:"token_to_url"`
			Link             Lengths
		}
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Refusal{{"link: destination is neither http nor https", 1}, {"link: longer than allowed", 1}}, r.LeftOut); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Lengths{Mean: 420.5, P50: 21, P90: 820, Max: 820}, r.Plain); diff != "" || r.URLs != 2 {
		t.Errorf("%d URLs (-want +got):\n%s", r.URLs, diff)
	}
	if len(r.Rows) != 3*len(schemes) {
		t.Fatalf("%d rows", len(r.Rows))
	}
	jwt := r.Rows[1]
	if jwt.Contents != "three ids" || jwt.Scheme != "jwt" || jwt.Link.Over != 0.5 {
		t.Errorf("%+v", jwt)
	}
	if got, want := jwt.Link.Mean-jwt.Token, float64(len("https://l.test/")); got != want {
		t.Errorf("the link has %v characters more than its token, want %v", got, want)
	}
	if got, want := jwt.ToURL, jwt.Token/r.Plain.Mean; got != want {
		t.Errorf("token to URL %v, want %v", got, want)
	}
}

func TestCommandFails(t *testing.T) {
	list := filepath.Join(t.TempDir(), "list")
	write(t, list, "nothing\n\nmailto:a@b.example\n")
	for _, test := range []struct {
		c    Command
		want string
	}{
		{Command{File: list}, list + ": no URL that can be a link; 2 lines cannot"},
		{Command{File: list + "-gone"}, "open " + list + "-gone: no such file or directory"},
		{Command{File: "testdata/mail.txt", JSON: filepath.Join(list, "x")}, "open " + list + "/x: not a directory"},
	} {
		if _, err := runCommand(t, test.c); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	c := Command{File: "testdata/mail.txt", Host: "l.test", Budget: 998}
	if err := c.Run(ctx, &kong.Context{Kong: &kong.Kong{Stdout: &out}}); err != nil || out.Len() > 0 {
		t.Errorf("error %v, printed %q", err, out.String())
	}
}

func TestSumUp(t *testing.T) {
	var ten []int
	for n := range 10 {
		ten = append(ten, 10-n)
	}
	for _, test := range []struct {
		lengths []int
		budget  int
		want    Lengths
	}{
		{ten, 8, Lengths{Mean: 5.5, P50: 5, P90: 9, Max: 10, Over: 0.2}},
		{[]int{7}, 7, Lengths{Mean: 7, P50: 7, P90: 7, Max: 7}},
		{[]int{3, 1, 2}, 0, Lengths{Mean: 2, P50: 2, P90: 3, Max: 3, Over: 1}},
		{nil, 1, Lengths{}},
	} {
		if diff := cmp.Diff(test.want, sumUp(test.lengths, test.budget)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.lengths, diff)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
