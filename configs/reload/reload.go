// Package reload is how a running program takes up its files anew: as a whole or not at all. While something is wrong with them, what was loaded before stays in force, and
// the log, /readyz and the metrics say so.
package reload

import (
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often files are looked at for changes: a block of the edge's has to act within a second.
const lookEvery = 250 * time.Millisecond

// Signature tells one state of a file from another.
type Signature struct {
	info os.FileInfo // nil: there is none
}

// Look gives the state of a file now. Look before reading: what changes while a file is read then shows as a change later.
func Look(path string) Signature {
	info, _ := os.Stat(path) // what is wrong with it, reading will say
	return Signature{info}
}

// Same says whether nothing shows that the file has changed.
func (s Signature) Same(t Signature) bool {
	if s.info == nil || t.info == nil {
		return s.info == t.info
	}
	return os.SameFile(s.info, t.info) && s.info.Size() == t.info.Size() && s.info.ModTime().Equal(t.info.ModTime())
}

// Watch calls everything at a hangup, and look again and again, until stop is closed.
func Watch(hangup <-chan os.Signal, stop <-chan struct{}, everything, look func()) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-hangup:
			everything()
		case <-tick.C:
			look()
		}
	}
}

// Attempts tries, and keeps what came of it. Any goroutine may ask.
type Attempts struct {
	log   *slog.Logger
	about func() []any

	mu            sync.Mutex // guards what follows
	trouble       string     // why the newest files are not in force; empty when they are
	last          time.Time  // when files were taken up
	done, refused uint64     // reloads
}

// NewAttempts begins with the files that the program has read at its start. about gives what the log says of files that were taken up, as attributes.
func NewAttempts(log *slog.Logger, about func() []any) *Attempts {
	return &Attempts{log: log, about: about, last: time.Now()}
}

// Try takes files up, once: what failed is tried again at the next change or signal, and not before.
func (a *Attempts) Try(why string, take func() error) {
	err := take()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.refused++
		a.trouble = "reload refused: " + err.Error()
		a.log.Error("reload refused, what was loaded before stays in force", "why", why, "error", err)
		return
	}
	a.done++
	a.trouble, a.last = "", time.Now()
	a.log.Info("reloaded", append([]any{"why", why}, a.about()...)...)
}

// Reasons is what somebody should look at.
func (a *Attempts) Reasons() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trouble == "" {
		return nil
	}
	return []string{a.trouble}
}

// Stats are the reloads that were done and those that were refused, and when files were taken up last, the start included.
func (a *Attempts) Stats() (done, refused uint64, last time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done, a.refused, a.last
}
