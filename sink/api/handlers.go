package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"waypost/configs"
)

type webhooksList struct{ Webhooks []webhook }

// all are the tenant's webhooks: those of tenants.yaml, then those made here.
func (s *Server) all(tenant *configs.Tenant) []webhook {
	list := []webhook{}
	for i := range tenant.Endpoints {
		list = append(list, fixed(tenant, &tenant.Endpoints[i]))
	}
	return append(list, s.Book.of(tenant.Number)...)
}

func (s *Server) list(ctx context.Context, tenant *configs.Tenant, stream string) (any, error) {
	if err := s.Book.current(ctx); err != nil {
		return nil, err
	}
	list := s.all(tenant)
	if stream == "" {
		return webhooksList{list}, nil
	}
	list = slices.DeleteFunc(list, func(w webhook) bool { return w.MessageStream != stream })
	if len(list) == 0 && stream != tenant.Stream {
		return nil, unprocessable(codeStream, fmt.Sprintf("MessageStream = %.200q: is not the tenant's stream, and no webhook has it", stream))
	}
	return webhooksList{list}, nil
}

func (s *Server) get(ctx context.Context, tenant *configs.Tenant, id uint32) (any, error) {
	if err := s.Book.current(ctx); err != nil {
		return nil, err
	}
	list := s.all(tenant)
	if i := place(list, id); i >= 0 {
		return list[i], nil
	}
	return nil, noSuch(strconv.FormatUint(uint64(id), 10))
}

// changeable finds one that may be changed here.
func (s *Server) changeable(tenant *configs.Tenant, id uint32) (webhook, error) {
	list := s.Book.of(tenant.Number)
	if i := place(list, id); i >= 0 {
		return list[i], nil
	}
	for i := range tenant.Endpoints {
		if fixed(tenant, &tenant.Endpoints[i]).ID == id {
			return webhook{}, refuse(http.StatusForbidden, fmt.Sprintf("webhook %d is the endpoint %s of tenants.yaml: it is changed there, by who runs the sink", id, tenant.Endpoints[i].ID))
		}
	}
	return webhook{}, noSuch(strconv.FormatUint(uint64(id), 10))
}

func (s *Server) create(ctx context.Context, tenant *configs.Tenant, body []byte) (any, error) {
	done, err := s.Book.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if len(tenant.Endpoints)+len(s.Book.of(tenant.Number)) >= configs.MostEndpoints {
		return nil, unprocessable(codeNotFitting, fmt.Sprintf("there are %d webhooks, as many as a tenant may have", configs.MostEndpoints))
	}
	w, err := s.merged(webhook{MessageStream: tenant.Stream}, body, true)
	if err != nil {
		return nil, err
	}
	if w.ID, err = s.Book.number(ctx); err != nil {
		return nil, err
	}
	if err := s.Book.put(ctx, s.Dispatcher, tenant, &w); err != nil {
		return nil, err
	}
	s.Logger.Info("webhook made", "tenant", tenant.Name, "webhook", w.ID)
	return w, nil
}

func (s *Server) change(ctx context.Context, tenant *configs.Tenant, id uint32, body []byte) (any, error) {
	done, err := s.Book.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	w, err := s.changeable(tenant, id)
	if err != nil {
		return nil, err
	}
	if w, err = s.merged(w, body, false); err != nil {
		return nil, err
	}
	if err := s.Book.put(ctx, s.Dispatcher, tenant, &w); err != nil {
		return nil, err
	}
	s.Logger.Info("webhook changed", "tenant", tenant.Name, "webhook", w.ID)
	return w, nil
}

func (s *Server) remove(ctx context.Context, tenant *configs.Tenant, id uint32) (any, error) {
	done, err := s.Book.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	w, err := s.changeable(tenant, id)
	if err != nil {
		return nil, err
	}
	if err := s.Book.remove(ctx, s.Dispatcher, tenant, &w); err != nil {
		return nil, err
	}
	s.Logger.Info("webhook removed", "tenant", tenant.Name, "webhook", id)
	return &problem{Message: fmt.Sprintf("Webhook %d removed.", id)}, nil
}

// merged is the webhook as the body wants it. The stream of one that is there does not change: as in Postmark's API, a webhook is made in a stream.
func (s *Server) merged(w webhook, body []byte, fresh bool) (webhook, error) {
	q, err := w.decode(body)
	if err != nil {
		return w, notJSON(err)
	}
	if q.MessageStream != nil && *q.MessageStream != "" && *q.MessageStream != w.MessageStream {
		if !fresh {
			return w, unprocessable(codeNotFitting, fmt.Sprintf("MessageStream: must stay %.200q; make another webhook for another stream", w.MessageStream))
		}
		w.MessageStream = *q.MessageStream
	}
	if w, err = w.with(q); err != nil {
		return w, notJSON(err)
	}
	if faults := w.faults(s.Rules); len(faults) > 0 {
		return w, unprocessable(codeNotFitting, strings.Join(faults, "; "))
	}
	return w, nil
}

// notJSON says what is wrong with a body, without what stood in it.
func notJSON(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		field := kind.Field
		if field == "" {
			field = "the body"
		}
		return unprocessable(codeNotFitting, fmt.Sprintf("%s: must be %s, not %s", field, kindName(kind.Type.Kind().String()), kind.Value))
	case strings.Contains(err.Error(), "unknown field"):
		_, field, _ := strings.Cut(err.Error(), "unknown field ")
		return unprocessable(codeNotFitting, fmt.Sprintf("%.100s: no such field", field))
	case errors.As(err, &syntax):
		return unprocessable(codeInvalidJSON, fmt.Sprintf("the body must be JSON: at byte %d it is not", syntax.Offset))
	}
	return unprocessable(codeInvalidJSON, "the body must be one JSON object")
}

// kindName is a Go kind as JSON calls it.
func kindName(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "string":
		return "a string"
	case "slice":
		return "an array"
	}
	return "an object"
}
