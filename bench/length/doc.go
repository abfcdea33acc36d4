// Package length tells how long links become: those of Waypost, and those that the same contents make as a JWT, as an HMAC over JSON and as a
// Fernet token. The user gives the list of URLs; nothing is sent anywhere.
//
// # What each carries
//
// The same of every mail, for each URL of the list: tenant, mailing id of ten digits, prospect id of nine, user id of six, number of the link,
// time, and the URL. Then with the recipient's address; then with that, and with an original beside a shortened destination, as Outreach asks for
// where it has shortened the link itself.
//
//	waypost   a token of mint/link, as mint makes it: sealed, 16 bytes of it the synthetic IV
//	jwt       RFC 7519 with HS256: header {"alg":"HS256","typ":"JWT"}, the claims below, 32 bytes of HMAC-SHA256; each in base64url
//	hmac      base64url of the claims, a dot, base64url of 32 bytes of HMAC-SHA256
//	hmac-16   the same with the HMAC cut to 16 bytes, which is what Waypost spends
//	fernet    the specification's version 0x80, with its padding: version, time, IV, AES-128-CBC, HMAC-SHA256; it has a time of its own, so the
//	          claims have none
//
// The claims are as short as JSON allows, in the others' favour: names of one letter, ids as numbers, & < > not escaped.
//
// JSON holds text: bytes of a URL that are not UTF-8 become U+FFFD there, and such a link would lead elsewhere. Waypost keeps them.
//
//	{"t":1,"m":4815162342,"p":123456789,"u":654321,"n":3,"iat":1767225600,"d":"https://...","r":"abc@prospect.com","o":"https://..."}
//
// Who reads a link sees what is in a JWT or under an HMAC, the address too; Waypost and Fernet hide it.
//
// # Same list, same figures
//
// Keys, ids, addresses and the time are made from the place in the list alone. What mint would refuse is left out for all, and counted.
package length
