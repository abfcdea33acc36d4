package link

import "testing"

// The goal of the format: a mail link of 98 characters with three ids costs no more characters than it had. Its host and words are in no training list.
func TestLengthOfUsualTokens(t *testing.T) {
	ring := testRing(t)
	with := func(change func(*Link)) *Link {
		l := usualLink()
		change(l)
		return l
	}
	for _, test := range []struct {
		name string
		link *Link
		most int
	}{
		{"three ids", usualLink(), len(url98)},
		{"and an address", with(func(l *Link) { l.Recipient = []byte("ottoline.fairweather@bramblewick.org") }), 120},
		{"and an original", with(func(l *Link) {
			l.Recipient = []byte("ottoline.fairweather@bramblewick.org")
			l.Destination, l.Original = []byte("https://bit.ly/33zYFqH"), []byte(url98)
		}), 140},
		{"open", &Link{Kind: Open, Tenant: 1, Message: id("4815162342"), Prospect: id("123456789"), User: id("654321")}, 50},
	} {
		token := mustToken(t, ring, test.link)
		t.Logf("%s: %d characters, %d with https:// and a host of 15", test.name, len(token), len("https://")+15+1+len(token))
		if len(token) > test.most {
			t.Errorf("%s: %d characters, want at most %d", test.name, len(token), test.most)
		}
	}
}
