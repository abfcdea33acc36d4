package dispatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus/testutil"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"waypost/configs"
	"waypost/sink/dispatch/operator"
	"waypost/sink/internal/metrics"
)

// failing are settings under which an endpoint that fails is soon disabled, and nothing is given up.
func failing() configs.Dispatch {
	s := usual()
	s.Retries = slices.Repeat([]time.Duration{time.Millisecond}, 60_000)
	s.DisableAfter = time.Millisecond
	return s
}

func (h *harness) state(id string) State {
	h.t.Helper()
	states, err := h.States(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for i := range states {
		if states[i].Config.ID == id {
			return states[i]
		}
	}
	h.t.Fatalf("no endpoint %s", id)
	return State{}
}

func (h *harness) awaitDisabled(id string) operator.Cause {
	h.t.Helper()
	until(h.t, id+" is disabled", func() bool { return h.state(id).Disabled != nil })
	return *h.state(id).Disabled
}

func (h *harness) turn(id string, disable bool) (changed bool) {
	h.t.Helper()
	var err error
	if disable {
		changed, err = h.Disable(h.t.Context(), 1, id, "a reason")
	} else {
		changed, err = h.Enable(h.t.Context(), 1, id)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return changed
}

// An endpoint that has failed for long enough gets no attempts, also after a restart; what it would be told is kept, and follows when it is enabled.
func TestFailingIsDisabled(t *testing.T) {
	rc, mended := switched(t, http.StatusServiceUnavailable)
	files := fresh()
	h := start(t, files, failing(), endpointTo("a", rc.URL, "standard"))
	ids := h.add(3)
	if why := h.awaitDisabled("a"); why.Why != operator.Failing || why.At.IsZero() {
		t.Errorf("%+v", why)
	}
	if s := h.state("a"); s.Failures < operator.LeastFailures || s.FailingSince == 0 || s.Status != 503 {
		t.Errorf("%+v", s.Health)
	}
	late := h.add(4)
	if n := testutil.ToFloat64(h.metrics.EndpointsDisabled); n != 1 {
		t.Errorf("%v endpoints are disabled, want 1", n)
	}
	until(t, "nothing is in memory", func() bool { return h.inMemory.Load() == 0 })
	next := h.next
	h.stop()

	mended.Store(true)
	h = start(t, files, failing(), endpointTo("a", rc.URL, "standard"))
	h.next = next
	if h.state("a").Disabled == nil || testutil.ToFloat64(h.metrics.EndpointsDisabled) != 1 {
		t.Error("it is not disabled after a restart")
	}
	late = append(late, h.add(2)...)
	if n := h.state("a").Pending; n != 9 {
		t.Errorf("%d are kept, want 9", n)
	}
	h.Measure()
	if !h.turn("a", false) || h.turn("a", false) {
		t.Error("enabling changes something once")
	}
	h.settle()
	if s := h.state("a"); s.Disabled != nil || s.FailingSince != 0 || s.Failures != 0 {
		t.Errorf("%+v", s)
	}
	if n := testutil.ToFloat64(h.metrics.EndpointsDisabled); n != 0 || testutil.CollectAndCount(h.metrics.EndpointDisabled) != 0 {
		t.Errorf("%v endpoints are disabled, want none", n)
	}
	h.stop()
	counts := rc.counts()
	for _, id := range late {
		if counts[id] != 1 {
			t.Errorf("%s came %d times: what came while it was disabled must not be attempted before it was enabled", id, counts[id])
		}
	}
	for _, id := range ids {
		if counts[id] < 2 {
			t.Errorf("%s came %d times", id, counts[id])
		}
	}
}

// Who may fail for ever, who fails a few times, and who answers now and then is not disabled; who was enabled again is judged by what comes after that.
func TestNotDisabled(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		after   time.Duration
		own     time.Duration
		since   time.Duration // how long it fails
		failed  uint32
		gone    bool
		disable string
	}{
		"long enough":            {5 * time.Hour, 0, 5 * time.Hour, 10, false, operator.Failing},
		"not long enough":        {5 * time.Hour, 0, 5*time.Hour - time.Second, 10, false, ""},
		"too few":                {5 * time.Hour, 0, 50 * time.Hour, 9, false, ""},
		"it works":               {5 * time.Hour, 0, 0, 0, false, ""},
		"never":                  {-1, 0, 5000 * time.Hour, 1000, false, ""},
		"not set":                {0, 0, 5000 * time.Hour, 1000, false, ""},
		"its own never":          {5 * time.Hour, -1, 5000 * time.Hour, 1000, false, ""},
		"its own is longer":      {5 * time.Hour, 10 * time.Hour, 9 * time.Hour, 1000, false, ""},
		"its own is shorter":     {5 * time.Hour, time.Hour, 2 * time.Hour, 1000, false, operator.Failing},
		"its own where never":    {-1, time.Hour, 2 * time.Hour, 1000, false, operator.Failing},
		"gone":                   {-1, 0, 0, 1, true, operator.Gone},
		"the clock was put back": {5 * time.Hour, 0, -time.Hour, 1000, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			settings := usual()
			settings.DisableAfter = c.after
			e := endpointTo("a", "http://127.0.0.1:1/", "standard")
			e.DisableAfter = c.own
			h := start(t, fresh(), settings, e)
			defer h.stop()
			m := mark{endpoint: h.endpoints.Load().All[0], at: uint64(now.UnixMicro())}
			m.outcome.Gone = c.gone
			if c.failed > 0 {
				m.endpoint.pulse.health.FailingSince = uint64(now.Add(-c.since).UnixMicro())
			}
			m.endpoint.pulse.health.Failures = c.failed
			got := ""
			if d := h.judge(&m); d != nil {
				got = d.Why
			}
			if got != c.disable {
				t.Errorf("%q, want %q", got, c.disable)
			}
		})
	}
}

