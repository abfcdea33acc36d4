package dispatch

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/event"
	"waypost/sink/ingest"
	"waypost/sink/internal/store"
	"waypost/sink/internal/uniques"
)

// delivery names one of an event to an endpoint.
type delivery struct {
	owner
	id event.ID
}

// replayTold sends kept events again to the endpoints that would be told of them now, the oldest first, where the view has no delivery and no letter of theirs: they were delivered, or
// the endpoint came later.
func (d *Dispatcher) replayTold(ctx context.Context, q *ReplayQuery, view *uniques.View, visit func(*Replayed)) error {
	open, err := d.unfinished(ctx, q, view.Snapshot)
	if err != nil {
		return err
	}
	types := uniques.Types()
	if len(q.Types) > 0 {
		types = nil
		for t := range q.Types {
			types = append(types, t)
		}
	}
	for tenant, all := range d.endpoints.Load().Tenants {
		if q.Tenant != 0 && q.Tenant != tenant {
			continue
		}
		if err := d.replayTenant(ctx, q, view, uniques.Query{Tenant: tenant, Types: types, From: q.From, To: q.To, OldestFirst: true}, all, open, visit); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dispatcher) replayTenant(ctx context.Context, q *ReplayQuery, view *uniques.View, kept uniques.Query, all []*endpoint, open map[delivery]bool, visit func(*Replayed)) error {
	var moved []again
	err := view.Walk(ctx, kept, func(k *uniques.Event) (bool, error) {
		if len(q.WebhookIDs) > 0 && !q.WebhookIDs[k.ID] {
			return true, nil
		}
		var document []byte
		for _, e := range all {
			if q.Endpoint != "" && q.Endpoint != e.Config.ID || open[delivery{owner{kept.Tenant, e.Config.ID}, k.ID}] {
				continue
			}
			if document == nil {
				text, err := k.Document()
				if err != nil {
					return false, err
				}
				document = bytes.Clone(text)
			}
			if !e.taker.Load().wants(&ingest.First{ID: k.ID, Type: k.Type, Tenant: kept.Tenant, Document: document}) {
				continue
			}
			value := Delivery{Created: k.At, Document: document}
			moved = append(moved, again{endpoint: e, to: place{d.micros() + uint64(len(moved)), k.ID}, value: value.AppendTo(nil), fresh: true})
			visit(&Replayed{
				WebhookID: k.ID.String(), Tenant: kept.Tenant, Endpoint: e.Config.ID, Type: k.Type, Was: "delivered", Created: time.UnixMicro(int64(k.At)).UTC(),
			})
		}
		if len(moved) < replayStep {
			return true, nil
		}
		err := d.moveUnless(q.List, moved)
		moved = moved[:0]
		return true, err
	})
	if err != nil {
		return err
	}
	return d.moveUnless(q.List, moved)
}

// moveUnless writes deliveries to where they are due now, unless they are only to be listed.
func (d *Dispatcher) moveUnless(list bool, moved []again) error {
	if list || len(moved) == 0 {
		return nil
	}
	return d.move(moved)
}

// unfinished are the deliveries that a view of the store has as due, under way or given up.
func (d *Dispatcher) unfinished(ctx context.Context, q *ReplayQuery, view *pebble.Snapshot) (map[delivery]bool, error) {
	open := map[delivery]bool{}
	for _, space := range []store.Space{store.Dues, store.Deads} {
		start, end := space.Range()
		iter, err := view.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
		if err != nil {
			return nil, err
		}
		for ok := iter.First(); ok && ctx.Err() == nil; ok = iter.Next() {
			tenant, endpoint, _, id, err := store.ParseDue(iter.Key())
			if err != nil {
				_, tenant, endpoint, id, err = store.ParseDead(iter.Key())
			}
			if err == nil && (len(q.WebhookIDs) == 0 || q.WebhookIDs[id]) && (q.Tenant == 0 || q.Tenant == tenant) && (q.Endpoint == "" || q.Endpoint == endpoint) {
				open[delivery{owner{tenant, endpoint}, id}] = true
			}
		}
		if err := errors.Join(ctx.Err(), iter.Error(), iter.Close()); err != nil {
			return nil, err
		}
	}
	return open, nil
}
