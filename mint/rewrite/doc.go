// Package rewrite replaces the links in the bodies of a mail, HTML and text, and changes no other byte of them.
//
// It is pure: it asks its caller for each link what to put in its place, keeps nothing, and needs no network, no key and no settings. A program that sends mail can use it
// with a mint/link.Keyring of its own, and so mint without a call (see the example).
//
// # HTML
//
// The body is read as browsers read it, by the tokenizer of golang.org/x/net/html: comments, scripts, styles, titles and text areas are no markup there and none here; what is
// inside noscript is, because mail programs run no scripts. A link is the href of an a or an area element, where it is a http or https URL once its entities are resolved, the blanks around
// it and the line breaks in it taken away, as a browser does. Of its attribute the value alone is replaced, between the quotes that it has, or without quotes where it has none;
// the new URL is written with entities for what must not stand there.
//
// What stays as it is:
//
//   - mailto:, tel:, sms:, cid: and all other schemes, fragments, empty values;
//   - relative URLs, those with a host too (//example.com/), and with them what a base element would resolve. The base element itself is never changed;
//   - elements that carry data-waypost="off". The attribute stays in the mail; it means nothing to others;
//   - URLs with a placeholder that somebody fills in later ({{id}}, {% url %}, ${id}, %%id%%, %id%, *|ID|*, <%= id %>, [[id]]): sealed into a link it would stay one for ever;
//   - pictures (src, srcset), style sheets, forms, VML (v:roundrect and its kin), AMP components, link and meta elements;
//   - what the caller refuses.
//
// Conditional comments: Outlook shows what stands between <!--[if mso]> and <![endif]-->, so that is read as HTML of its own, and its links are links. What other programs
// show (<!--[if !mso]><!--> to <!--<![endif]-->) is markup in any case. Every other comment is left alone.
//
// # Text
//
// A link is http:// or https:// in any case, unless a letter, a digit or one of + - . stands before it, a host, and all that follows of the characters that RFC 3986 allows in a URL. It
// ends before a closing bracket that it did not open, and never in punctuation (. , : ; ! ? '), in an open bracket, or in the * _ or ~ that stands before it as well (emphasis).
// Between < and > (or <URL: and >) it is all that stands there.
//
// Left alone, because nobody can tell where it ends: a URL with a placeholder, one that a letter, mark or digit beyond ASCII follows (write it with %XX, between < and >, or with a blank behind it),
// and one that stands behind < and is broken over lines.
//
// # Bounds and errors
//
// There are no errors: no body is refused, however damaged. What is not replaced comes out byte for byte, and with nothing replaced the output equals the input. Time grows with the body's length, not
// faster. The memory is the output and, for HTML, a copy of the longest tag, comment or stretch of text. The package sets no bound of its own on the length of body or URL: whoever takes bodies from
// others bounds them, and a link.Keyring refuses what holds more than 8 KiB. UTF-8 is not required, only that ASCII is ASCII: UTF-16 comes out unchanged.
package rewrite
