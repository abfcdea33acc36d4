package link

import "testing"

func TestNoAllocations(t *testing.T) {
	ring := testRing(t)
	minted := fullLink()
	token := mustToken(t, ring, minted)
	forged := append([]byte(nil), token...)
	forged[40] ^= 1
	dst := make([]byte, 0, 2*len(token))
	url := []byte(url98)
	var opened Link
	id := make([]byte, 0, 64)
	for name, run := range map[string]func(){
		"Open": func() {
			if ring.Open(&opened, token) != nil {
				t.Fatal("does not open")
			}
		},
		"Open of a forged token": func() {
			if ring.Open(&opened, forged) == nil {
				t.Fatal("opens")
			}
		},
		"AppendToken": func() {
			if _, err := ring.AppendToken(dst, minted); err != nil {
				t.Fatal(err)
			}
		},
		"CheckDestination": func() {
			if CheckDestination(url) != nil {
				t.Fatal("refused")
			}
		},
		"ID.AppendTo": func() { minted.Message.AppendTo(id) },
		"NextMetadata": func() {
			for _, _, rest, ok := NextMetadata(minted.Metadata); ok; _, _, rest, ok = NextMetadata(rest) {
			}
		},
	} {
		// Under the race detector a pool forgets at random, so only the figure is not asserted there.
		if allocations := testing.AllocsPerRun(200, run); allocations != 0 && !raceEnabled {
			t.Errorf("%s: %v allocations", name, allocations)
		}
	}
}
