package outbound

import (
	"net/netip"
	"strings"
)

// Kind is what an address is, or why a place is refused: the label of a metric.
type Kind string

// Kinds of addresses. Only those that are Public are anybody's on the internet.
const (
	Public        Kind = "public"
	Metadata      Kind = "metadata" // services that tell a cloud's machine its credentials
	Unspecified   Kind = "unspecified"
	Loopback      Kind = "loopback"
	Private       Kind = "private"
	UniqueLocal   Kind = "unique_local"
	LinkLocal     Kind = "link_local"
	Shared        Kind = "shared" // of carriers, and of overlay networks
	Multicast     Kind = "multicast"
	Broadcast     Kind = "broadcast"
	Documentation Kind = "documentation"
	Translated    Kind = "translated" // carries an IPv4 address, to which somebody on the way translates it
	Reserved      Kind = "reserved"
)

// What else a place is refused for.
const (
	Port      Kind = "port"
	Plaintext Kind = "plaintext"
	Spelling  Kind = "spelling"
)

// Kinds are all kinds of refusals.
func Kinds() []Kind {
	return []Kind{
		Metadata, Unspecified, Loopback, Private, UniqueLocal, LinkLocal, Shared, Multicast, Broadcast, Documentation, Translated, Reserved, Port, Plaintext, Spelling,
	}
}

// describe is the kind in a sentence.
func (k Kind) describe() string {
	switch k {
	case Metadata:
		return "a cloud's metadata service"
	case Translated:
		return "translated into an IPv4 address (NAT64, 6to4, Teredo)"
	case Shared:
		return "shared address space (RFC 6598)"
	}
	return strings.ReplaceAll(string(k), "_", "-")
}

// ranges are IANA's special-purpose registries and the metadata services. The first that has an address names it.
var ranges = []struct {
	kind     Kind
	networks []netip.Prefix
}{
	// Amazon, Google, Azure and most others; Amazon's containers; Azure's wire server; Alibaba; Oracle; Amazon and Google over IPv6.
	{Metadata, networks("169.254.169.254/32 169.254.170.2/32 169.254.170.23/32 168.63.129.16/32 100.100.100.200/32 192.0.0.192/32 fd00:ec2::/32 fd20:ce::254/128")},
	{Unspecified, networks("0.0.0.0/8 ::/128")},
	{Loopback, networks("127.0.0.0/8 ::1/128")},
	{Private, networks("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16")},
	{UniqueLocal, networks("fc00::/7")},
	{LinkLocal, networks("169.254.0.0/16 fe80::/10")},
	{Shared, networks("100.64.0.0/10")},
	{Multicast, networks("224.0.0.0/4 ff00::/8")},
	{Broadcast, networks("255.255.255.255/32")},
	{Documentation, networks("192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20")},
	{Translated, networks("64:ff9b::/96 64:ff9b:1::/48 2002::/16 2001::/32")},
	{Reserved, networks("192.0.0.0/24 192.88.99.0/24 198.18.0.0/15 240.0.0.0/4 2001::/23")},
	{Public, networks("0.0.0.0/0 2000::/3")},
}

func networks(list string) (all []netip.Prefix) {
	for text := range strings.FieldsSeq(list) {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// KindOf names an address. IPv4 written in IPv6 (::ffff:10.0.0.1) is IPv4; a zone means nothing.
func KindOf(ip netip.Addr) Kind {
	ip = ip.Unmap().WithZone("")
	if inner, ok := carried(ip); ok && KindOf(inner) == Metadata {
		return Metadata
	}
	for _, r := range ranges {
		for _, network := range r.networks {
			if network.Contains(ip) {
				return r.kind
			}
		}
	}
	return Reserved // of IPv6, only 2000::/3 was given to anybody
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// carried is the IPv4 address within one that will be translated into it.
func carried(ip netip.Addr) (netip.Addr, bool) {
	if !ip.Is6() {
		return netip.Addr{}, false
	}
	bytes := ip.As16()
	switch {
	case nat64.Contains(ip):
		return netip.AddrFrom4([4]byte(bytes[12:])), true
	case sixToFour.Contains(ip):
		return netip.AddrFrom4([4]byte(bytes[2:6])), true
	}
	return netip.Addr{}, false
}
