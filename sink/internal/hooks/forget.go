package hooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"waypost/configs"
	"waypost/configs/ops"
	"waypost/sink/internal/forget"
	"waypost/sink/internal/person"
)

// ForgetRequest is the body of POST /forget.
type ForgetRequest struct {
	Tenant    string `json:"tenant"` // name or number; a number also of one that is not in tenants.yaml any more
	Recipient string `json:"recipient,omitempty"`
	Prospect  string `json:"prospect,omitempty"`
}

// Forgetter removes people from what this sink, or all of them, keep.
type Forgetter interface {
	Forget(ctx context.Context, r forget.Request) (*forget.Answer, error)
}

// Forget answers a request to forget somebody. What it says of faults does not name the person.
func (a *API) Forget(ctx context.Context, request ForgetRequest) (*forget.Answer, error) {
	if a.Forgetter == nil {
		return nil, errNoWebhooks
	}
	if request.Tenant == "" {
		return nil, bad("tenant must be set")
	}
	tenant, err := a.tenantOnce(request.Tenant)
	if err != nil {
		return nil, err
	}
	answer, err := a.Forgetter.Forget(ctx, forget.Request{Tenant: tenant, Recipient: request.Recipient, Prospect: request.Prospect})
	switch {
	case errors.Is(err, person.ErrNobody), errors.Is(err, person.ErrRecipient), errors.Is(err, person.ErrProspect):
		return nil, bad("%v", err)
	case errors.Is(err, forget.ErrCut):
		return nil, &Fault{http.StatusServiceUnavailable, err.Error()}
	}
	return answer, err
}

func (a *API) forget(r *http.Request) (any, error) {
	var request ForgetRequest
	if err := body(r, &request); err != nil {
		return nil, err
	}
	return a.Forget(r.Context(), request)
}

// tenantOnce finds a tenant, or stands for one that the settings had once.
func (a *API) tenantOnce(text string) (*configs.Tenant, error) {
	number, err := a.tenant(text)
	if err == nil {
		return a.Tenants.ByNumber(number), nil
	}
	once, parseErr := strconv.ParseUint(text, 10, 32)
	if parseErr != nil || once == 0 {
		return nil, err
	}
	tenant := configs.DefaultTenant()
	tenant.Number, tenant.RetentionDays = uint32(once), configs.MostRetentionDays
	return &tenant, nil
}

// ForgetCommand is `sink forget`.
type ForgetCommand struct {
	remote
	Tenant    string `required:"" placeholder:"TENANT" help:"The tenant's name or number."`
	Recipient string `placeholder:"ADDRESS" help:"The person's address, whatever its case; or its hash, as events have it."`
	Prospect  string `placeholder:"ID" help:"The person's prospect id."`
}

// Run asks the running sink; where none answers at the address of the settings, it works on the store itself.
func (c *ForgetCommand) Run(o *Operator) error {
	request := ForgetRequest{c.Tenant, c.Recipient, c.Prospect}
	var answer forget.Answer
	err := c.ask(o, "/forget", nil, request, &answer)
	if errors.Is(err, ops.ErrRefused) && c.Admin == "" && o.Local != nil {
		var local *forget.Answer
		if local, err = o.Local(request); err == nil {
			answer = *local
		}
	}
	switch {
	case err != nil:
		return err
	case c.JSON:
		return encode(o.Out, answer)
	}
	return printForgotten(o.Out, &answer)
}

func printForgotten(out io.Writer, a *forget.Answer) error {
	if _, err := fmt.Fprintf(out, "forgotten of %s: what happened until %s\n", cmp.Or(a.TenantName, strconv.FormatUint(uint64(a.Tenant), 10)), a.Until.Format(time.RFC3339)); err != nil {
		return err
	}
	if err := printRemoved(out, a.Removed); err != nil {
		return err
	}
	var rows [][]string
	for _, s := range a.Stays {
		rows = append(rows, []string{s.Where, s.What, s.Until})
	}
	if err := table(out, "WHERE\tSTAYS\tUNTIL", rows); err != nil {
		return err
	}
	for _, p := range a.Prospects {
		if _, err := fmt.Fprintf(out, "the address came with prospect %s: events that have no address are forgotten with --prospect\n", shown(p)); err != nil {
			return err
		}
	}
	return nil
}

func printRemoved(out io.Writer, r *forget.Removed) error {
	if r == nil {
		return nil
	}
	var rows [][]string
	for _, line := range [...]struct {
		n    int
		what string
	}{
		{r.Kept, "kept events"}, {r.Deliveries, "deliveries that waited"}, {r.DeadLetters, "dead letters"}, {r.Attempts, "attempts of the log"}, {r.UniqueKeys, "unique keys, for tombstones"},
	} {
		rows = append(rows, []string{strconv.Itoa(line.n), line.what})
	}
	return table(out, "REMOVED\tWHAT", rows)
}
