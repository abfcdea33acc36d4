// Package filter says which links of a mail are replaced: those whose original URL a PCRE expression matches, anywhere in it.
//
// Outreach has such a filter in its own settings, in the syntax of Perl Compatible Regular Expressions, and applies it before it asks. A tenant's filter here does the same for all who ask, and takes the same expression.
//
// # Syntax
//
// It is PCRE2's, all of it, because it is PCRE2 (10.40) itself, translated from C to Go: see https://www.pcre.org/current/doc/html/pcre2pattern.html. Characters are those of UTF-8; \w, \d, \b and caseless letters of [a-z] are ASCII's unless the expression begins with (*UCP). \C is a mistake.
// Nothing is anchored: write ^ and $. The URL is matched as it stands in the mail, host in upper case and %XX included.
//
// # Bounds
//
// Such an expression can take for ever: ^(a+)+$ on 40 letters takes 2^40 attempts. So a match has MaxSteps steps, each a try of one item of the expression at one place (an item that passes over many bytes counts more), and ErrLimit ends it beyond. Steps and no clock:
// whether a link is replaced is the same on every machine, and in every repetition of a request. PCRE2's own limit stands behind it and alone would not do: it begins anew at each byte of the URL. The dearest match known takes under a millisecond (BenchmarkHostile); a usual one 1 to 5 microseconds (BenchmarkUsual).
// Memory is bounded too: MaxExpression, MaxURL, 1 MiB for a match.
//
// # Why not another
//
//   - Go's regexp has neither lookaheads nor back references: many of the expressions in use are none to it.
//   - github.com/dlclark/regexp2 is .NET's syntax: without (?P<name>), (?|, recursion, \h, \K and verbs.
//   - go.elara.ws/pcre as it is: it panics at a limit, locks for each match, hands PCRE2 pointers to memory that may move (a stack that grows), sets no limits, and has no way to. Its lib, the translation, is what is used here, with memory of C's own.
//
// It needs linux (amd64, arm64, 386, arm, riscv64) or darwin (amd64, arm64).
package filter
