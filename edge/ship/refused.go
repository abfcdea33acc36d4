package ship

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// sideFile keeps the records that Kafka refuses for good: one JSON line each.
type sideFile struct {
	path string
	mu   sync.Mutex
}

// refusedLine is one line: what is needed to send the event by hand.
type refusedLine struct {
	Time      time.Time       `json:"time"`
	Partition int             `json:"partition"`
	Reason    string          `json:"reason"`
	Key       string          `json:"key"`
	Event     json.RawMessage `json:"event"`
}

// write appends a batch's records, synced.
func (f *sideFile) write(b *batch, cause error) error {
	var lines bytes.Buffer
	var fault error
	if err := b.each(func(key, value []byte) {
		line := refusedLine{time.Now().UTC(), b.partition, cause.Error(), string(key), value}
		if !json.Valid(value) {
			line.Event, _ = json.Marshal(string(value))
		}
		text, err := json.Marshal(line)
		if err != nil {
			fault = err
		}
		lines.Write(append(text, '\n'))
	}); err != nil {
		return err
	}
	if fault != nil {
		return fmt.Errorf("ship: side file: %w", fault)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("ship: side file: %w", err)
	}
	_, err = file.Write(lines.Bytes())
	if err == nil {
		err = file.Sync()
	}
	if fault := file.Close(); err == nil {
		err = fault
	}
	if err != nil {
		return fmt.Errorf("ship: side file: %w", err)
	}
	return nil
}
