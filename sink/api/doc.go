// Package api is where programs of tenants see and change the webhooks of their tenant, and pull what was told, in the form of Postmark's webhooks and messages APIs.
//
//	GET    /webhooks[?MessageStream=S]   all of the tenant's, those of tenants.yaml too
//	POST   /webhooks                     makes one
//	GET    /webhooks/ID
//	PUT    /webhooks/ID                  changes what the body names
//	DELETE /webhooks/ID
//	POST   /webhooks/ID/test             sends samples to it
//	GET    /messages/outbound/clicks               the tenant's clicks, the newest first, a page of those that fit
//	GET    /messages/outbound/clicks/MESSAGEID     those of a message
//	GET    /messages/outbound/opens[/MESSAGEID]    opens, likewise
//
// The header X-Postmark-Server-Token says whose they are. A change is answered when it is durable and in force: an event that is decided after the answer sees it.
//
// On one machine they are kept in the store (shelf.go). With Kafka they stand in a topic that every sink follows (topic.go, write.go); a record's key is the webhook's number, its value
//
//	{"version":1,"tenant":7,"webhook":{"Url":"https://...","MessageStream":"outbound","HttpAuth":...,"HttpHeaders":[...],"Triggers":{...}}}
//
// or null: it was removed. The key "number" takes a number: {"version":1,"above":0}. Each record has the headers content-type and write, a name by which its writer knows it when it comes back.
//
// Numbers below 1,000,000,000 are of webhooks made here; they grow and are never given twice. An endpoint of tenants.yaml has a number from there on, made of its id, and cannot be changed here.
//
// Rejected: a file of endpoints that is written anew (two writers, and comments lost), and changing tenants.yaml itself.
package api
