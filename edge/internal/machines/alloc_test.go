//go:build !race

package machines

import (
	"net/netip"
	"testing"
)

// Nothing on the way of a redirect allocates: remembered or not, whole or part, from any address.
func TestAllocations(t *testing.T) {
	s := shipped(t)
	agents := [][]byte{[]byte(chrome), []byte(gmail), []byte("Mozilla/5.0"), nil, make([]byte, 4000)}
	addresses := []netip.Addr{{}, netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("66.249.66.1"), netip.MustParseAddr("2001:4860:4801:10::1")}
	if n := testing.AllocsPerRun(100, func() {
		for _, agent := range agents {
			for _, address := range addresses {
				s.Labels(agent, address, true)
			}
			s.look(agent)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
