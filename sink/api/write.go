package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"waypost/configs"
	"waypost/configs/broker"
	"waypost/edge/ship"
	"waypost/sink/internal/kafkalog"
)

// heard tells the offset of a write to whoever waits for it.
func (t *Topic) heard(m *kafkalog.Message) {
	name := m.Header(writeHeader)
	if name == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if ch := t.waiting[string(name)]; ch != nil {
		delete(t.waiting, string(name))
		ch <- m.Offset
	}
}

// unavailable is the answer while the topic cannot be reached.
func unavailable(format string, args ...any) error {
	return refuse(http.StatusServiceUnavailable, fmt.Sprintf(format, args...))
}

// current implements keeper: it asks the broker where the log ends, and waits until that much is in force.
func (t *Topic) current(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, currentWithin)
	defer cancel()
	span, err := t.log.Span(ctx, t.name, 0)
	if err != nil {
		return unavailable("the webhooks are not known now: %s cannot be read: %s: try again", t.name, broker.Explain(err))
	}
	for {
		t.mu.Lock()
		read, grown, fault := t.read, t.grown, t.fault
		t.mu.Unlock()
		if read >= span.End {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			if fault == "" {
				fault = t.name + " is not read to its end yet"
			}
			return unavailable("the webhooks are not known now: %s: try again", fault)
		}
	}
}

// currentWithin is how long a request waits for the topic to be read.
const currentWithin = 5 * time.Second

// number implements keeper.
func (t *Topic) number(ctx context.Context) (uint32, error) {
	t.mu.Lock()
	above := t.above
	t.mu.Unlock()
	offset, err := t.write(ctx, numberRecord(above))
	if err != nil {
		return 0, err
	}
	number := int64(above) + offset + 1
	if number >= firstFixed {
		return 0, errNumbers
	}
	return uint32(number), nil
}

// put implements keeper. The dispatcher is told by Run.
func (t *Topic) put(ctx context.Context, _ Dispatcher, tenant *configs.Tenant, w *webhook) error {
	r, err := recordOf(tenant.Number, w)
	if err == nil {
		_, err = t.write(ctx, r)
	}
	return err
}

func (t *Topic) remove(ctx context.Context, _ Dispatcher, _ *configs.Tenant, w *webhook) error {
	_, err := t.write(ctx, removedRecord(w.ID))
	return err
}

// write appends a record, and waits until this sink has read it back and it is in force. It gives its offset.
func (t *Topic) write(ctx context.Context, r ship.Record) (offset int64, err error) {
	name, heard := rand.Text(), make(chan int64, 1)
	t.mu.Lock()
	t.waiting[name] = heard
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		delete(t.waiting, name)
		t.mu.Unlock()
	}()
	r.Headers = []ship.Header{{Key: contentTypeHeader, Value: []byte(contentType)}, {Key: writeHeader, Value: []byte(name)}}
	if _, err := t.producer.Produce(ctx, 0, []ship.Record{r}); errors.Is(err, ship.ErrRefused) {
		return 0, err
	}
	select { // also after an error: the record may have been taken all the same
	case offset = <-heard:
		return offset, nil
	default:
	}
	select {
	case offset = <-heard:
		return offset, nil
	case <-ctx.Done():
		return 0, unavailable("%s did not take the change in time: it may still come into force: look before you send it again", t.name)
	}
}
