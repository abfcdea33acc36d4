package hooks

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"waypost/configs/ops"
)

// Command is what kong reads. The Run methods of its commands take an *Operator.
type Command struct {
	List     listCommand     `cmd:"" help:"Each endpoint: what is due to it, its dead letters, whether it fails, why and since when."`
	Attempts attemptsCommand `cmd:"" help:"What came of each attempt, the newest first."`
	Test     testCommand     `cmd:"" help:"Send a sample of each type of event that the endpoint's format knows, once, and show what it answers."`
	Disable  disableCommand  `cmd:"" help:"End attempts at an endpoint, also over restarts, until it is enabled. What it would be told is kept."`
	Enable   enableCommand   `cmd:"" help:"Begin attempts at an endpoint again, with what was kept."`
	Replay   replayCommand   `cmd:"" help:"Send dead letters, what waits, or what was delivered again now, under the old ids and with the schedule from the beginning."`
}

// which are the flags that both attempts and replays are chosen by.
type which struct {
	Tenant   string    `placeholder:"TENANT" help:"Of this tenant only: its name or number."`
	Endpoint string    `placeholder:"ID" help:"Of this endpoint only."`
	Since    ops.Since `placeholder:"TIME" help:"From this time on: 2026-11-28T05:21:29Z, or how long ago: 90m."`
	Until    ops.Since `placeholder:"TIME" help:"Before this time."`
}

type listCommand struct{ remote }

// Run is `sink hooks list`.
func (c *listCommand) Run(o *Operator) error {
	var answer Endpoints
	if err := c.ask(o, "/hooks", nil, nil, &answer); err != nil {
		return err
	}
	if c.JSON {
		return encode(o.Out, answer)
	}
	return printEndpoints(o.Out, answer.Endpoints)
}

type attemptsCommand struct {
	remote
	which
	ID      string `placeholder:"WEBHOOK-ID" help:"At this delivery only."`
	Message string `placeholder:"ID" help:"Of this mail only: the message id of its events."`
	Status  string `placeholder:"STATUS" help:"With this status: 503, 5xx, or none where no answer came."`
	Outcome string `placeholder:"WORD" help:"delivered, retry, given_up, stopped, unsendable; failed: all but delivered."`
	Limit   int    `default:"50" help:"At most so many."`
}

// Run is `sink hooks attempts`.
func (c *attemptsCommand) Run(o *Operator) error {
	query := url.Values{}
	for name, value := range map[string]string{
		"tenant": c.Tenant, "endpoint": c.Endpoint, "id": c.ID, "message": c.Message, "status": c.Status, "outcome": c.Outcome,
		"from": c.Since.String(), "to": c.Until.String(),
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	all := Attempts{Attempts: nil}
	for left := c.Limit; left > 0; left = c.Limit - len(all.Attempts) {
		query.Set("limit", strconv.Itoa(min(left, mostPage)))
		var page Attempts
		if err := c.ask(o, "/hooks/attempts", query, nil, &page); err != nil {
			return err
		}
		all.Attempts, all.Next = append(all.Attempts, page.Attempts...), page.Next
		if page.Next == "" {
			break
		}
		query.Set("after", page.Next)
	}
	if c.JSON {
		return encode(o.Out, all)
	}
	return printAttempts(o.Out, all)
}

type testCommand struct {
	remote
	Tenant   string   `required:"" placeholder:"TENANT" help:"The tenant's name or number."`
	Endpoint string   `required:"" placeholder:"ID" help:"The endpoint."`
	Type     []string `placeholder:"TYPE" help:"These types only: clicked, opened, bounced, ..."`
}

// Run is `sink hooks test`.
func (c *testCommand) Run(o *Operator) error {
	var answer TestAnswer
	if err := c.ask(o, "/hooks/test", nil, TestRequest{c.Tenant, c.Endpoint, c.Type}, &answer); err != nil {
		return err
	}
	var err error
	if c.JSON {
		err = encode(o.Out, answer)
	} else {
		err = printSamples(o.Out, answer)
	}
	refused := 0
	for _, s := range answer.Samples {
		if !s.Delivered {
			refused++
		}
	}
	if err == nil && refused > 0 {
		err = fmt.Errorf("hooks: %d of %d samples were not accepted", refused, len(answer.Samples))
	}
	return err
}

type replayCommand struct {
	remote
	which
	ID      []string `placeholder:"WEBHOOK-ID" help:"These deliveries only."`
	Type    []string `placeholder:"TYPE" help:"Of these types only: clicked, opened, bounced, ..."`
	Waiting bool     `xor:"what" help:"In place of dead letters, deliveries that wait for another attempt."`
	Failed  bool     `xor:"what" help:"Dead letters and deliveries that wait."`

	Delivered bool `xor:"what" help:"What was delivered, also to endpoints that came later; wants --id or --since."`
	All       bool `xor:"what" help:"Whatever became of it: dead letters, deliveries that wait, and what was delivered; wants --id or --since."`
	List      bool `help:"Only print which they are."`
}

// Run is `sink hooks replay`.
func (c *replayCommand) Run(o *Operator) error {
	request := ReplayRequest{
		Which: "dead", Tenant: c.Tenant, Endpoint: c.Endpoint, IDs: c.ID, Types: c.Type, From: c.Since.String(), To: c.Until.String(), List: c.List,
	}
	switch {
	case c.Waiting:
		request.Which = "waiting"
	case c.Failed:
		request.Which = "failed"
	case c.Delivered:
		request.Which = "delivered"
	case c.All:
		request.Which = "all"
	}
	var answer ReplayAnswer
	if err := c.ask(o, "/hooks/replay", nil, request, &answer); err != nil {
		return err
	}
	if c.JSON {
		return encode(o.Out, answer)
	}
	if err := printReplayed(o.Out, answer); err != nil {
		return err
	}
	word := "will be sent again"
	if c.List {
		word = "would be sent again"
	}
	_, err := fmt.Fprintf(o.Out, "%s %s\n", count(answer.Count, "delivery", "deliveries"), word)
	return err
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strings.Join([]string{strconv.Itoa(n), many}, " ")
}
