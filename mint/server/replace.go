package server

import (
	"time"

	"waypost/mint/link"
	"waypost/mint/rewrite"
)

// replacer mints the links of one message. Wherever a URL comes again it has the same number, and in the same body the same link. That the number and the URL are the same in HTML and text makes a click
// in either count once: the place is no part of what is unique.
type replacer struct {
	*message
	t      *tenant
	late   func() bool
	link   link.Link
	opened link.Link // what a link of our own holds
	known  map[string]*destination
	minted int
	left   [leftCount]int
}

// destination is one URL of the message, and what stands in its place in each of link's places; nothing where it stays.
type destination struct {
	number uint32
	done   [link.PlaceText + 1]bool
	urls   [link.PlaceText + 1]string
}

// newReplacer fills in what all links of m have in common.
func newReplacer(m *message, t *tenant, now time.Time, late func() bool) *replacer {
	r := &replacer{message: m, t: t, late: late, known: map[string]*destination{}}
	r.link = link.Link{
		Tenant:    t.number,
		Minted:    link.Minutes(now),
		Recipient: link.KeepRecipient(t.number, t.settings.RecipientInLink, nil, []byte(m.recipient)),
		Message:   link.ParseID([]byte(m.id)),
		Tag:       []byte(m.tag),
		Metadata:  m.metadata,
	}
	if m.stream != t.settings.Stream { // the edge fills the tenant's in
		r.link.Stream = []byte(m.stream)
	}
	return r
}

// inBody answers rewrite's question.
func (r *replacer) inBody(l rewrite.Link) (string, bool) {
	place := link.PlaceHTML
	if l.Place == rewrite.Text {
		place = link.PlaceText
	}
	url := r.replace(l.URL, place)
	return url, url != ""
}

// replace gives the link for a URL in that place; nothing for one that stays.
func (r *replacer) replace(url string, place link.Place) string {
	d := r.known[url]
	if d == nil {
		d = &destination{number: uint32(len(r.known))}
		r.known[url] = d
	}
	if !d.done[place] {
		d.done[place] = true
		d.urls[place] = r.mint(url, d.number, place)
	}
	return d.urls[place]
}

// mint seals a link, or counts why not.
func (r *replacer) mint(url string, number uint32, place link.Place) string {
	switch {
	case r.unsubscribe[url]:
		r.left[leftExcluded]++
		return ""
	case r.late():
		r.left[leftLate]++
		return ""
	case own(&r.opened, r.t, []byte(url)):
		r.left[leftOwn]++
		return ""
	case !r.t.wants([]byte(url), &r.left):
		return ""
	}
	r.link.Number, r.link.Place, r.link.Destination = number, place, []byte(url)
	whole, err := r.t.appendLink(nil, &r.link)
	if err != nil {
		r.left[leftReason(err)]++
		return ""
	}
	r.minted++
	return string(whole)
}

// picture mints the address of the picture that tells of an open; nothing where there shall be none, where the tenant has nothing recorded, or where it would be over the tenant's budget: that counts
// as no link left.
func (r *replacer) picture() string {
	if !r.track || !r.opens || r.t.settings.Track == "off" || r.late() {
		return ""
	}
	l := r.link
	l.Kind = link.Open
	address, err := r.t.appendPicture(nil, &l)
	if err != nil {
		return ""
	}
	return string(address)
}
