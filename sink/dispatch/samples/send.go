package samples

import (
	"context"
	"log/slog"
	"math"
	"time"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/internal/metrics"
)

// Result is what an endpoint did with a sample.
type Result struct {
	Type      event.Type
	ID        event.ID // its webhook-id
	Delivered bool     // the format takes the answer for success
	Status    int      // 0: no answer came
	Reason    string   // why none came
	Took      time.Duration
	Answer    string // its first bytes
}

const maxAnswer = 255 // as in the log of attempts

// Of are the types of which a format has a document, in the order in which samples are sent.
func Of(target *attempt.Target) (all []event.Type) {
	for _, t := range Types() {
		if target.Format.Has(t) {
			all = append(all, t)
		}
	}
	return all
}

// Send sends a sample of each type to an endpoint, one after the other, each once and under the rules of any other webhook. The attempts are not counted, and not
// in the log. The error is ctx's: what was sent before it ended is returned with it.
func Send(ctx context.Context, s configs.Dispatch, target *attempt.Target, types []event.Type) ([]Result, error) {
	sender := attempt.NewSender(s, metrics.Discard(), slog.New(slog.DiscardHandler), nil, time.Now)
	defer sender.Close()
	var all []Result
	for _, t := range types {
		if err := ctx.Err(); err != nil {
			return all, err
		}
		now := time.Now()
		e := Event(t, target.Tenant, now)
		// So many attempts have been made that no other follows.
		o := sender.Attempt(ctx, target, attempt.Delivery{ID: e.ID, Attempts: math.MaxUint16, Created: now, Document: event.AppendDocument(nil, &e)})
		if o.Cut {
			return all, ctx.Err()
		}
		all = append(all, Result{
			Type: t, ID: e.ID, Delivered: o.Word == attempt.Delivered, Status: o.Status, Reason: o.Reason, Took: o.Took, Answer: string(o.Answer[:min(len(o.Answer), maxAnswer)]),
		})
	}
	return all, nil
}
