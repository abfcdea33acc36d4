package attempt

import (
	"net/http"
	"testing"
	"time"

	"waypost/sink/dispatch/gate"
)

func TestRetryAfterDate(t *testing.T) {
	now := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
		"-5": 0, "1.5": 0, "": 0, "7": 7 * time.Second,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// The breaker opens for what does not work, not for what is refused on purpose.
func TestResult(t *testing.T) {
	for _, c := range []struct {
		word string
		cut  bool
		want gate.Result
	}{
		{Delivered, false, gate.Worked}, {Stopped, false, gate.Worked}, {Again, false, gate.Failed}, {GivenUp, false, gate.Failed}, {Unsendable, false, gate.Untried},
		{Again, true, gate.Untried},
	} {
		o := Outcome{Word: c.word, Cut: c.cut}
		if got := o.Result(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
