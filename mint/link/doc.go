// Package link is the contract of a Waypost link: its bytes, its keys, its refusals.
//
// A link is https://HOST/TOKEN. The token says, sealed, where the person goes and who followed which link of which mail, so that no database
// stands between a click and its destination. Everything needed to write a decoder in another language is in this comment and in
// testdata/vectors.json; testdata/decode.py is one.
//
// # Token
//
// base64url (RFC 4648, section 5) without padding. It has one spelling: bits of the last character that stand for nothing are zero; there are
// no line breaks. Its last character is always a letter or a digit. It has at most 10946 characters.
//
//	 0        1                17
//	+--------+-----------------+----------------------+
//	| header | synthetic IV 16 | ciphertext, 6 to 8192 |
//	+--------+-----------------+----------------------+
//
//	  7   6   5   4   3   2   1   0
//	+-------+-----------------------+
//	|version|       key slot        |   header, one byte
//	+-------+-----------------------+
//
// Version is 0. Another version may change everything after the header; decoders refuse what they do not know.
//
// The ciphertext is the plaintext under AES-SIV (RFC 5297) with the 64-byte key of the slot, AES-256 twice; the one string of associated data is
// the header. There is no nonce: the same contents under the same key are the same token, so a repeated request is harmless and what two equal
// tokens reveal is that they are equal.
//
// # Plaintext
//
//	+-----------+--------+--------+-----+--------+--------+------------+-----+---------+
//	| control 2 | number | extras | pad | time 3 | tenant | id shape 1 | ids | strings |
//	+-----------+--------+--------+-----+--------+--------+------------+-----+---------+
//	              if 31    if E    if P                     if shape 2
//
// A uvarint is seven bits a byte, the lowest first, the top bit set in all bytes but the last (as in Go's encoding/binary and in Protocol
// Buffers). It never ends in a zero byte that adds nothing. All other numbers are big-endian.
//
//	  7   6   5   4   3   2   1   0      7   6   5   4   3   2   1   0
//	+-----------+-------+---+-------+  +-------------------+---+---+---+
//	|kind, place| codec | T | shape |  |    link number    | O | R | E |   control, two bytes
//	+-----------+-------+---+-------+  +-------------------+---+---+---+
//
// What they say:
//
//   - Kind and place: 0 a click, its place unknown; 1 a click in the HTML part; 2 a click in the text part; 3 an open. 4 to 7 are reserved.
//   - Codec: how the strings are written. 0 is stored, 1 is modelled. Codecs keep their numbers for ever, and so do their models.
//   - T, the tweak, means nothing; it gives a plaintext a second token, see "Last character".
//   - Shape of the ids: 0 none; 1 message, prospect and user, all of them numbers; 2 the id shape byte says; 3 message and prospect, both numbers.
//   - Link number: 0 to 30; at 31 a uvarint follows that is added to 31, the sum fitting 32 bits.
//   - O: there is an original. R: there is a recipient. E: the extras byte follows.
//
// Extras, from the lowest bit: stream, tag, metadata, P (a pad byte, zero, follows). The other bits are zero. P stands only beside another bit.
//
// Time is minutes since 2025-01-01T00:00Z, up to the year 2056. Tenant is a uvarint from 1 to 2^32-1.
//
// The id shape byte has two bits for each of message (the lowest), prospect and user: 0 absent, 1 a number, 2 a uuid, 3 text; its top bits are zero.
// It is not used for what shapes 0, 1 and 3 can say. The ids follow in this order: a number is a uvarint of 64 bits and stands for its decimal
// digits; a uuid is 16 bytes and stands for 36 characters, hex in lower case; text is a uvarint of its length and its bytes, at least one, and is
// never what could be a number or a uuid.
//
// # Strings
//
// In this order, if present: destination (in every click, in no open), original (if it is not the destination), recipient, stream, tag, metadata.
// None of them is empty. They are bytes, in no particular character set. The destination has no byte up to 0x20, and no 0x7F. Metadata is a
// sequence of keys and values in turn, each a uvarint of its length and its bytes.
//
// Codec 0: each string is a uvarint of its length and its bytes; the last one has no length and ends with the plaintext.
//
// Codec 1: one stream of package waypost/mint/link/internal/urlcode, whose comment draws it, with its model 1 (file model1.bin). Destination and original are
// strings of its kind URL, the others of its kind Text. It is used where it is shorter than codec 0, and not where there is no string.
//
// # Last character
//
// Mail programs take trailing punctuation off links. Only a token of whole three-byte groups can end in '-' or '_'. The minting side then sets
// T, and, if that token ends so too, clears T and makes the plaintext one byte longer: by an extras byte of zero or, where there is an extras
// byte, by P and the pad byte. All three spellings mean the same, and decoders need not care.
//
// # Limits
//
//	plaintext                   8192 bytes (MaxContents), and its strings and text ids together the same
//	token                      10946 characters (MaxToken)
//	key slots                     64 (Slots); a slot is used again only after its key was retired for good
//	fixed cost in a usual link     7 bytes: header, control, time and a tenant up to 127; and 16 of the synthetic IV
//
// # Refusals
//
// Open refuses with one of the package's error values, looked for in this order: ErrTooLong, ErrTruncated (under 31 characters), ErrEncoding,
// ErrVersion, ErrKey, ErrForged, ErrContent, ErrDestination. All but the last two say that nobody with our keys made the token.
//
// # Key file
//
// Text, mode 0600. Lines that are empty or begin with '#' mean nothing. The first other line is "waypost-keys 1"; the rest are keys:
//
//	0 retired 2026-01-31T12:00:00Z -
//	1 open 2026-06-30T12:00:00Z pUOoc...base64 of 64 bytes...Q==
//	2 primary 2026-11-30T12:00:00Z d2F5c...base64 of 64 bytes...Q==
//
// One key is primary and seals; it and the open ones open. When mint and edge run on several machines, give a rotated file to every edge first.
package link
