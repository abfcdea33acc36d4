package load

import (
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
	for begin, n := uint32(0), 0; n < 100; n++ {
		var l link.Link
		if err := keys.Open(&l, r.paths[begin+1:r.ends[n]]); err != nil {
			t.Fatalf("link %d: %v", n, err)
		}
		length += len(l.Destination)
		begin = r.ends[n]
	}
	if mean := length / 100; mean < 88 || mean > 108 {
		t.Errorf("destinations are %d characters long, want about 98", mean)
	}
}
