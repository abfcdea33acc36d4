package forget

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/sink/ingest"
	"waypost/sink/internal/store"
)

// found is what a journal has of the person.
type found struct {
	dir    string
	events int
	newest time.Time
}

// journal reads a journal from its beginning, behind what was consumed too, up to what it has now.
func (w *work) journal(dir string) error {
	r, err := journal.NewReader(journal.ReaderOptions{Dir: dir})
	if err != nil {
		return fmt.Errorf("journal %s: %w", dir, err)
	}
	defer r.Close()
	f := found{dir: dir}
	for {
		record, err := r.Next()
		if errors.Is(err, journal.ErrWait) {
			break
		}
		if err == nil {
			err = w.ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("journal %s: %w", dir, err)
		}
		_, document, err := event.SplitRecord(record.Payload)
		if err != nil {
			continue // no event: the sink counts such
		}
		w.is(document, func(e *event.Event) {
			f.events++
			if e.Time.After(f.newest) {
				f.newest = e.Time
			}
			if !e.Time.After(w.until) {
				w.note(e)
			}
		})
	}
	w.journals = append(w.journals, f)
	return nil
}

const dayText = "2006-01-02"

// stays says what is not removed.
func (w *work) stays() (all []Stay) {
	for _, f := range w.journals {
		if f.events > 0 {
			all = append(all, Stay{
				Where: "journal " + f.dir, What: fmt.Sprintf("%s, the last of %s", count(f.events, "event"), f.newest.UTC().Format(time.RFC3339)),
				Until: "the edge drops its segment: within twice journal.keep_age of edge.yaml (14 days as shipped)",
			})
		}
	}
	for _, dir := range w.Journals {
		aside := (&configs.Edge{Journal: configs.Journal{Dir: dir}}).AsideDir()         // unless the edge's settings name another
		if files, _ := filepath.Glob(filepath.Join(aside, "*.jsonl")); len(files) > 0 { // the error is of the pattern
			all = append(all, Stay{
				Where: aside, What: "what providers told that could not be mapped, whoever it is about",
				Until: "its mapping is mended and edge in replay makes events of it, or it is deleted by hand while no edge runs",
			})
		}
	}
	days := w.request.Tenant.RetentionDays + ingest.DaysPastRetention
	if w.buried > 0 {
		all = append(all, Stay{
			Where: "store", What: fmt.Sprintf("tombstones of %s, so that none of it is a first again", count(w.buried, "unique key")),
			Until: "retention is over: " + store.DayStart(int(w.latest)+days).Format(dayText),
		})
	}
	if since := w.Uniques.Since(); w.until.AddDate(0, 0, -days).Before(since) {
		all = append(all, Stay{
			Where: "store", What: "hashes of what was told before " + since.Format(dayText) + ", if there is any: those events are kept nowhere, so nobody can see whose they are",
			Until: "retention is over: " + since.AddDate(0, 0, days).Format(dayText),
		})
	}
	return append(all, Stay{Where: "receivers of webhooks", What: "what was delivered to them", Until: "they delete it"})
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
