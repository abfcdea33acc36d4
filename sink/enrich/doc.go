// Package enrich says who did it and where: client, operating system and platform from the user agent of an event, place from its address.
//
// All of it is made of what stands in the event, when a document is made, and nothing of it decides: which event is the first of its kind stood
// fixed before. The journal and the topics hold none of it. So a document that is made again, for another attempt or by another sink, may say
// more or less than the one before it: with another database, or with newer rules.
//
//	event ── user agent ──▶ cache ─ miss ─▶ one reader at a time: the rules of uap-core ──▶ Client, OS, Platform
//	   └──── address ─────▶ database (MaxMind's format), taken up anew when its file changes ──▶ Geo
//
// Who sends a user agent chooses its bytes. What one costs is bounded: at most 512 of them are read, by regular expressions in linear time
// (RE2), of which those are left out whose letters it does not have; one is read at a time, and who has waited for that in vain goes on without.
package enrich
