package link

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Hostile tokens, with a key of their slot and without: only what AppendToken wrote opens.
func FuzzOpen(f *testing.F) {
	ring := testRing(f)
	for _, l := range []*Link{usualLink(), fullLink(), {Kind: Open, Tenant: 1}} {
		f.Add(mustToken(f, ring, l))
	}
	f.Add([]byte(strings.Repeat("A", minTokenLen)))
	f.Add([]byte("A=="))
	other, err := NewKeyring(0, [64]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token []byte) {
		var l Link
		if err := other.Open(&l, token); err == nil {
			t.Fatalf("%q opened under a key that sealed nothing", token)
		}
		if err := ring.Open(&l, token); err != nil {
			return
		}
		again := mustToken(t, ring, &l)
		if !bytes.Equal(again, token) && plainOf(t, ring, token)[0]>>3&3 != codecStored {
			t.Fatalf("%q opened, and mints %q", token, again)
		}
	})
}

// Plaintexts that were sealed under the right key, by whoever: no panic, and only canonical ones open.
func FuzzDecodePlain(f *testing.F) {
	ring := testRing(f)
	for _, l := range []*Link{usualLink(), fullLink(), {Kind: Open, Tenant: 1}} {
		f.Add(bytes.Clone(plainOf(f, ring, mustToken(f, ring, l))))
	}
	f.Fuzz(func(t *testing.T, plain []byte) { checkCanonical(t, plain) })
}

func FuzzSealOpen(f *testing.F) {
	f.Add("4815162342", "123456789", "0042", url98, "https://a/", "abc@prospect.com", "tag", "key", uint32(1), uint32(2))
	f.Add("", "", "", "http://a", "", "", "", "", uint32(0), uint32(0))
	ring := testRing(f)
	f.Fuzz(func(t *testing.T, message, prospect, user, destination, original, recipient, tag, key string, tenant, number uint32) {
		minted := &Link{
			Tenant: tenant, Number: number, Minted: number & MaxMinutes, Place: Place(number % 3),
			Message: id(message), Prospect: id(prospect), User: id(user),
			Destination: []byte(destination), Original: []byte(original), Recipient: []byte(recipient), Tag: []byte(tag),
		}
		if key != "" {
			minted.Metadata = AppendMetadata(nil, key, tag)
		}
		token, err := ring.AppendToken(nil, minted)
		if err != nil {
			return
		}
		var opened Link
		if err := ring.Open(&opened, token); err != nil {
			t.Fatal(err)
		}
		if original == destination {
			minted.Original = nil
		}
		if diff := cmp.Diff(minted, &opened, sameLink); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A key file that is taken is written the same again.
func FuzzKeyFile(f *testing.F) {
	file := &keyFile{lines: []keyLine{{text: "# a comment"}, {text: keyFileMagic}, freshKey(3)}}
	f.Add(file.append(nil))
	f.Add([]byte(keyFileMagic + "\n1 retired 2026-11-23T18:14:00Z -\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parseKeyFile("k", data)
		if err != nil {
			return
		}
		written := file.append(nil)
		again, err := parseKeyFile("k", written)
		if err != nil {
			t.Fatalf("what was written is not taken: %v", err)
		}
		if !bytes.Equal(again.append(nil), written) {
			t.Fatalf("written\n%s\nand then\n%s", written, again.append(nil))
		}
	})
}
