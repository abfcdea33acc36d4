package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
)

// mixed says what requests the lineup gets, and how they come. It precedes begin.
func (l *lineup) mixed(m *mix, fresh bool) {
	l.mix, l.fresh, l.field.schedule = m, fresh, m.schedule
	headers := m.headers
	if headers == "" {
		headers = l.clickHeaders
	}
	if fresh {
		headers += "Connection: close\r\n"
	}
	l.field.requests = newRequests(headers)
}

// mixUp begins the mix's stream of requests, on links sealed under e's keys, and holds e's answers to the first of them.
func (l *lineup) mixUp(e *edge) error {
	if l.mix.name == distinctMix && !l.fresh {
		return nil // as lead says
	}
	l.next = l.mix.maker(e.keys, l.links, l.seed)
	l.plain, l.seal = l.seal, func(r *requests, _ *linkMaker, n int) error { return l.next.fill(r, n) }
	return l.tryMix(e)
}

// tryMix sends some requests of the mix, one after the other, and looks at each answer whole; in the turns there is time for its status only.
func (l *lineup) tryMix(e *edge) error {
	for range 4 * len(mangles) {
		head, to, err := l.next(nil)
		if err != nil {
			return err
		}
		answer, err := askWhole(e.addr, append(head, l.requests.suffix...))
		if err != nil {
			return fmt.Errorf("load: --mix %s: %w", l.mix.name, err)
		}
		if got := answer.header.Get("Location"); answer.status != int(l.mix.want) || got != string(to) {
			line, _, _ := strings.Cut(string(head), "\r\n")
			return fmt.Errorf("load: --mix %s: %q answered %d, Location %q; want %d, %q", l.mix.name, line, answer.status, got, l.mix.want, to)
		}
		if answer.status == http.StatusNotFound && answer.body == 0 {
			return errors.New("load: --mix " + l.mix.name + ": a refusal without a page")
		}
	}
	return nil
}

// usualShare of the slowest contestant's maximum is what the usual open loop offers, at its peak.
func (l *lineup) usualShare() float64 {
	if l.mix.peak > 0 {
		return usualShare / l.mix.peak
	}
	return usualShare
}

// enterVariant enters another edge that follows the same links: of the program at path, with more lines of settings.
func (l *lineup) enterVariant(ctx context.Context, name, what, path, more string) error {
	dir := filepath.Join(l.dir, name)
	if err := copyKeys(filepath.Join(l.dir, "edge"), dir); err != nil {
		return err
	}
	e, err := startEdge(ctx, dir, path, l.serverCore, edgeOptions{segmentBytes: l.segmentBytes, more: l.mix.settings + more})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, e.stop)
	return l.enter(l.edgeContestant(name, what, e))
}
