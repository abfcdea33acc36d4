package client

import (
	"net/netip"
	"testing"
)

func TestTruncate(t *testing.T) {
	for in, want := range map[string]string{"203.0.113.9": "203.0.113.0", "2001:db8:1:2:3:4:5:6": "2001:db8:1::", "::1": "::"} {
		if got := Truncate(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
	if Truncate(netip.Addr{}).IsValid() {
		t.Error("no address becomes one")
	}
}
