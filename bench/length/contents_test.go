package length

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/mint/link"
)

const someURL = "https://www.example.com/a?b=<1>&utm_source=outreach"

// Whatever is compared carries the same: each token, opened, says what the claims say.
func TestAllCarryTheSame(t *testing.T) {
	m, err := newMaker()
	if err != nil {
		t.Fatal(err)
	}
	for contents := IDs; contents <= Original; contents++ {
		want := claimsOf(someURL, 7, contents)
		tokens, err := m.tokens(want)
		if err != nil {
			t.Fatal(err)
		}
		var l link.Link
		if err := m.ring.Open(&l, tokens[0]); err != nil {
			t.Fatal(err)
		}
		opened := claims{
			Tenant: l.Tenant, Mailing: number(t, l.Message), Prospect: number(t, l.Prospect), User: number(t, l.User), Number: l.Number,
			Issued: l.MintedTime().Unix(), Destination: string(l.Destination), Recipient: string(l.Recipient), Original: string(l.Original),
		}
		if diff := cmp.Diff(want, opened); diff != "" {
			t.Errorf("%s, waypost (-made +opened):\n%s", contents, diff)
		}
		for i, part := range map[int]int{1: 1, 2: 0, 3: 0} {
			text := decode(t, encoding, strings.Split(string(tokens[i]), ".")[part])
			if !strings.Contains(string(text), someURL) {
				t.Errorf("%s, %s: the URL is escaped in %s", contents, schemes[i], text)
			}
			var got claims
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s (-made +read):\n%s", contents, schemes[i], diff)
			}
		}
		timeless := want
		timeless.Issued = 0
		message, err := timeless.text()
		if err != nil {
			t.Fatal(err)
		}
		blocks := len(message)/16 + 1
		if got, want := len(decode(t, base64.URLEncoding, string(tokens[4]))), 1+8+16+16*blocks+32; got != want {
			t.Errorf("%s, fernet: %d bytes, want %d", contents, got, want)
		}
	}
}

func number(t *testing.T, id link.ID) (n uint64) {
	t.Helper()
	if err := json.Unmarshal([]byte(id.String()), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// The ids have the digits that doc.go says, and a place decides them.
func TestClaimsOf(t *testing.T) {
	for place := range 1000 {
		c := claimsOf(someURL, place, Address)
		if c.Mailing/1e9 < 1 || c.Mailing/1e10 > 0 || c.Prospect/1e8 < 1 || c.Prospect/1e9 > 0 || c.User/1e5 < 1 || c.User/1e6 > 0 {
			t.Fatalf("place %d: ids %d %d %d", place, c.Mailing, c.Prospect, c.User)
		}
		if !strings.Contains(c.Recipient, "@") || c.Original != "" || c.Destination != someURL {
			t.Fatalf("place %d: %+v", place, c)
		}
		if again := claimsOf(someURL, place, Address); c != again {
			t.Fatalf("place %d: %+v, then %+v", place, c, again)
		}
	}
}
