package server

import (
	"waypost/edge/internal/repair"
	"waypost/mint/link"
)

// mend looks for the link in a path that did not open for the reason refusal, and opens it into the visit. It gives the link's token, and what it says of the path, which is counted.
func (s *Server) mend(v *visit, keys *link.Keyring, path []byte, refusal error) ([]byte, repair.Class) {
	if refusal == link.ErrContent || refusal == link.ErrDestination {
		return nil, repair.None // sealed under our key, as it is: nothing happened to it on its way
	}
	token, class := v.repairer.Find(path, func(token []byte) bool { return v.opened.open(keys, token) == nil })
	if class != repair.None {
		s.counts.changed[class].add(1)
	}
	return token, class
}

// pageFor is what a person is told of a link that is not followed.
func pageFor(class repair.Class) []byte {
	switch class {
	case repair.Truncated:
		return pageCut
	case repair.Folded:
		return pageFolded
	case repair.Rot13:
		return pageRotated
	}
	return pageNotFound
}
