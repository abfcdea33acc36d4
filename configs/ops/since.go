package ops

import (
	"fmt"
	"time"
)

// Since is a time as people give it: 2026-11-28T05:21:29Z, or how long ago, as 90m.
type Since struct{ time.Time }

// UnmarshalText reads it, of a command line or a query.
func (s *Since) UnmarshalText(text []byte) error {
	if ago, err := time.ParseDuration(string(text)); err == nil && ago >= 0 {
		s.Time = time.Now().Add(-ago)
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q: must be a time such as 2026-11-28T05:21:29Z, or how long ago, such as 90m", text)
	}
	s.Time = at
	return nil
}

// String is the time as the APIs take it; empty where none was given.
func (s Since) String() string {
	if s.IsZero() {
		return ""
	}
	return s.UTC().Format(time.RFC3339Nano)
}
