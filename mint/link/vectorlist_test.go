package link

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// vectorList is what -update puts into testdata/vectors.json.
func vectorList(t *testing.T, ring *Keyring) []vectorToken {
	var list []vectorToken
	add := func(name string, slot uint8, token []byte, minted bool) {
		ring.primary = slot
		var l Link
		if err := ring.Open(&l, token); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plain := hex.EncodeToString(plainOf(t, ring, token))
		list = append(list, vectorToken{name, string(token), plain, minted, describeLink(&l)})
	}
	mint := func(name string, slot uint8, l *Link) {
		ring.primary = slot
		add(name, slot, mustToken(t, ring, l), true)
	}
	respell := func(name string, l *Link, s spelling) {
		ring.primary = 5
		add(name, 5, sealPlain(ring, spell(l, s)), false)
	}

	for _, named := range vectorLinks() {
		respell("stored: "+named.name, named.link, spelling{})
	}
	respell("tweak", usualLink(), spelling{tweak: 1})
	respell("longer by an extras byte", usualLink(), spelling{longer: true})
	respell("longer by a pad byte", fullLink(), spelling{longer: true})
	for _, named := range vectorLinks() {
		mint(named.name, 5, named.link)
	}
	mint("slot 0", 0, usualLink())
	mint("slot 63", 63, usualLink())
	for _, want := range []string{"tweaked", "lengthened"} {
		l := usualLink()
		for ; ; l.Minted++ {
			ring.primary = 5
			plain := plainOf(t, ring, mustToken(t, ring, l))
			if want == "tweaked" && plain[0]&4 != 0 || want == "lengthened" && plain[1]&hasExtras != 0 {
				break
			}
			l.Destination = append([]byte(url98), strings.Repeat("x", int(l.Minted%3))...)
		}
		mint(want+" by need", 5, l)
	}
	return list
}

type namedLink struct {
	name string
	link *Link
}

