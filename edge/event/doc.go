// Package event is the contract of what Waypost tells other programs: a CloudEvents 1.0 document, its Kafka key, its identity.
//
// # Record
//
// One event of a journal is a record of two parts, the Kafka key and the document:
//
//	 0         2               2+n
//	┌─────────┬───────────────┬──────────────────────────────────────┐
//	│ n       │ key, n bytes  │ document: JSON, UTF-8, to the end     │
//	│ u16 big │               │                                      │
//	└─────────┴───────────────┴──────────────────────────────────────┘
//
// # Key
//
//	TENANT "/" MESSAGE "/" RECIPIENT
//
// TENANT is the tenant's number in decimal. MESSAGE is data.message, RECIPIENT is data.prospect, else data.recipient with A to Z in lower
// case (as it is, when it is a hash). In both '%' and control characters are percent-encoded (upper-case hex), in MESSAGE '/' too. What is
// not known is empty: "1//".
//
// # Document
//
// Compact JSON, members always in this order, optional ones (?) left out when there is nothing to say:
//
//	specversion id source type time datacontenttype run sequence data
//	data: tenant tenant_name? message? prospect? user? recipient? link? stream? tag? metadata? retention_days unique
//	      method? user_agent? address? referrer? language? labels? cut?
//	      provider? provider_event? provider_type? occurred? reason? bounce? from? subject? read_seconds? raw?
//	link: number place? destination? original? minted
//	bounce: type? code? name? description? details? inactive? can_activate?
//
// schema.json beside this file is the whole truth, README.md explains it to readers.
//
// The digits of the sequence stand at two places, both of fixed width and known before the journal gives the sequence:
//
//	{"specversion":"1.0","id":"0123456789abcdef-0000000000000000", ... ,"sequence":"0000000000000000", ...
//	                                            └ sequenceAt[0]                     └ sequenceAt[1]
//
// # Text
//
// Every string is valid UTF-8 whatever came from outside: a byte that is no UTF-8 becomes %XX in destination, original and referrer, and
// the Latin-1 character of that byte elsewhere. Control characters are written \u00XX.
//
// # Versions
//
// Members are only ever added, at the end of their object; what a member means never changes. Readers pass over what they do not know.
package event