// One that answers that it is gone is disabled at once; 403 of postmark stops a delivery and no more.
func TestGoneIsDisabled(t *testing.T) {
	gone, forbidden := receive(t, status(http.StatusGone)), receive(t, status(http.StatusForbidden))
	h := start(t, fresh(), usual(), endpointTo("gone", gone.URL, "standard"), endpointTo("forbidden", forbidden.URL, "postmark"))
	defer h.stop()
	h.add(1)
	if why := h.awaitDisabled("gone"); why.Why != operator.Gone {
		t.Errorf("%+v", why)
	}
	h.add(1)
	until(t, "all that may be sent was", func() bool { return h.state("forbidden").Dead == 2 })
	if s := h.state("gone"); s.Pending != 1 || s.Dead != 1 {
		t.Errorf("%d pending, %d dead, want one of each", s.Pending, s.Dead)
	}
	if n := len(gone.got()); n != 1 {
		t.Errorf("%d attempts at what is gone", n)
	}
}

// The operator's receiver is told of each change, signed with each secret, until it accepts.
func TestOperatorIsTold(t *testing.T) {
	sick := receive(t, status(http.StatusServiceUnavailable))
	ops := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	const oldSecret = "whsec_b2xkIHNlY3JldCBvZiAyNCBieXRlcyBvciBtb3Jl"
	settings := failing()
	settings.Operator = configs.Operator{URL: ops.URL + "/?token=t", Secrets: []configs.Secret{testSecret, oldSecret}}
	var log lines
	h := prepare(t, fresh(), Options{Settings: settings, Metrics: metrics.Discard(), Logger: slog.New(slog.NewTextHandler(&log, nil))},
		&configs.Tenant{Number: 1, Name: "demo", Stream: "outbound", Endpoints: []configs.Endpoint{endpointTo("a", sick.URL+"/?token=opensesame", "standard")}})
	h.Start()
	h.add(2)
	h.awaitDisabled("a")
	until(t, "it was told", func() bool { return len(ops.got()) == 2 && h.state(operator.ID).Pending == 0 })
	h.turn("a", false)
	h.awaitDisabled("a") // it still fails
	h.turn("a", true)    // it is already: nobody is told
	until(t, "it was told", func() bool { return len(ops.got()) == 4 && h.state(operator.ID).Pending == 0 })
	h.stop()
	got := ops.got()
	if got[0].id != got[1].id || !bytes.Equal(got[0].body, got[1].body) {
		t.Error("the second attempt was another webhook")
	}
	for i, of := range []string{"", "endpoint.disabled", "endpoint.enabled", "endpoint.disabled"} {
		if i == 0 {
			continue
		}
		for _, secret := range []string{testSecret, oldSecret} {
			webhook, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := webhook.Verify(got[i].body, got[i].header); err != nil {
				t.Error(err)
			}
		}
		var told struct {
			Type string
			Data operator.Change
		}
		if err := json.Unmarshal(got[i].body, &told); err != nil {
			t.Fatal(err)
		}
		c := told.Data
		if told.Type != of || c.Tenant != 1 || c.TenantName != "demo" || c.Endpoint != "a" || c.Why != operator.Failing || c.Status != 503 || c.Failures < operator.LeastFailures || c.Kept != 2 ||
			c.FailingSince == nil || c.DisabledAt == nil || strings.Contains(c.URL, "opensesame") {
			t.Errorf("%d: %s", i, got[i].body)
		}
	}
	if disabled, enabled := log.with("endpoint disabled"), log.with("endpoint enabled"); disabled != 2 || enabled != 1 {
		t.Errorf("the log told %d and %d times", disabled, enabled)
	}
}

