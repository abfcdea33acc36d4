package rewrite_test

import (
	"fmt"
	"strings"
	"time"

	"waypost/mint/link"
	"waypost/mint/rewrite"
)

// A program that sends mail mints by itself: with the key file that the edges have, and without a call.
func Example() {
	keys, err := link.NewKeyring(0, [64]byte{1, 2, 3}) // link.LoadKeyring("link.keys") where it is no example
	if err != nil {
		fmt.Println(err)
		return
	}
	mail := link.Link{
		Tenant:    1,
		Minted:    link.Minutes(time.Now()),
		Message:   link.ParseID([]byte("order-17")),
		Recipient: []byte("jane@example.com"),
	}
	const origin = "https://links.example.com/"
	numbers := map[string]uint32{}
	replace := func(l rewrite.Link) (string, bool) {
		if strings.Contains(l.URL, "/unsubscribe") {
			return "", false
		}
		if _, ok := numbers[l.URL]; !ok {
			numbers[l.URL] = uint32(len(numbers))
		}
		mail.Number, mail.Destination, mail.Place = numbers[l.URL], []byte(l.URL), link.PlaceHTML
		if l.Place == rewrite.Text {
			mail.Place = link.PlaceText
		}
		token, err := keys.AppendToken(nil, &mail)
		return origin + string(token), err == nil && len(origin)+len(token) <= 998
	}

	html := rewrite.AppendHTML(nil, []byte(`<a href="https://example.com/order?id=17&amp;from=mail">See it</a>`), "", replace)
	text := rewrite.AppendText(nil, []byte("See it: https://example.com/order?id=17&from=mail."), replace)

	_, rest, _ := strings.Cut(string(html), origin)
	token, after, _ := strings.Cut(rest, `"`)
	var opened link.Link
	fmt.Println(keys.Open(&opened, []byte(token)), opened.Message, string(opened.Destination), after)
	_, rest, _ = strings.Cut(string(text), origin)
	fmt.Println(keys.Open(&opened, []byte(strings.TrimSuffix(rest, "."))), opened.Number, opened.Place == link.PlaceText)
	// Output:
	// <nil> order-17 https://example.com/order?id=17&from=mail >See it</a>
	// <nil> 0 true
}
