package configs

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "17": 17, "17B": 17, "1kB": 1000, "1KB": 1000, "2KiB": 2048, "64MiB": 64 << 20, "64 MiB": 64 << 20, "1MB": 1e6,
		"2GiB": 2 << 30, "3GB": 3e9, "1TiB": 1 << 40, "1TB": 1e12, "9223372036854775807": math.MaxInt64,
	} {
		if got, ok := parseBytes(text); !ok || got != want {
			t.Errorf("%q = %d, %v; want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "B", "GiB", "-1", "+1", "1.5GiB", "1 G", "1g", "1GIB", "1  GiB", " 1", "1_000", "0x10", "9223372036854775808", "8388608TiB", "1e3"} {
		if got, ok := parseBytes(text); ok {
			t.Errorf("%q = %d, want a refusal", text, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "100ms": 100 * time.Millisecond, "1.5s": 1500 * time.Millisecond, "1h30m": 90 * time.Minute,
		"45d": 1080 * time.Hour, "1080h": 1080 * time.Hour, "1d12h": 36 * time.Hour, "-1s": -time.Second,
	} {
		if got, ok := parseDuration(text); !ok || got != want {
			t.Errorf("%q = %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "d", "1", "15", "1 s", "1.5d", "-1d", "1d-1h", "1d+1h", "1dd", "1h1d", "1w", "99999999h", "70000d", "s"} {
		if got, ok := parseDuration(text); ok {
			t.Errorf("%q = %v, want a refusal", text, got)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "100ms": 100 * time.Millisecond, "1m": time.Minute, "1m10s": 70 * time.Second, "1h": time.Hour, "10h": 10 * time.Hour,
		"1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "36h": 36 * time.Hour, "1h0m1s": time.Hour + time.Second,
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v = %q, want %q", d, got, want)
		}
	}
}

func TestUnitsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Min(0).Draw(t, "bytes")
		if got, ok := parseBytes(formatBytes(n)); !ok || got != n {
			t.Fatalf("%q = %d, %v; want %d", formatBytes(n), got, ok, n)
		}
		d := time.Duration(rapid.Int64Range(0, int64(65535*day)).Draw(t, "duration"))
		if got, ok := parseDuration(formatDuration(d)); !ok || got != d {
			t.Fatalf("%q = %v, %v; want %v", formatDuration(d), got, ok, d)
		}
	})
}
