package topic

import (
	"sync"
	"time"

	"waypost/edge/event"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/operator"
)

// condition is what is known of an endpoint: what stands in the topic of states, which all sinks read, and what this sink's own attempts have come to since then.
type condition struct {
	mu       sync.Mutex
	disabled *operator.Cause
	since    time.Time // by the topic: failing since; zero: it works
	first    time.Time // this sink's first failure since its last success, or since another sink's; zero: none
	failures uint32    // since then
	success  time.Time
	status   int // of the last failure
	reason   string
	wished   event.Type // what this sink has written, or will, and has not read yet
}

func (c *condition) cause() *operator.Cause {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.disabled
}

// saw takes the end of an attempt into account, and says what is to be written of it; "": nothing.
func (c *condition) saw(o *attempt.Outcome, after time.Duration, now time.Time) (wish event.Type, why string) {
	if o.Word == attempt.Unsendable {
		return "", ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.Word == attempt.Delivered {
		c.success, c.first, c.failures = now, time.Time{}, 0
		if !c.since.IsZero() && c.disabled == nil {
			wish = operator.Works
		}
	} else {
		if c.first.IsZero() {
			c.first = now
		}
		c.failures++
		c.status, c.reason = o.Status, o.Reason
		since := c.failingLocked()
		switch {
		case c.disabled != nil:
		case o.Gone:
			wish, why = operator.Disabled, operator.Gone
		case c.failures < operator.LeastFailures:
		case after > 0 && now.Sub(since) >= after:
			wish, why = operator.Disabled, operator.Failing
		case c.since.IsZero():
			wish = operator.Fails
		}
	}
	if wish == c.wished {
		return "", ""
	}
	if wish != "" {
		c.wished = wish
	}
	return wish, why
}

// forget lets what was wished be wished again.
func (c *condition) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wished = ""
}

// failingLocked is since when the endpoint fails; zero: it works.
func (c *condition) failingLocked() time.Time {
	if c.since.IsZero() || !c.first.IsZero() && c.first.Before(c.since) {
		return c.first
	}
	return c.since
}

// change describes the endpoint for an event.
func (c *condition) change(t *attempt.Target) operator.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	change := t.Change()
	change.LastSuccess, change.FailingSince, change.Failures = moment(c.success), moment(c.failingLocked()), c.failures
	if change.FailingSince != nil {
		change.Status, change.Failure = c.status, c.reason
	}
	if c.disabled != nil {
		change.Why, change.Reason, change.DisabledAt = c.disabled.Why, c.disabled.Reason, &c.disabled.At
	}
	return change
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// read takes an event of the topic into account.
func (c *condition) read(t event.Type, change *operator.Change, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wished == t { // else our own comes yet
		c.wished = ""
	}
	switch t {
	case operator.Disabled:
		c.disabled = &operator.Cause{At: at, Why: change.Why, Reason: change.Reason}
		if change.DisabledAt != nil {
			c.disabled.At = *change.DisabledAt
		}
	case operator.Enabled:
		c.disabled, c.since, c.first, c.failures = nil, time.Time{}, time.Time{}, 0
	case operator.Fails:
		if c.since = at; change.FailingSince != nil {
			c.since = *change.FailingSince
		}
	case operator.Works:
		c.since, c.first, c.failures = time.Time{}, time.Time{}, 0
	}
}
