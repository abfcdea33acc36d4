package machines

import (
	"fmt"
	"net/netip"
	"testing"
)

// BenchmarkLabels is what a visit pays: for an agent that comes often, for one of many (of which the table remembers some), and for one that nobody saw before.
func BenchmarkLabels(b *testing.B) {
	addresses := []netip.Addr{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("66.249.66.1")}
	for _, agents := range []int{1, 1000, 1 << 16} {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			s := shipped(b)
			list := make([][]byte, agents)
			for i := range list {
				list[i] = fmt.Appendf(nil, "%s n/%d", chrome, i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s.Labels(list[i%agents], addresses[i%len(addresses)], false)
				i++
			}
		})
	}
}

// BenchmarkAgent leaves out the address: remembered, and walked.
func BenchmarkAgent(b *testing.B) {
	s := shipped(b)
	for _, agent := range [][]byte{[]byte(chrome), []byte(gmail)} {
		b.Run(fmt.Sprintf("way=seen/bytes=%d", len(agent)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.byAgent(agent)
			}
		})
		b.Run(fmt.Sprintf("way=walk/bytes=%d", len(agent)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.look(agent)
			}
		})
	}
	long := make([]byte, longest)
	for i := range long {
		long[i] = chrome[i%len(chrome)]
	}
	b.Run(fmt.Sprintf("way=walk/bytes=%d", longest), func(b *testing.B) {
		for b.Loop() {
			s.look(long)
		}
	})
}

func BenchmarkAddress(b *testing.B) {
	s := shipped(b)
	for _, text := range []string{"198.51.100.7", "2001:db8::7", "66.249.66.1", "2001:4860:4801:10::1"} {
		b.Run("address="+text, func(b *testing.B) {
			address := netip.MustParseAddr(text)
			b.ReportAllocs()
			for b.Loop() {
				s.byAddress(address)
			}
		})
	}
}
