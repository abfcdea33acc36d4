package server

import (
	"strings"
	"testing"

	"waypost/edge/event"
	"waypost/edge/internal/repair"
)

// What a changed link is answered, labelled and counted as; the classes themselves are package repair's.
func TestChangedLinksAreToldApart(t *testing.T) {
	r := newRig(t, nil)
	token := r.token(demoLink())
	const to = "https://bit.ly/33zYFqH"
	for _, c := range []struct {
		name, path string
		class      repair.Class
		to         string
		page       []byte
	}{
		{"bracket", token + ")", repair.Around, to, nil},
		{"soft break", token[:30] + "=%0D%0A" + token[30:], repair.SoftBreak, to, nil},
		{"soft break, parameters", token[:30] + "=" + token[30:] + "?utm_source=x", repair.SoftBreak, to, nil},
		{"cut", token[:30] + "...", repair.Truncated, "", pageCut},
		{"folded", strings.ToLower(token), repair.Folded, "", pageFolded},
		{"rotated", strings.Map(rot13, token), repair.Rot13, "", pageRotated},
		{"markup", "<script>" + token[:10] + "</script>", repair.None, "", pageNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, events := r.Counts(), len(r.events())
			a := r.do(request{uri: "/" + c.path})
			after, all := r.Counts(), r.events()
			if got := string(a.Header.Peek("Location")); got != c.to || string(a.Body()) != string(c.page) {
				t.Errorf("status %d, Location %q, body %q; want %q, %q", a.StatusCode(), got, a.Body(), c.to, c.page)
			}
			name := repair.Names[c.class]
			for counted, n := range after.Changed {
				if got := n - before.Changed[counted]; (got == 1) != (counted == name) || got > 1 {
					t.Errorf("%d counted as %s, want %s", got, counted, name)
				}
			}
			if !c.class.Followed() {
				if len(all) != events {
					t.Errorf("%d events", len(all)-events)
				}
				return
			}
			if len(all) != events+1 || all[events].Labels != event.Repaired {
				t.Errorf("%d events, the last %+v", len(all)-events, all[len(all)-1])
			}
		})
	}
}

func rot13(c rune) rune {
	switch {
	case 'A' <= c && c <= 'M', 'a' <= c && c <= 'm':
		return c + 13
	case 'N' <= c && c <= 'Z', 'n' <= c && c <= 'z':
		return c - 13
	}
	return c
}
