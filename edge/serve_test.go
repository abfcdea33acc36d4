package main

import (
	"log/slog"
	"testing"
	"time"

	"waypost/configs"
)

func TestNothingIsKeptWhereTheSettingsSaySo(t *testing.T) {
	for _, c := range []struct {
		bytes int64
		age   time.Duration
		want  int64
	}{{1 << 20, time.Hour, 1 << 20}, {0, time.Hour, -1}, {1 << 20, 0, -1}} {
		j := configs.DefaultEdge().Journal
		j.KeepBytes, j.KeepAge = c.bytes, c.age
		if got := journalOptions(&j, slog.New(slog.DiscardHandler)); got.KeepBytes != c.want {
			t.Errorf("keep_bytes %d, keep_age %v: %d bytes, want %d", c.bytes, c.age, got.KeepBytes, c.want)
		}
	}
}
