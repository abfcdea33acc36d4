package load

import (
	"fmt"

	"waypost/configs"
	"waypost/mint/link"
	"waypost/mint/server"
)

// mails are prepared requests to mint, each the links of one mail, signed. They come round: mint keeps nothing of a request, so that it cannot tell.
type mails struct {
	requests [][]byte
	at       int
}

const (
	// differentMails are so few that they stay in the generator's cache, or nearly.
	differentMails = 512
	// mailSecret signs them.
	mailSecret = configs.Secret("load-secret")
)

// newMails makes requests as Outreach's are, with so many links each: seven of ten were shortened by an earlier tracker, which says what they were. A closing one asks
// for the end of its connection.
func newMails(seed uint64, links int, closing bool) *mails {
	maker := newLinkMaker(seed)
	m := &mails{}
	end := ""
	if closing {
		end = "Connection: close\r\n"
	}
	for range differentMails {
		body := appendMail(nil, maker, links)
		request := fmt.Appendf(nil, "POST /outreach/load HTTP/1.1\r\nHost: mint.load.test\r\nUser-Agent: outreach\r\nAccept: */*\r\nContent-Type: application/json\r\n%s: %s\r\n%sContent-Length: %d\r\n\r\n",
			server.SignatureHeader, server.Sign(body, mailSecret), end, len(body))
		m.requests = append(m.requests, append(request, body...))
	}
	return m
}

func (m *mails) next() []byte {
	m.at = (m.at + 1) % len(m.requests)
	return m.requests[m.at]
}

// bytes is the mean length of a request.
func (m *mails) bytes() int {
	sum := 0
	for _, r := range m.requests {
		sum += len(r)
	}
	return sum / len(m.requests)
}

// appendMail appends the body of a request with so many links. All of a mail's have its ids and its recipient.
func appendMail(dst []byte, maker *linkMaker, links int) []byte {
	var first, l link.Link
	var data, urls []byte
	for i := range links {
		maker.next(&l)
		if i == 0 {
			first = l
			first.Recipient = append([]byte(nil), l.Recipient...) // the next link's stand in the same place
		}
		value := string(l.Destination)
		if i%10 < 7 {
			value = fmt.Sprintf("https://short.example/%06x", maker.random.IntN(1<<24))
		}
		if i > 0 {
			data, urls = append(data, ','), append(urls, ',')
		}
		data = fmt.Appendf(data, "%q", value)
		urls = fmt.Appendf(urls, "%q:%q", l.Destination, value)
	}
	dst = append(dst, `{"data":[`...)
	dst = append(dst, data...)
	dst = fmt.Appendf(dst, `],"meta":{"mailing":{"id":"%s"},"prospect":{"email":"%s","id":"%s"},"user":{"email":"sender@example.com","id":"%s"},"urls":{`,
		first.Message.AppendTo(nil), first.Recipient, first.Prospect.AppendTo(nil), first.User.AppendTo(nil))
	dst = append(dst, urls...)
	return append(dst, "}}}"...)
}
