// Package mapping makes events of what a mail provider delivers, by a parser that an operator registers in tenants.yaml without code: CEL expressions over the delivery's JSON document.
//
// # What expressions see
//
// body is the document. item is one entry of the list that each gives, or body itself without each. An object is a map, a number without fraction and exponent an int (text where it has more
// than 64 bits), any other number a double. Of a text longer than MaxText they see the beginning: no member of an event is so long.
//
// The language is CEL's (https://github.com/google/cel-spec) with its standard functions and macros and with optional values: item.?reason is the member reason where there is one, and otherwise
// nothing, which leaves the event's member out. item.reason of an item that has none is an error, and the delivery is kept aside: what a provider changes must not pass for what it left out.
// Beside the standard functions there are lowerAscii, upperAscii, trim, split, replace and substring of texts, as the common extensions of CEL define them, and json(text), the document in a text.
//
// # Bounds
//
// CEL has no loops but over lists, and yet an expression can cost much: lists within lists multiply. So each evaluation has a bounded cost (CEL's own reckoning), values a bounded size, regular expressions a bounded
// program, and a delivery a bounded sum of costs. These are the same on every machine. A deadline stands behind them. What is beyond is an error like any other. BenchmarkHostile has the dearest that is known.
//
// The extensions for texts that come with cel-go are not used: their cost is reckoned when they are done, and replace, join and indexOf of long texts make texts larger than memory, or take minutes, before.
//
// # Why CEL, and cel-go
//
// It is small, has types, ends always, and is what operators know from Kubernetes, Envoy and cloud policies. cel.dev/cel-go is its authors' own; it gives positions of mistakes, and has limits of cost and size. It brings
// cel.dev/expr, genproto's api and protobuf with it, none of which starts anything. A language of templates or paths (JSONPath, JMESPath, jq) has no types to check at start; gojq has no bound.
package mapping
