package inbound

import (
	"net/url"
	"strings"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/mint/link"
)

// followOwn makes a click on what our link leads to of a click on our link: a provider that replaces links in mails replaces ours too, and then both see the same click. The
// link also knows whose it is, which some providers do not say, and when it was sent. It comes after settle: what the link holds mint has put there as the tenant's privacy says.
func (told *Told) followOwn(keys *link.Keyring, t *configs.Tenant) {
	e := &told.Event
	if e.Type != event.Clicked || keys == nil {
		return
	}
	u, err := url.Parse(string(e.Destination))
	if err != nil || !t.Opens([]byte(u.Host)) {
		return
	}
	var l link.Link
	if keys.Open(&l, []byte(strings.TrimPrefix(u.EscapedPath(), "/"))) != nil || l.Kind != link.Click || l.Tenant != t.Number {
		return
	}
	e.Destination, e.Original = l.Destination, l.Original
	if len(e.Original) == 0 {
		e.Original = e.Destination
	}
	e.LinkNumber, e.Minted, e.User = l.Number, l.MintedTime(), l.User.AppendTo(nil)
	switch l.Place {
	case link.PlaceHTML:
		e.Place = "html"
	case link.PlaceText:
		e.Place = "text"
	}
	if message := l.Message.AppendTo(nil); len(message) > 0 {
		e.Message, told.Known = message, true
	}
	e.Prospect = l.Prospect.AppendTo(nil)
	if len(l.Recipient) > 0 || len(e.Prospect) > 0 {
		e.Recipient = l.Recipient
	}
	if len(l.Stream) > 0 {
		e.Stream = l.Stream
	}
	if len(l.Tag) > 0 {
		e.Tag = l.Tag
	}
	if len(l.Metadata) > 0 {
		e.Metadata = nil
	}
	for key, value, rest, ok := link.NextMetadata(l.Metadata); ok; key, value, rest, ok = link.NextMetadata(rest) {
		e.Metadata = append(e.Metadata, [2]string{string(key), string(value)})
	}
}
