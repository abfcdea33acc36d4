package rewrite

// Place says which body a link was found in.
type Place uint8

// The places of a link.
const (
	HTML Place = iota + 1
	Text
)

// Link is a link that was found in a body.
type Link struct {
	URL      string // where it leads, entities resolved
	Place    Place
	Position int // of the first byte in the body that is replaced
}

// Replace gives what stands in a link's place, or false for a link that stays. It is called for each link in turn, from the begin of the body to its end, also where
// a URL comes again.
type Replace func(Link) (url string, ok bool)
