// Package inbound takes the webhooks of mail providers: what they tell of a mail becomes events beside the edge's own, in the same journal.
//
// # The way of a delivery
//
//	path ─▶ tenant, provider ─▶ what the header shows ─▶ body ─▶ signature ─▶ mapper ─▶ events ─▶ journal ─▶ 200
//	              404                   401              413, 503     401         │                     503
//	                                                                              ├─ ErrIgnored ──────────▶ 200
//	                                                                              └─ any other ─▶ asides ─▶ 200
//
// # Rules
//
//   - 2xx only when every event of the delivery is in the journal, or the delivery is in the file of what could not be mapped. Else 503: the provider sends it again.
//   - Nothing of a body is looked at before it is known who sent it. Secrets are compared in constant time, all of them, whichever fits.
//   - A repeated delivery makes the same event again: nothing here remembers what came. The sink drops it (event.Event.Unique), as it drops a second click.
//   - Bodies under way take memory as they come, not as they are announced, and all together no more than the settings say.
//   - A mapper gives what the provider said; what the tenant's privacy takes out is taken out here, for all of them alike.
//
// # Which mail, and whose
//
// mint gives its callers what to send along with a mail (a tag or metadata "waypost"): where a delivery brings that back, it is the message, and so the event has the key of
// the clicks on our own links in it. Else the provider's own id is the message. A click that a provider tells on a link of ours is a click on what that link leads to.
package inbound
