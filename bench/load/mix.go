package load

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"

	"waypost/mint/link"
)

// mix is what kind of requests an edge gets, and when.
type mix struct {
	name     string
	what     string // for the reader of a report
	want     int32  // the edge's answer; the yardstick's is 302, whatever it gets
	headers  string // of all requests, instead of a click's; empty: a click's
	settings string // lines of the edge's
	// counted is a metric of the edge, with labels, that must grow by one with each answer; empty: none.
	counted []string
	// maker begins a stream of requests on links that m makes, sealed under k. The same seed makes the same stream.
	maker func(k *link.Keyring, m *linkMaker, seed uint64) maker
	// schedule is when an open loop's requests are due; nil: evenly.
	schedule scheduler
	// peak is by how many times the schedule's highest rate is above its mean; 0: 1.
	peak float64
}

// maker appends the head of the next request, and says where the edge must send it: nowhere, where it must refuse. The destination is valid until the next call.
type maker func(dst []byte) (head, to []byte, err error)

const distinctMix = "distinct"

// mixes are the choices of --mix.
var mixes = []*mix{
	{name: distinctMix, what: "all links distinct", want: http.StatusFound, maker: distinctRequests},
	{
		name: "zipf", want: http.StatusFound, maker: zipfRequests,
		what: fmt.Sprintf("%d links of newsletters, the k-th hottest of them asked for in proportion to k^-%.1f", newsletterLinks, zipfExponent),
	},
	{
		name: "forged", want: http.StatusNotFound, maker: forgedRequests, counted: []string{"waypost_edge_requests_total", `outcome="refused"`},
		what: "distinct links with one character changed: the edge must refuse each",
	},
	{
		name: "mangled", want: http.StatusFound, maker: mangledRequests, counted: []string{"waypost_edge_links_changed_total"},
		what: "distinct links as mail programs mangle them: the edge must mend each",
	},
	{
		name: "sweep", want: http.StatusFound, maker: sweepRequests, schedule: sweeps, headers: scannerHeaders, settings: "trusted_proxies: [127.0.0.1]\n",
		what: fmt.Sprintf("scanners, each asking for all %d links of a mail at once, by HEAD and by GET", mailLinks),
	},
	{
		name: "burst", want: http.StatusFound, maker: distinctRequests, schedule: burst, peak: burstPeak(),
		what: fmt.Sprintf("all links distinct; clicks come at random, at first %d times as many as in the end", burstHeight),
	},
}

func mixOf(name string) *mix {
	for _, m := range mixes {
		if m.name == name {
			return m
		}
	}
	return mixes[0]
}

// fill replaces what is prepared by the next n requests.
func (next maker) fill(r *requests, n int) (err error) {
	r.reset()
	for range n {
		if r.heads, _, err = next(r.heads); err != nil {
			return fmt.Errorf("load: sealing a link: %w", err)
		}
		r.end()
	}
	return nil
}

// appendGet appends a GET of the link.
func appendGet(dst []byte, k *link.Keyring, l *link.Link) ([]byte, error) {
	dst, err := k.AppendToken(append(dst, getLine...), l)
	return append(dst, lineEnd...), err
}

func distinctRequests(k *link.Keyring, m *linkMaker, _ uint64) maker {
	var l link.Link
	return func(dst []byte) (head, to []byte, err error) {
		m.next(&l)
		head, err = appendGet(dst, k, &l)
		return head, l.Destination, err
	}
}

const (
	newsletterLinks = 10_000
	zipfExponent    = 1.1
)

// zipfRequests ask for links that are the same in all copies of a newsletter, so that they carry no person. Each is made when it is asked for first.
func zipfRequests(k *link.Keyring, m *linkMaker, seed uint64) maker {
	var l link.Link
	var made [newsletterLinks]struct{ head, to []byte }
	z := rand.NewZipf(rand.New(rand.NewPCG(seed, 3)), zipfExponent, 1, newsletterLinks-1)
	return func(dst []byte) (head, to []byte, err error) {
		it := &made[z.Uint64()]
		if it.head == nil {
			m.next(&l)
			l.Prospect, l.User, l.Recipient = link.ID{}, link.ID{}, nil
			it.to = bytes.Clone(l.Destination)
			if it.head, err = appendGet(nil, k, &l); err != nil {
				return dst, nil, err
			}
		}
		return append(dst, it.head...), it.to, nil
	}
}

// forgedRequests change one character of each token: neither its first four, of which the version and the key are, nor the last, which has bits that mean nothing.
func forgedRequests(k *link.Keyring, m *linkMaker, seed uint64) maker {
	var l link.Link
	r := rand.New(rand.NewPCG(seed, 4))
	return func(dst []byte) (head, to []byte, err error) {
		m.next(&l)
		begin := len(dst) + len(getLine)
		head, err = appendGet(dst, k, &l)
		if err != nil {
			return head, nil, err
		}
		at := begin + 4 + r.IntN(len(head)-len(lineEnd)-begin-5)
		for was := head[at]; head[at] == was; {
			head[at] = tokenLetters[r.IntN(len(tokenLetters))]
		}
		return head, nil, nil
	}
}

// tokenLetters are those of a token but for the marks, one of which could be its end.
const tokenLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func mangledRequests(k *link.Keyring, m *linkMaker, _ uint64) maker {
	var l link.Link
	var token []byte
	n := 0
	return func(dst []byte) (head, to []byte, err error) {
		m.next(&l)
		if token, err = k.AppendToken(token[:0], &l); err != nil {
			return dst, nil, err
		}
		head = mangles[n%len(mangles)].append(append(dst, getLine...), token)
		n++
		return append(head, lineEnd...), l.Destination, nil
	}
}

// mailLinks are those of a mail that a scanner looks at.
const mailLinks = 8

// scannerHeaders are what a mail scanner sends.
const scannerHeaders = "User-Agent: Mozilla/5.0 (compatible; MailScanner/1.0; +https://scanner.example.com/about)\r\nAccept: */*\r\n"

// sweepRequests come from one client for each mail: a HEAD of each link, then a GET. The client's address is told as a proxy does it; the edge trusts the
// generator to be one.
func sweepRequests(k *link.Keyring, m *linkMaker, _ uint64) maker {
	var l link.Link
	var first link.Link
	var token []byte
	n := 0
	return func(dst []byte) (head, to []byte, err error) {
		method := "HEAD /"
		if n%2 == 0 {
			m.next(&l)
			if number := n / 2 % mailLinks; number == 0 {
				first = l
				first.Recipient = append([]byte(nil), l.Recipient...) // the next link's stand in the same place
			} else {
				l.Number, l.Message, l.Prospect, l.User, l.Recipient = uint32(number), first.Message, first.Prospect, first.User, first.Recipient
			}
			token, err = k.AppendToken(token[:0], &l)
		} else {
			method = getLine
		}
		mail := n / (2 * mailLinks)
		n++
		head = append(append(append(dst, method...), token...), lineEnd...)
		return fmt.Appendf(head, "X-Forwarded-For: 198.18.%d.%d\r\n", mail/250%250, mail%250+1), l.Destination, err
	}
}
