package load

import (
	"fmt"
	"math/rand/v2"
	"time"

	"waypost/mint/link"
)

// The tenant under load, and the host that its links name.
const (
	loadTenant = 1
	loadHost   = "links.load.test"
)

// firstMessage is one less than the mailing id of a linkMaker's first link.
const firstMessage = 4_000_000_000

// linkMaker makes links as a sales mail has them, each different: a destination of about 98 characters with UTM parameters, mailing id of
// ten digits, prospect of nine, user of six, and the recipient's address. The same seed makes the same links.
type linkMaker struct {
	random *rand.Rand
	made   uint64
	minted uint32
	text   []byte
}

func newLinkMaker(seed uint64) *linkMaker {
	epoch := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	return &linkMaker{random: rand.New(rand.NewPCG(seed, 1)), minted: uint32(time.Since(epoch) / time.Minute)}
}

var (
	linkHosts     = []string{"www.northwind-traders.com", "app.contoso-cloud.io", "blog.fabrikam.com", "go.adventure-works.com", "www.tailspin-toys.co.uk"}
	linkPaths     = []string{"pricing", "customers", "resources/guide", "demo", "solutions/retail", "calendar/thirty-minutes", "case-study", "webinar"}
	linkCampaigns = []string{"q4-renewal", "spring-launch", "followup", "intro", "event", "trial"}
)

// next fills l. Its slices are valid until the next call.
func (m *linkMaker) next(l *link.Link) {
	m.made++
	r := m.random
	t := m.text[:0]
	t = fmt.Appendf(t, "https://%s/%s?utm_source=outreach&utm_medium=email&utm_campaign=%s-%06x",
		linkHosts[r.IntN(len(linkHosts))], linkPaths[r.IntN(len(linkPaths))], linkCampaigns[r.IntN(len(linkCampaigns))], r.IntN(1<<24))
	destination := len(t)
	t = fmt.Appendf(t, "person%07d@prospect-%03d.com", r.IntN(1e7), r.IntN(1000))
	m.text = t
	*l = link.Link{
		Kind: link.Click, Place: link.PlaceHTML, Tenant: loadTenant, Minted: m.minted, Number: uint32(r.IntN(8)),
		Message:     link.ParseID(fmt.Appendf(nil, "%d", firstMessage+m.made)),
		Prospect:    link.ParseID(fmt.Appendf(nil, "%d", 100_000_000+r.IntN(900_000_000))),
		User:        link.ParseID(fmt.Appendf(nil, "%d", 100_000+r.IntN(900_000))),
		Destination: t[:destination], Recipient: t[destination:],
	}
}
