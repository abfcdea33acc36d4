// Package urlcode is codec 1 of links: URLs, addresses and other short strings, written as codes of a fixed, trained model.
//
// # Stream
//
// Bits, the highest of each byte first:
//
//	+------+---------+------+---------+-----+------+------+---------+-----+--------------+
//	| code | payload | code | payload | ... | next | code | payload | ... | ones, 0 to 7 |
//	+------+---------+------+---------+-----+------+------+---------+-----+--------------+
//	 first string                            second string
//
// A code stands for a token; which code does depends on the state. The state is Start[URL] or Start[Text] at the beginning of a string, by what kind of
// string it is, and after a token the token's class. Tokens are fragments of 1 to 16 bytes, which have no payload, and specials:
//
//	 0 end     never written. Its code is all ones and at least 8 bits long in every state, so that no other code can be 7 ones or fewer
//	 1 byte    8 bits, any byte
//	 2 hex     5 bits n-6, then n times 4 bits: 0123456789abcdef
//	 3 HEX     the same with 0123456789ABCDEF
//	 4 base64  5 bits n-6, then n times 6 bits: the base64url alphabet
//	 5 digits  4 bits n-4, then the digits by threes (10 bits, up to 999), the rest as two (7 bits, up to 99) or one (4 bits, up to 9)
//	 6 uuid    128 bits, written as 8-4-4-4-12 lower-case hex digits
//	 7 percent 4 bits n-2, then n times 8 bits, each written %XX with upper-case hex digits
//	 8 bytes   5 bits n-3, then n times 8 bits
//	 9 next    the string is complete, another one begins
//	10 ...     fragments, in the order of their bytes
//
// The last byte is filled with ones. A reader is at the end when fewer than 8 bits are left and all of them are ones.
//
// In each state the codes are canonical: by length, and in one length by token, except that token 0 is the last of the longest; each code is the one before it
// plus one, lengthened by zeros. The lengths, up to 18, are in the model; 0 means that the token has no code in that state. The specials and the fragments of
// one byte, which are 0x21 to 0x7E at least, have one in every state.
//
// # Model file
//
//	+--------+----------+----------+----------+-----------+------------------+---------+
//	| "WPUM" | format 1 | states 1 | tokens 2 | length 4  | DEFLATE          | CRC-32  |
//	+--------+----------+----------+----------+-----------+------------------+---------+
//
// Numbers are big-endian. The CRC (IEEE) covers all before it. Length is that of what DEFLATE holds:
//
//   - for each fragment, in order: how many bytes it shares with the fragment before it (1 byte);
//   - for each fragment: how many bytes follow these (1 byte);
//   - all those bytes;
//   - for each token: its class, which is a state (1 byte);
//   - for each state, for each token: the length of its code (1 byte).
//
// A model never changes: links that it wrote must open for ever. A better one gets a codec number of its own.
package urlcode
