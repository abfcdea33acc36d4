package link

import "testing"

func BenchmarkOpen(b *testing.B) {
	ring := testRing(b)
	token := mustToken(b, ring, usualLink())
	b.Run("url=98/ids=3", func(b *testing.B) {
		var opened Link
		b.ReportAllocs()
		for b.Loop() {
			if err := ring.Open(&opened, token); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(token)), "token-chars")
	})
}

func BenchmarkSeal(b *testing.B) {
	ring := testRing(b)
	minted := usualLink()
	b.Run("url=98/ids=3", func(b *testing.B) {
		var dst []byte
		b.ReportAllocs()
		for b.Loop() {
			var err error
			if dst, err = ring.AppendToken(dst[:0], minted); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(dst)), "token-chars")
	})
}