// What an operator was answered is on the disk, with the webhook about it.
func TestDisabledOutlivesACrash(t *testing.T) {
	rc, ops := receive(t, nil), receive(t, status(http.StatusServiceUnavailable))
	settings := failing()
	settings.Operator = configs.Operator{URL: ops.URL, Secrets: []configs.Secret{testSecret}}
	files := fresh()
	h := start(t, files, settings, endpointTo("a", rc.URL, "standard"))
	if !h.turn("a", true) || h.turn("a", true) {
		t.Error("disabling changes something once")
	}
	clone := files.CrashClone(vfs.CrashCloneCfg{})
	h.stop()

	told := receive(t, nil)
	settings.Operator.URL = told.URL
	h = start(t, clone, settings, endpointTo("a", rc.URL, "standard"))
	if d := h.state("a").Disabled; d == nil || d.Why != operator.Asked || d.Reason != "a reason" {
		t.Errorf("%+v", d)
	}
	ids := h.add(3)
	until(t, "the operator was told", func() bool { return len(told.got()) == 1 })
	h.turn("a", false)
	clone = clone.CrashClone(vfs.CrashCloneCfg{})
	h.settle()
	h.stop()
	expectOnce(t, rc, ids)
	h = start(t, clone, settings, endpointTo("a", rc.URL, "standard"))
	if h.state("a").Disabled != nil {
		t.Error("enabling did not outlive the crash")
	}
	h.settle()
	h.stop()
}

// However often an endpoint is disabled and enabled beside its deliveries, each arrives once.
func TestTurnsBesideDeliveries(t *testing.T) {
	rc := receive(t, nil)
	settings := usual()
	settings.Window, settings.Concurrency = 3, 2
	h := start(t, fresh(), settings, endpointTo("a", rc.URL, "standard"), endpointTo("b", rc.URL, "standard"))
	var turns sync.WaitGroup
	for i := range 3 {
		turns.Go(func() {
			for j := range 60 {
				if _, err := h.Disable(t.Context(), 1, "a", ""); err != nil {
					t.Error(err)
				}
				if (i+j)%3 > 0 {
					if _, err := h.Enable(t.Context(), 1, "a"); err != nil {
						t.Error(err)
					}
				}
				h.Measure()
			}
		})
	}
	var ids []string
	for range 40 {
		ids = append(ids, h.add(3)...)
	}
	turns.Wait()
	h.turn("a", false)
	h.settle()
	h.stop()
	for _, id := range ids {
		if n := rc.counts()[id]; n != 2 { // one to each endpoint
			t.Errorf("%s came %d times", id, n)
		}
	}
	if held, memory := h.inMemory.Load(), h.memory.Load(); held != 0 || memory != 0 {
		t.Errorf("%d deliveries and %d bytes still count as held", held, memory)
	}
	if _, err := h.Disable(t.Context(), 1, "a", ""); !errors.Is(err, ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
}

func TestDisableWhatIsNotThere(t *testing.T) {
	rc := receive(t, nil)
	settings := usual()
	settings.Operator = configs.Operator{URL: rc.URL, Secrets: []configs.Secret{testSecret}}
	h := start(t, fresh(), settings, endpointTo("a", rc.URL, "standard"))
	defer h.stop()
	for _, c := range []struct {
		tenant uint32
		id     string
	}{{1, "b"}, {2, "a"}, {operator.Tenant, operator.ID}} {
		if _, err := h.Disable(t.Context(), c.tenant, c.id, ""); !errors.Is(err, operator.ErrNoEndpoint) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func FuzzParseCause(f *testing.F) {
	f.Add(appendCause(nil, &operator.Cause{At: time.Unix(1, 0).UTC(), Why: operator.Asked, Reason: "r"}))
	f.Add([]byte{1})
	f.Add([]byte("\x01null"))
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := parseCause(value)
		if err != nil {
			return
		}
		if _, err := parseCause(appendCause(nil, c)); err != nil {
			t.Errorf("%x: %v", value, err)
		}
	})
}
