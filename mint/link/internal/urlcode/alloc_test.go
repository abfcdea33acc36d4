//go:build !race

package urlcode

import "testing"

const url98 = "https://www.bramblewick.org/knowledge/turbine-blade-inspection?utm_source=drip&utm_campaign=owners"

func TestNoAllocations(t *testing.T) {
	stream, kinds := code(url98)
	stream = append(make([]byte, 0, len(stream)+Slack), stream...)
	strings := [][]byte{[]byte(url98)}
	dst, ends := make([]byte, 0, 256), make([]int, 1)
	var w Workspace
	for name, run := range map[string]func(){
		"Append": func() { Encoder1().Append(dst, &w, strings, kinds) },
		"Decode": func() {
			if _, err := Decoder1().Decode(dst, ends, stream, kinds, 256); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	stream, kinds := code(url98)
	stream = append(make([]byte, 0, len(stream)+Slack), stream...)
	dst, ends := make([]byte, 0, 256), make([]int, 1)
	b.Run("url=98", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decoder1().Decode(dst, ends, stream, kinds, 256); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(stream)), "stream-bytes")
	})
}

func BenchmarkEncode(b *testing.B) {
	dst, strings, kinds := make([]byte, 0, 256), make([][]byte, 0, 2), make([]Kind, 0, 2)
	url := []byte(url98)
	var w Workspace
	recipients := [][]byte{[]byte("first.last@prospect.example.com"), []byte("second.last@prospect.example.com")}
	for _, c := range []struct {
		name  string
		texts int // one after the other beside the URL
	}{{"url=98", 0}, {"url=98/text=same", 1}, {"url=98/text=other", 2}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				strings, kinds := append(strings[:0], url), append(kinds[:0], URL)
				if c.texts > 0 {
					strings, kinds = append(strings, recipients[i%c.texts]), append(kinds, Text)
				}
				Encoder1().Append(dst, &w, strings, kinds)
			}
		})
	}
}
