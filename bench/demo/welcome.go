package demo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"waypost/bench/kafka"
	"waypost/bench/stack"
)

// request is Outreach's documented request with a mailing id of its own: recipients click a link of a mail for the first time only once, so
// that a second run needs another mail.
const request = `{"data":["https://bit.ly/33zYFqH","https://yhoo.it/35tPtX6"],` +
	`"meta":{"mailing":{"id":"MAILING"},"prospect":{"email":"abc@prospect.com","id":"456"},"user":{"email":"def@user.com","id":"789"},` +
	`"urls":{"https://www.google.com/":"https://bit.ly/33zYFqH","https://www.yahoo.com/":"https://yhoo.it/35tPtX6"}}}`

// Sign is the value of Outreach-Webhook-Signature for a body.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// welcome says where everything is and what to copy.
func welcome(s *stack.Stack, receiverURL string, cluster *kafka.Cluster, now time.Time) string {
	body := strings.Replace(request, "MAILING", fmt.Sprint(now.UnixMilli()), 1)
	edge, mint, sink := s.Edges[0], s.Mint, s.Sinks[0]
	events := ""
	if cluster != nil {
		events = fmt.Sprintf(`Between edge and sink is Kafka. See every event, and the first ones, with

kcat -q -b %[1]s -t waypost.events -C -e -o beginning -f '%%p/%%o %%s\n'
kcat -q -b %[1]s -t waypost.unique -C -e -o beginning -f '%%p/%%o %%h %%s\n'

`, cluster.Bootstrap()[0])
	}
	return fmt.Sprintf(`
Waypost is ready.

  edge      %s   redirects          admin %s
  mint      %s   makes the links    admin %s
  sink                               sends webhooks     admin %s
  receiver  %s   prints what the sink sends, after checking its signature. Webhooks to this machine are
                                     refused unless dispatch.allow of sink.yaml names it; the demo's does.

Ask for links as Outreach does, for tenant "demo" (this request is signed, and its mailing id is new):

curl -s %s/outreach/demo -H 'Content-Type: application/json' -H 'Outreach-Webhook-Signature: %s' -d '%s'

Follow one of the links in the answer, in a browser or with

curl -si LINK

and see below: "click ID first" with one webhook for each format; "click ID repeat" when you follow it again.
%sCtrl-C stops everything; the state stays in %s.
`, edge.URL, edge.Admin, mint.URL, mint.Admin, sink.Admin, receiverURL,
		mint.URL, Sign(OutreachSecret, []byte(body)), body, events, s.Dir)
}
