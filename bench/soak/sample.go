package soak

import (
	"context"
	"fmt"
	"os"

	"waypost/bench/load"
)

// Sample is what a program holds at one moment.
type Sample struct {
	Second      float64 `json:"second"` // since the load began
	Program     string  `json:"program"`
	Life        int     `json:"life"` // from 1
	Anonymous   int64   `json:"anonymous_bytes"`
	Resident    int64   `json:"resident_bytes"` // with the mapped pages of journal and store
	Descriptors int     `json:"descriptors"`
	Goroutines  int     `json:"goroutines"`
	Threads     int     `json:"threads"`
}

// DiskSample is what the files take at one moment.
type DiskSample struct {
	Second  float64 `json:"second"`
	Journal int64   `json:"journal_bytes"`
	Store   int64   `json:"store_bytes"`
	Logs    int64   `json:"log_bytes"`
	Keys    int     `json:"keys"` // unique clicks told of so far
}

// sample reads one program. ok is false when it was restarted meanwhile: then there is nothing to read.
func (p *program) sample(ctx context.Context) (s Sample, ok bool, err error) {
	w := p.watch()
	life, resting := p.life()
	if resting {
		return s, false, nil
	}
	if s, err = p.read(ctx); w.excuses() {
		return s, false, nil
	}
	s.Program, s.Life = p.Name, life
	return s, err == nil, err
}

func (p *program) read(ctx context.Context) (s Sample, err error) {
	pid := p.PID()
	held, err := load.ReadHeld(pid)
	if err != nil {
		return s, err
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return s, err
	}
	m, err := p.Metrics(ctx)
	if err != nil {
		return s, err
	}
	goroutines, found := m.Sum("go_goroutines")
	if !found {
		return s, fmt.Errorf("%s has no metric go_goroutines", p.Name)
	}
	return Sample{
		Anonymous: held.Anonymous, Resident: held.Resident, Threads: held.Threads, Descriptors: len(descriptors), Goroutines: int(goroutines),
	}, nil
}
