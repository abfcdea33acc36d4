package hooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"waypost/configs"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/operator"
)

// TurnRequest is the body of POST /hooks/disable and /hooks/enable.
type TurnRequest struct {
	Tenant   string `json:"tenant,omitempty"` // name or number; may be left out where only one has such an endpoint
	Endpoint string `json:"endpoint"`
	Reason   string `json:"reason,omitempty"` // of disabling, for people
}

// TurnAnswer is their answer.
type TurnAnswer struct {
	Tenant     uint32          `json:"tenant"`
	TenantName string          `json:"tenant_name"`
	Endpoint   string          `json:"endpoint"`
	Changed    bool            `json:"changed"`           // false: it was so already
	Pending    *int64          `json:"pending,omitempty"` // deliveries that are kept, or follow; not known with Kafka
	Disabled   *operator.Cause `json:"disabled,omitempty"`
}

// turner is a Dispatcher that ends and begins attempts at endpoints.
type turner interface {
	Disable(ctx context.Context, tenant uint32, endpoint, reason string) (changed bool, err error)
	Enable(ctx context.Context, tenant uint32, endpoint string) (changed bool, err error)
	// Disabled is since when and why; nil: it is not.
	Disabled(tenant uint32, endpoint string) *operator.Cause
	// Owners are the tenants that have an endpoint of that name.
	Owners(endpoint string) []*configs.Tenant
}

// turnWithin is how long a change may take: with Kafka brokers may be away.
const turnWithin = 15 * time.Second

// maxReason bounds an operator's words.
const maxReason = 255

func (a *API) turn(r *http.Request, disable bool) (any, error) {
	var request TurnRequest
	if err := body(r, &request); err != nil {
		return nil, err
	}
	d, able := a.Dispatcher.(turner)
	if !able {
		return nil, &Fault{http.StatusNotImplemented, "this sink sends no webhooks: it has no endpoints"}
	}
	switch {
	case request.Endpoint == "":
		return nil, bad("endpoint must be set")
	case !disable && request.Reason != "":
		return nil, bad("reason: must not be set: it says why an endpoint is disabled")
	case len(request.Reason) > maxReason || strings.ContainsFunc(request.Reason, unicode.IsControl):
		return nil, bad("reason: must be at most %d bytes of text without control characters", maxReason)
	}
	tenant, err := a.owner(d, request.Tenant, request.Endpoint)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), turnWithin)
	defer cancel()
	answer := TurnAnswer{Tenant: tenant, Endpoint: request.Endpoint}
	if disable {
		answer.Changed, err = d.Disable(ctx, tenant, request.Endpoint, request.Reason)
	} else {
		answer.Changed, err = d.Enable(ctx, tenant, request.Endpoint)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &Fault{http.StatusServiceUnavailable, "no answer of the brokers, or of the disk, in time: it may have happened nonetheless"}
	case errors.Is(err, dispatch.ErrEnded):
		return nil, &Fault{http.StatusServiceUnavailable, "the sink is ending"}
	case errors.Is(err, operator.ErrNoEndpoint): // it has been removed this moment
		return nil, &Fault{http.StatusNotFound, fmt.Sprintf("endpoint = %s: tenant %d has no such endpoint", request.Endpoint, tenant)}
	case err != nil:
		return nil, err
	}
	answer.Disabled = d.Disabled(tenant, request.Endpoint)
	if target := a.Dispatcher.Target(tenant, request.Endpoint); target != nil {
		answer.TenantName = target.Tenant.Name
	}
	here, is := a.Dispatcher.(*dispatch.Dispatcher)
	if !is { // Kafka would have to be searched
		return answer, nil
	}
	states, err := here.States(r.Context())
	for i := range states {
		if s := &states[i]; s.Tenant.Number == tenant && s.Config.ID == request.Endpoint {
			answer.Pending = &s.Pending
		}
	}
	return answer, err
}

// owner finds the tenant of an endpoint; where none is named, the only one that has it.
func (a *API) owner(d turner, tenant, endpoint string) (uint32, error) {
	if tenant != "" {
		number, err := a.tenant(tenant)
		if err == nil {
			_, err = a.target(number, endpoint)
		}
		return number, err
	}
	owners := d.Owners(endpoint)
	switch len(owners) {
	case 0:
		return 0, &Fault{http.StatusNotFound, fmt.Sprintf("endpoint = %s: no tenant has such an endpoint", endpoint)}
	case 1:
		return owners[0].Number, nil
	}
	var names []string
	for _, t := range owners {
		names = append(names, t.Name)
	}
	return 0, bad("tenant must be set: the endpoint %s is one of %s", endpoint, strings.Join(names, ", "))
}

// turned are the arguments of both commands.
type turned struct {
	remote
	Tenant   string `placeholder:"TENANT" help:"Its tenant's name or number; needed where several tenants have an endpoint of that name."`
	Endpoint string `arg:"" name:"endpoint" help:"The endpoint's id."`
}

type disableCommand struct {
	turned
	Reason string `placeholder:"TEXT" help:"Why, for those who look at the list."`
}

// Run is `sink hooks disable`.
func (c *disableCommand) Run(o *Operator) error {
	return c.turn(o, "/hooks/disable", c.Reason, "disabled", ": %s kept")
}

type enableCommand struct{ turned }

// Run is `sink hooks enable`.
func (c *enableCommand) Run(o *Operator) error {
	return c.turn(o, "/hooks/enable", "", "enabled", ": %s to follow")
}

// turn asks for a change, and says what came of it.
func (c *turned) turn(o *Operator, path, reason, state, pending string) error {
	var answer TurnAnswer
	if err := c.ask(o, path, nil, TurnRequest{c.Tenant, c.Endpoint, reason}, &answer); err != nil {
		return err
	}
	if c.JSON {
		return encode(o.Out, answer)
	}
	word := "now"
	if !answer.Changed {
		word = "already"
	}
	line := fmt.Sprintf("%s of %s is %s %s", answer.Endpoint, cmp.Or(answer.TenantName, strconv.FormatUint(uint64(answer.Tenant), 10)), word, state)
	if answer.Pending != nil {
		line += fmt.Sprintf(pending, count(int(*answer.Pending), "delivery", "deliveries"))
	}
	_, err := fmt.Fprintln(o.Out, line)
	return err
}

// whyDisabled is why an endpoint is disabled, for people.
func whyDisabled(e *Endpoint) string {
	last := ""
	if e.LastFailure != nil {
		last = ", last " + why(e.LastFailure.Status, e.LastFailure.Reason)
	}
	switch e.Disabled.Why {
	case operator.Failing:
		return fmt.Sprintf("failed since %s, %s%s", seconds(e.FailingSince), count(int(e.Failures), "attempt", "attempts"), last)
	case operator.Gone:
		return "it is gone" + last
	}
	return cmp.Or(shownReason(e.Disabled.Reason), "by hand")
}

// shownReason is an operator's reason as a table shows it.
func shownReason(reason string) string {
	if reason == "" {
		return ""
	}
	return shown(reason)
}