func vectorLinks() []namedLink {
	with := func(change func(*Link)) *Link {
		l := usualLink()
		change(l)
		return l
	}
	all := make([]byte, 0, 256)
	for c := range 256 {
		all = append(all, byte(c))
	}
	return []namedLink{
		{"usual", usualLink()},
		{"everything", fullLink()},
		{"open", &Link{Kind: Open, Tenant: 12, Minted: 999_999, Message: id("1"), Prospect: id("2"), Recipient: []byte("abc@prospect.com")}},
		{"open with nothing", &Link{Kind: Open, Tenant: 1}},
		{"shortest click", &Link{Tenant: 1, Destination: []byte("http://a")}},
		{"text, two ids, original", with(func(l *Link) {
			l.Place, l.User, l.Original = PlaceText, ID{}, []byte("https://www.google.com/")
		})},
		{"greatest numbers", &Link{
			Tenant: 1<<32 - 1, Minted: MaxMinutes, Number: 1<<32 - 1,
			Message: id("18446744073709551615"), Prospect: id("0"), User: id("18446744073709551616"), Destination: []byte("https://a/"),
		}},
		{"link number 30", with(func(l *Link) { l.Number = 30 })},
		{"link number 31", with(func(l *Link) { l.Number = 31 })},
		{"only a user", with(func(l *Link) { l.Message, l.Prospect = ID{}, ID{} })},
		{"uuids", with(func(l *Link) {
			l.Message, l.Prospect = id("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), id("6BA7B810-9dad-11d1-80b4-00c04fd430c8")
		})},
		{"hashed recipient", with(func(l *Link) { l.Prospect, l.Recipient = ID{}, HashRecipient(1, []byte("Abc@Prospect.com")) })},
		{"stream only", with(func(l *Link) { l.Stream = []byte("outbound") })},
		{"tag only", with(func(l *Link) { l.Tag = []byte("renewal-q3") })},
		{"metadata only", with(func(l *Link) { l.Metadata = AppendMetadata(nil, "order", strings.Repeat("7", 130)) })},
		{"every byte in strings", with(func(l *Link) { l.Original, l.Tag, l.Metadata = all, all[:128], AppendMetadata(nil, all[:2], all[250:]) })},
		{"every byte in destination", with(func(l *Link) { l.Destination = append([]byte("hTTp://h/"), makeSafe(bytes.Clone(all))...) })},
		{"long destination", with(func(l *Link) { l.Destination = append(l.Destination, strings.Repeat("&utm_term=abc%20def", 40)...) })},
	}
}

func refusalList(t *testing.T, ring *Keyring) []vectorRefusal {
	ring.primary = 5
	usual := string(mustToken(t, ring, usualLink()))
	short := usualLink()
	for len(mustToken(t, ring, short))%4 == 0 {
		short.Destination = append(short.Destination, 'x')
	}
	spare := mustToken(t, ring, short)
	spare[len(spare)-1] = alphabet[decodeValue[spare[len(spare)-1]]+1]
	raw := make([]byte, decodedLen(len(usual)))
	decodeToken(raw, []byte(usual))
	flipped := []byte(usual)
	flipped[50] = alphabet[decodeValue[flipped[50]]^1]
	list := []vectorRefusal{
		{"empty", "", "ErrTruncated"},
		{"30 characters", usual[:30], "ErrTruncated"},
		{"cut", encodeRaw(raw[:len(raw)-3]), "ErrForged"},
		{"cut to an impossible length", usual[:len(usual)-len(usual)%4-3], "ErrEncoding"},
		{"too long", strings.Repeat("A", MaxToken+1), "ErrTooLong"},
		{"spare bit", string(spare), "ErrEncoding"},
		{"padding", usual + strings.Repeat("=", 4), "ErrEncoding"},
		{"line break", usual[:40] + "\r\n" + usual[42:], "ErrEncoding"},
		{"plus", usual[:40] + "+" + usual[41:], "ErrEncoding"},
		{"version 1", "R" + usual[1:], "ErrVersion"},
		{"version 3", "x" + usual[1:], "ErrVersion"},
		{"slot without key", "B" + "h" + usual[2:], "ErrKey"},
		{"another slot's key", "A" + "A" + usual[2:], "ErrForged"},
		{"one bit", string(flipped), "ErrForged"},
		{"extended", usual + "AAAA", "ErrForged"},
		{"lower case", strings.ToLower(usual), "ErrVersion"},
	}
	for i, plain := range [][]byte{
		plainWith(4<<5, 0, "http://a/"),
		plainWith(3<<3, 0, "http://a/"),
		plainWith(shapeMixed, 0, "\x41\x01http://a/"),
		plainWith(shapeMixed, 0, "\x15\x01\x01\x01http://a/"),
		plainWith(shapeMixed, 0, "\x03\x0212http://a/"),
		plainWith(0, hasOriginal, "\x09http://a/http://a/"),
		plainWith(0, hasRecipient, "\x7fhttp://a/"),
		{0, hasExtras, 0x80, 0, 0, 9, 1, 'h', 't', 't', 'p', ':', '/', '/', 'a'},
		{0, hasExtras, extraPad, 0, 0, 0, 9, 1, 'h', 't', 't', 'p', ':', '/', '/', 'a'},
		{0, 0, 0, 0, 9, 0x80, 0, 'h', 't', 't', 'p', ':', '/', '/', 'a'},
		{0, 0, 0, 0, 9, 0, 'h', 't', 't', 'p', ':', '/', '/', 'a'},
	} {
		list = append(list, vectorRefusal{fmt.Sprintf("contents %d", i), string(sealPlain(ring, plain)), "ErrContent"})
	}
	return append(list,
		vectorRefusal{"destination with line break", string(sealPlain(ring, plainWith(0, 0, "http://a/\r\nSet-Cookie: a=b"))), "ErrDestination"},
		vectorRefusal{"destination with space", string(sealPlain(ring, plainWith(0, 0, "http://a/ b"))), "ErrDestination"},
	)
}
