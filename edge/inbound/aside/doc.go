// Package aside keeps deliveries of providers that could not be mapped to events, until the mapping is mended and they are put through it again.
//
// # Files
//
// A directory with files NUMBER.jsonl, numbers of 8 digits that grow. Each line is one delivery:
//
//	{"tenant":"demo","provider":"acmemail","time":"2026-11-30T07:20:00.123456Z","why":"type: ...","headers":{"User-Agent":"..."},"body":{...}}
//
// body is the delivery's body, byte for byte; body_base64 stands in its place where it is no valid JSON, or has line breaks. It has to be the same bytes: where the provider has no id of
// its own for an event, its hash is the id, and a replay has to give the same event.
//
// A line is written by one write(2) before the delivery is answered, so what was answered is in the file after the death of the process; a power cut can take the last seconds. A line that a full disk
// cut short is taken back. Files are only appended to, and only by the one process that holds lock. A replay works on files that are not appended to any more: it removes a file when all of its
// lines are done, and else puts one without those that are done in its place, by rename. So a crash at any time leaves every delivery in a file; one that is an event already, and still in a
// file, becomes the same event again.
package aside
