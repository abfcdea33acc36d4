package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// maker makes links as sales and marketing mails carry them, from word lists and random ids. The same seed makes the same links.
type maker struct {
	*rand.Rand
	terms []string // campaign words
}

func newMaker(seed uint64, terms []string) maker { return maker{rand.New(rand.NewPCG(seed, 1)), terms} }

func (m maker) pick(list []string) string { return list[m.IntN(len(list))] }

func (m maker) letters(alphabet string, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(alphabet[m.IntN(len(alphabet))])
	}
	return b.String()
}

const (
	digits    = "0123456789"
	lowerHex  = digits + "abcdef"
	lowers    = "abcdefghijklmnopqrstuvwxyz"
	alnum     = digits + lowers + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	base64url = alnum + "-_"
)

func (m maker) digits(n int) string { return m.letters(digits, n) }
func (m maker) hex(n int) string    { return m.letters(lowerHex, n) }

func (m maker) uuid() string {
	return fmt.Sprintf("%s-%s-4%s-%s%s-%s", m.hex(8), m.hex(4), m.hex(3), m.letters("89ab", 1), m.hex(3), m.hex(12))
}

func (m maker) slug(least, most int) string {
	parts := make([]string, least+m.IntN(most-least+1))
	for i := range parts {
		parts[i] = m.pick(topics)
	}
	return strings.Join(parts, "-")
}

func (m maker) company() string {
	name := m.pick(companies)
	switch m.IntN(4) {
	case 0:
		name += m.pick(companies)
	case 1:
		name += "-" + m.pick(companies)
	}
	return name
}

func (m maker) domain() string { return m.company() + "." + m.pick(topLevels) }

func (m maker) person() string { return m.pick(firstNames) + "-" + m.pick(lastNames) }

// address is an e-mail address.
func (m maker) address() string {
	host := m.domain()
	if m.IntN(3) == 0 {
		host = m.pick(mailHosts)
	}
	first, last := m.pick(firstNames), m.pick(lastNames)
	switch m.IntN(8) {
	case 0:
		return first + "@" + host
	case 1:
		return first[:1] + last + "@" + host
	case 2:
		return first + last + m.digits(1+m.IntN(3)) + "@" + host
	case 3:
		return first + "_" + last + "@" + host
	case 4:
		return m.pick(words("info sales hello contact support team marketing office admin")) + "@" + host
	default:
		return first + "." + last + "@" + host
	}
}

// tag is a tag, a stream or a campaign's name.
func (m maker) tag() string {
	switch m.IntN(5) {
	case 0:
		return m.pick(words("outbound broadcast transactional marketing newsletter notifications default"))
	case 1:
		return m.pick(topics) + "_" + m.pick(m.terms)
	case 2:
		return m.pick(m.terms)
	default:
		return m.slug(1, 3)
	}
}

// capitalised has each word of ASCII text begin with a capital.
func capitalised(text string) string {
	out := []byte(text)
	inWord := false
	for i, c := range out {
		if !inWord && 'a' <= c && c <= 'z' {
			out[i] = c - 'a' + 'A'
		}
		inWord = c == '_' || strings.IndexByte(alnum, c) >= 0
	}
	return string(out)
}

func (m maker) campaign() string {
	separator := m.pick([]string{"-", "_", "_", "-", "+", "%20"})
	parts := []string{m.pick(m.terms)}
	for m.IntN(3) > 0 && len(parts) < 4 {
		if m.IntN(3) == 0 {
			parts = append(parts, m.pick(topics))
		} else {
			parts = append(parts, m.pick(m.terms))
		}
	}
	name := strings.Join(parts, separator)
	if m.IntN(6) == 0 {
		name = capitalised(name)
	}
	return name
}

// tracked adds campaign parameters to a link.
func (m maker) tracked(link string) string {
	separator := "?"
	if strings.Contains(link, "?") {
		separator = "&"
	}
	link += separator + "utm_source=" + m.pick(utmSources) + "&utm_medium=" + m.pick(utmMediums)
	if m.IntN(8) > 0 {
		link += "&utm_campaign=" + m.campaign()
	}
	if m.IntN(4) == 0 {
		link += "&utm_content=" + m.campaign()
	}
	if m.IntN(8) == 0 {
		link += "&utm_term=" + m.campaign()
	}
	switch m.IntN(14) {
	case 0:
		link += "&utm_id=" + m.digits(8+m.IntN(6))
	case 1:
		link += "&_hsenc=p2ANqtz-" + m.letters(base64url, 30+m.IntN(50)) + "&_hsmi=" + m.digits(8)
	case 2:
		link += "&mc_cid=" + m.hex(10) + "&mc_eid=" + m.hex(10)
	case 3:
		link += "&gclid=" + m.letters(base64url, 55+m.IntN(30))
	}
	return link
}

// own is a page of the sender's company.
func (m maker) own() string {
	host := m.pick([]string{"www.", "www.", "www.", "", "", "info.", "go.", "get.", "blog.", "learn.", "app.", "help.", "events.", "pages."}) + m.domain()
	switch m.IntN(9) {
	case 0:
		return "https://" + host + "/"
	case 1:
		return "https://" + host + "/" + m.pick(sections)
	case 2:
		return "https://" + host + "/" + m.pick(sections) + "/" + m.pick(sections) + "/" + m.slug(2, 6) + "/"
	case 3:
		return "https://" + host + "/unsubscribe?id=" + m.uuid() + "&email=" + strings.Replace(m.address(), "@", "%40", 1)
	case 4:
		return "https://" + host + "/" + m.pick(sections) + "?id=" + m.digits(4+m.IntN(8))
	case 5:
		return fmt.Sprintf("https://%s/blog/20%d/%02d/%s", host, 20+m.IntN(7), 1+m.IntN(12), m.slug(3, 8))
	default:
		return "https://" + host + "/" + m.pick(sections) + "/" + m.slug(2, 7)
	}
}

// link is a link of a mail.
func (m maker) link() string {
	var link string
	if m.IntN(5) < 2 {
		link = services[m.IntN(len(services))](m)
		if m.IntN(5) > 0 {
			return link
		}
	} else {
		link = m.own()
	}
	if m.IntN(5) < 3 {
		link = m.tracked(link)
	}
	return link
}
