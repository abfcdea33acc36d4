package live

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// reader is who reads one stream: the goroutine of its request.
type reader struct {
	h       *Hub
	w       http.ResponseWriter
	control *http.ResponseController
	ended   <-chan struct{} // the reader has gone
	source  source

	buffer []byte
	place  []byte // the cursor that was sent last
	events int    // in buffer
	more   []byte // a document with what was added to it
}

// errSlow ends a reader that takes nothing.
var errSlow = errors.New("slow")

// hurry bounds a write under way: the sink is ending.
func (r *reader) hurry() { _ = r.control.SetWriteDeadline(time.Now().Add(time.Second)) }

// run writes until the reader has gone, or has to go. It is told why in a last comment, where it takes one.
func (r *reader) run() {
	_ = r.control.SetReadDeadline(time.Time{}) // the listener's ends the request otherwise
	header := r.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx would keep events until it has 4 KiB of them
	r.buffer = appendBegin(r.buffer, r.source, retryAfter)
	r.place = r.source.cursor(r.place)
	var last string
	switch err := r.follow(); {
	case err == nil:
		last = "the sink is ending: come back"
	case errors.Is(err, errSlow):
		r.h.o.Metrics.LiveCut.Inc()
		last = fmt.Sprintf("cut off: 64 KiB were not taken within %s", r.h.o.Settings.SlowAfter)
	case errors.Is(err, errRead):
		last = "the events cannot be read now, the sink's log says why: come back"
	default:
		return // it has gone
	}
	r.buffer = appendComment(r.buffer[:0], last)
	_ = r.write()
}

var (
	errGone = errors.New("gone")
	errRead = errors.New("source not readable")
)

// follow writes what there is, and waits for more. nil: the sink is ending.
func (r *reader) follow() error {
	beat, pause := time.NewTimer(r.h.o.Heartbeat), time.NewTimer(breath)
	defer beat.Stop()
	defer pause.Stop()
	for {
		more := r.source.round()
		answer, err := r.fill()
		if err != nil {
			r.h.failing("source", err)
			return errRead
		}
		if len(r.buffer) > 0 {
			if err := r.write(); err != nil {
				return err
			}
			beat.Reset(r.h.o.Heartbeat)
		}
		if answer != nothing {
			select {
			case <-r.ended:
				return errGone
			case <-r.h.ending:
				return nil
			default:
				continue
			}
		}
		select {
		case <-more:
		case <-beat.C:
			r.beat()
			beat.Reset(r.h.o.Heartbeat)
			continue
		case <-r.ended:
			return errGone
		case <-r.h.ending:
			return nil
		}
		pause.Reset(breath)
		select {
		case <-pause.C:
		case <-r.ended:
			return errGone
		case <-r.h.ending:
			return nil
		}
	}
}

// fill adds events to the buffer until it is full or there are none.
func (r *reader) fill() (taken, error) {
	var e entry
	for len(r.buffer) < chunk {
		answer, err := r.source.take(&e)
		if answer != found || err != nil {
			return answer, err
		}
		if e.gap != "" {
			r.h.o.Metrics.LiveGaps.Inc()
			r.buffer = appendGap(r.buffer, r.source, e.gap)
			continue
		}
		if r.h.o.Add != nil {
			r.more = r.h.o.Add(r.more[:0], e.document, e.event)
			e.document = r.more
		}
		var ok bool
		if r.buffer, ok = appendEvent(r.buffer, r.source, &e); ok {
			r.events++
		}
	}
	return pending, nil
}

// beat says that the stream is alive, and where it is now: what was passed over need not be read again.
func (r *reader) beat() {
	r.buffer = append(r.buffer, ": heartbeat\n"...)
	if place := r.source.cursor(nil); !bytes.Equal(place, r.place) {
		r.place = place
		r.buffer = append(append(append(r.buffer, "id: "...), place...), '\n')
	}
	r.buffer = append(r.buffer, '\n')
}

// write hands the buffer to the reader. One that needs longer than slow_after is slow; one that takes nothing for twice as long does not even hear so.
func (r *reader) write() error {
	slow := r.h.o.Settings.SlowAfter
	begin := time.Now()
	if err := r.control.SetWriteDeadline(begin.Add(2 * slow)); err != nil {
		return err
	}
	if r.isEnding() {
		r.hurry()
	}
	_, err := r.w.Write(r.buffer)
	if err == nil {
		err = r.control.Flush()
	}
	switch {
	case err == nil:
		r.h.o.Metrics.LiveEvents.Add(float64(r.events))
	case errors.Is(err, os.ErrDeadlineExceeded) && !r.isEnding():
		return errSlow
	default:
		return errGone
	}
	r.buffer, r.events = r.buffer[:0], 0
	if time.Since(begin) > slow {
		return errSlow
	}
	return nil
}

func (r *reader) isEnding() bool {
	select {
	case <-r.h.ending:
		return true
	default:
		return false
	}
}
