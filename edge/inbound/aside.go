package inbound

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// AsideFile is a file to which deliveries are appended, one JSON line each.
type AsideFile struct {
	path string
	mu   sync.Mutex
}

// NewAsideFile keeps deliveries in the file at path, which comes with the first of them.
func NewAsideFile(path string) *AsideFile { return &AsideFile{path: path} }

// Keep appends a line in one write.
func (f *AsideFile) Keep(tenant, provider string, at time.Time, headers []Header, body []byte, why error) error {
	line, err := json.Marshal(map[string]any{"tenant": tenant, "provider": provider, "time": at.UTC(), "headers": headers, "body_base64": body, "why": why.Error()})
	if err != nil {
		return fmt.Errorf("aside: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("aside: %w", err)
	}
	_, err = file.Write(append(line, '\n'))
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("aside: %w", err)
	}
	return nil
}
