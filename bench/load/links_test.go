package load

import (
	"bytes"
	"testing"

	"waypost/mint/link"
)

func made(m *linkMaker) string {
	var l link.Link
	m.next(&l)
	return l.Message.String() + string(l.Destination) + string(l.Recipient)
}

func TestSealedLinksOpen(t *testing.T) {
	keys, err := link.NewKeyring(0, [64]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	m := newLinkMaker(1)
	r := newRequests("")
	if err := r.seal(keys, m, 100); err != nil {
		t.Fatal(err)
	}
	length := 0
	for n := range 100 {
		var l link.Link
		token, _, _ := bytes.Cut(bytes.TrimPrefix(r.next(), []byte(getLine)), []byte(lineEnd))
		if err := keys.Open(&l, token); err != nil {
			t.Fatalf("link %d: %v", n, err)
		}
		length += len(l.Destination)
	}
	if mean := length / 100; mean < 88 || mean > 108 {
		t.Errorf("destinations are %d characters long, want about 98", mean)
	}
}
