package server

import (
	"bytes"
	"sync"
	"time"

	"waypost/mint/link"
)

// minter is the memory of one request under way. It comes from a pool, so that requests share nothing.
type minter struct {
	request
	plain  []byte // the body, where it came compressed
	out    []byte // the answer
	link   link.Link
	opened link.Link // what a link of our own holds
	left   [leftCount]int
	minted int
}

// Above these, memory is not kept for the next request: one large request must not make the whole pool large.
const (
	maxKeptBytes   = 256 << 10
	maxKeptEntries = 4096
)

var minters = sync.Pool{New: func() any { return new(minter) }}

func (m *minter) release() {
	if cap(m.plain) > maxKeptBytes || cap(m.out) > maxKeptBytes || cap(m.arena) > maxKeptBytes ||
		cap(m.entries) > maxKeptEntries || cap(m.urls) > maxKeptEntries {
		return
	}
	minters.Put(m)
}

// mint appends the answer to the parsed request: for each distinct entry of data that can be a link, its replacement. Entries that are not done
// when late says so stay out.
func (s *Server) mint(m *minter, t *tenant, now time.Time, late func() bool) []byte {
	m.left = [leftCount]int{leftNotString: m.notStrings, leftSurrogate: m.surrogates}
	m.minted = 0
	s.fill(m, t, now)
	dst := append(m.out[:0], `{"data":{`...)
	for i := range m.entries {
		if late() {
			m.left[leftLate] += len(m.entries) - i
			break
		}
		dst = mintEntry(dst, m, t, i)
	}
	m.out = append(dst, "}}"...)
	return m.out
}

// fill sets what all links of the mail have in common.
func (s *Server) fill(m *minter, t *tenant, now time.Time) {
	m.link = link.Link{
		Tenant:    t.number,
		Minted:    link.Minutes(now),
		Recipient: link.KeepRecipient(t.number, t.settings.RecipientInLink, m.prospect.id, m.prospect.email),
		Message:   link.ParseID(m.mailing.id),
		Prospect:  link.ParseID(m.prospect.id),
		User:      link.ParseID(m.user.id),
	}
}

// mintEntry appends the i-th entry's member of the answer, or nothing.
func mintEntry(dst []byte, m *minter, t *tenant, i int) []byte {
	e := &m.entries[i]
	original := e.value
	if len(e.original) > 0 {
		original = e.original
	}
	if own(&m.opened, t, e.value) {
		m.left[leftOwn]++
		return dst
	}
	if !t.wants(original, &m.left) {
		return dst
	}
	m.link.Number = uint32(i)
	m.link.Destination = e.value
	m.link.Original = nil
	if !bytes.Equal(e.original, e.value) {
		m.link.Original = e.original
	}

	start := len(dst)
	if m.minted > 0 {
		dst = append(dst, ',')
	}
	dst = append(dst, e.raw...)
	dst = append(dst, `:"`...)
	dst, err := t.appendLink(dst, &m.link)
	if err != nil {
		m.left[leftReason(err)]++
		return dst[:start]
	}
	m.minted++
	return append(dst, '"')
}

// appendLink appends the whole link, of which the tenant's budget is. After an error what it appended means nothing.
func (t *tenant) appendLink(dst []byte, l *link.Link) ([]byte, error) {
	return t.appendWhole(dst, "", l, "")
}

// appendPicture appends the address of the picture that tells of an open, as the edge knows it.
func (t *tenant) appendPicture(dst []byte, l *link.Link) ([]byte, error) {
	return t.appendWhole(dst, "o/", l, ".gif")
}

func (t *tenant) appendWhole(dst []byte, folder string, l *link.Link, suffix string) ([]byte, error) {
	url := len(dst)
	dst, err := t.keys.AppendToken(append(append(dst, t.prefix...), folder...), l)
	dst = append(dst, suffix...)
	if err == nil && len(dst)-url > t.budget {
		err = link.ErrTooLong
	}
	return dst, err
}

func leftReason(err error) left {
	switch err {
	case link.ErrScheme:
		return leftScheme
	case link.ErrHost:
		return leftHost
	case link.ErrControl:
		return leftControl
	case link.ErrTooLong:
		return leftBudget
	}
	panic("BUG: a request cannot give a link that fails with: " + err.Error())
}

// own says whether url is a link that we minted for this tenant already: it stands on one of the tenant's hosts and opens.
func own(opened *link.Link, t *tenant, url []byte) bool {
	host, rest, ok := splitURL(url)
	if !ok || !t.settings.Opens(host) {
		return false
	}
	if end := bytes.IndexAny(rest, "?#"); end >= 0 {
		rest = rest[:end]
	}
	return len(rest) > 1 && t.keys.Open(opened, rest[1:]) == nil
}

// splitURL gives host and port of a http or https URL and what follows them.
func splitURL(url []byte) (host, rest []byte, ok bool) {
	if link.CheckDestination(url) != nil {
		return nil, nil, false
	}
	rest = url[bytes.IndexByte(url, ':')+3:]
	end := bytes.IndexByte(rest, '/')
	if end < 0 {
		return nil, nil, false
	}
	return rest[:end], rest[end:], true
}
