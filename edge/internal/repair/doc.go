// Package repair finds the link in what mail programs, chats and people made of it.
//
// A token is base64url (A-Z a-z 0-9 - _) and ends in a letter or digit. So whatever else stands in a path was added on its way, and can be taken away;
// what is right is not judged here, but by who opens the result: AES-SIV lets nothing pass that was not minted. A path that opens as it is never comes here.
//
//	path ─▶ escapes undone ─┬▶ cut at what no token holds      ─┐
//	                        ├▶ joined, =HH decoded, then cut   ─┼▶ does it open? ─▶ followed, Class says what was undone
//	                        └▶ joined, each = dropped, then cut ─┘
//	                        none ─▶ rot13, case, truncated: told to the person, never followed
//
// ROT13 is not followed though it would open: no mail program does that to a link. Scanners do, to see whether a site answers anything.
//
// Work is bounded: MaxPath bytes, three passes that undo escapes, three readings (and rot13), so at most MaxTries openings.
package repair
