// Package blocks is the edge's kill switch: which links are not followed any more.
//
// # File
//
// Lines of words; what is empty or begins with # means nothing, and # after white space begins a note. A word with white space, # or " in it is written in Go's quotes.
//
//	tenant demo                  # every link of a tenant
//	mailing demo 4715081523      # every link of one mailing, by the id that the link carries
//	prospect demo 456            # every link to one person
//	host evil.example            # every link to a host, and to those below it (www.evil.example)
//	key 2                        # every link sealed under the key of a slot
//	link APzrYqWFf...            # one link, by its token
//
// `edge blocks add` and `remove` change it as a whole, by a rename, under a lock on its directory. People may edit it too.
//
// # In the edge
//
// A file becomes a Set, which never changes. A request asks one; where nothing is blocked there is none to ask, and only kinds that occur in the file are looked up.
package blocks
