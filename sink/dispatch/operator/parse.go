package operator

import (
	"encoding/json"
	"errors"
	"time"

	"waypost/edge/event"
)

// ErrDocument says that a document is no event of an endpoint.
var ErrDocument = errors.New("operator: not an event of an endpoint")

// Parse reads the document of an event.
func Parse(text []byte) (t event.Type, c *Change, at time.Time, err error) {
	var d document
	if json.Unmarshal(text, &d) != nil || d.Data == nil || d.Data.Endpoint == "" {
		return "", nil, time.Time{}, ErrDocument
	}
	switch d.Type {
	case Disabled, Enabled, Fails, Works:
	default:
		return "", nil, time.Time{}, ErrDocument
	}
	if at, err = time.Parse(time.RFC3339, d.Time); err != nil {
		return "", nil, time.Time{}, ErrDocument
	}
	return d.Type, d.Data, at, nil
}
