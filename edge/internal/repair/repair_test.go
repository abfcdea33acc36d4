package repair

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"waypost/mint/link"
)

func testKeys(t testing.TB) *link.Keyring {
	t.Helper()
	keys, err := link.NewKeyring(3, [64]byte{1, 2, 3, 63: 64})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// mint gives a token that has both marks, so that escaping them changes it.
func mint(t testing.TB, keys *link.Keyring) string { return mintMany(t, keys, 1)[0] }

func mintMany(t testing.TB, keys *link.Keyring, n int) (tokens []string) {
	t.Helper()
	l := &link.Link{Tenant: 1, Minted: link.Minutes(time.Date(2026, 11, 23, 18, 14, 0, 0, time.UTC)), Message: link.ParseID([]byte("4715081523")),
		User: link.ParseID([]byte("815234")), Recipient: []byte("jane.doe@prospect.example"), Destination: []byte("https://www.example.com/products/overview?utm_source=x")}
	for i := 1; len(tokens) < n; i++ {
		l.Prospect = link.ParseID(fmt.Append(nil, i))
		token, err := keys.AppendToken(nil, l)
		if err != nil {
			t.Fatal(err)
		}
		if s := string(token); strings.Contains(s, "-") && strings.Contains(s, "_") {
			tokens = append(tokens, s)
		}
	}
	return tokens
}

// write gives what the places of a vector's path stand for.
func write(token string) *strings.Replacer {
	n := len(token)
	folded := strings.ToLower(token)
	rotated := []byte(token)
	rotate(rotated)
	return strings.NewReplacer("{token}", token, "{head}", token[:n/2], "{tail}", token[n/2:], "{a}", token[:n/3], "{b}", token[n/3:2*n/3], "{c}", token[2*n/3:],
		"{quoted}", strings.NewReplacer("-", "=2D", "_", "=5f").Replace(token),
		"{percent}", strings.NewReplacer("-", "%2d", "_", "%5F").Replace(token),
		"{percent2}", strings.NewReplacer("-", "%252D", "_", "%255f").Replace(token),
		"{entity}", strings.NewReplacer("-", "&#45;", "_", "&#x5F;").Replace(token),
		"{lower}", folded, "{upper}", strings.ToUpper(token), "{lowertail}", token[:n/2]+folded[n/2:], "{rot13}", string(rotated))
}

func TestVectors(t *testing.T) {
	var file struct {
		Vectors []struct{ Name, Path, Class string }
	}
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	keys := testKeys(t)
	tokens := mintMany(t, keys, 50) // some of them meet what one does not: a soft break before hexadecimal digits
	var r Repairer
	met := map[string]bool{}
	for _, v := range file.Vectors {
		met[v.Class] = true
		t.Run(v.Name, func(t *testing.T) {
			for _, token := range tokens {
				path := write(token).Replace(v.Path)
				found, class, tries := find(&r, keys, path)
				if Names[class] != v.Class {
					t.Errorf("%s: class %s, want %s", path, Names[class], v.Class)
				}
				if class.Followed() != (string(found) == token) || !class.Followed() && found != nil {
					t.Errorf("%s: class %s gives %q", path, Names[class], found)
				}
				if tries > MaxTries {
					t.Errorf("%s: %d tries", path, tries)
				}
			}
		})
	}
	for _, name := range Names {
		if !met[name] {
			t.Errorf("no vector of class %s", name)
		}
	}
}

func find(r *Repairer, keys *link.Keyring, path string) (token []byte, class Class, tries int) {
	var l link.Link
	token, class = r.Find([]byte(path), func(token []byte) bool {
		tries++
		return keys.Open(&l, token) == nil
	})
	return token, class, tries
}

// A whole token, sealed under no key of ours, is nothing that can be told apart: the person gets the general page.
func TestForgedStaysRefused(t *testing.T) {
	keys := testKeys(t)
	token := []byte(mint(t, keys))
	var r Repairer
	for i := range len(token) - 2 { // the last characters tell whether the end is missing
		forged := slices.Clone(token)
		forged[i] = alphabet[(strings.IndexByte(alphabet, forged[i])+1)%len(alphabet)]
		if found, class, _ := find(&r, keys, string(forged)); found != nil || class != None {
			t.Errorf("%s: %q, %s", forged, found, Names[class])
		}
	}
}

func TestFindAllocatesNothing(t *testing.T) {
	keys := testKeys(t)
	places := write(mint(t, keys))
	var r Repairer
	var l link.Link
	for _, template := range []string{"{token}.", "{quoted}=%0D%0A", "{head}%E2%80%8B{tail}", "{lower}", "{head}x{tail}"} {
		path := []byte(places.Replace(template))
		if n := testing.AllocsPerRun(100, func() {
			r.Find(path, func(token []byte) bool { return keys.Open(&l, token) == nil })
		}); n != 0 {
			t.Errorf("%s: %v allocations", template, n)
		}
	}
}

// Whatever comes, only what was minted is found, the work is bounded, and the path is not written to.
func FuzzFind(f *testing.F) {
	keys := testKeys(f)
	token := mint(f, keys)
	places := write(token)
	for _, template := range []string{"({token}).", "{percent2}", "{entity}", "{quoted}", "{a}=%0D%0A{b}={c}", "{head}%E2%80%8B{tail}", "{rot13}", "{lower}"} {
		f.Add(places.Replace(template))
	}
	var r Repairer
	f.Fuzz(func(t *testing.T, path string) {
		input := []byte(path)
		var l link.Link
		tries := 0
		found, class := r.Find(input, func(reading []byte) bool {
			tries++
			if len(reading) < minToken || string(reading) == path {
				t.Errorf("asked about %q", reading)
			}
			return keys.Open(&l, reading) == nil
		})
		if tries > MaxTries {
			t.Errorf("%d tries", tries)
		}
		if string(input) != path {
			t.Errorf("the path became %q", input)
		}
		if class >= Classes || class.Followed() != (found != nil) || found != nil && string(found) != token {
			t.Errorf("class %d, token %q", class, found)
		}
	})
}
