package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"waypost/bench/stack"
	"waypost/edge/journal"
	"waypost/mint/link"
)

// journalConsumer is the name under which the load run reads the edge's journal.
const journalConsumer = "load"

// edgeOptions are what differs from the shipped defaults in an edge under load, beside addresses, places, and a consumer that keeps up, so that segments are used again as they are in
// steady state.
type edgeOptions struct {
	segmentBytes int64  // of the journal
	sync         string // journal.sync; empty: the default
	consumer     string // of the journal; empty: the load run itself
	more         string // lines of settings
}

func (o edgeOptions) settings() string {
	text := fmt.Sprintf(`listen: 127.0.0.1:0
admin: 127.0.0.1:0
keys: link.keys
tenants: tenants.yaml
%sjournal:
  dir: journal
  keep_bytes: 0
  consumers: [%s]
  segment_bytes: %d
`, o.more, cmp.Or(o.consumer, journalConsumer), o.segmentBytes)
	if o.sync != "" {
		text += "  sync: " + o.sync + "\n"
	}
	return text
}

const tenantSettings = `tenants:
  - number: 1
    name: load
    hosts: [http://` + loadHost + `]
`

// edge is a running edge with the keys that its links are sealed under.
type edge struct {
	*child
	keys   *link.Keyring
	addr   netip.AddrPort
	admin  string
	answer *reply // to a click
}

// startEdge starts an edge in dir, which it fills, and follows one link to see that it redirects. Its journal is given back as if a consumer kept up.
func startEdge(ctx context.Context, dir, path string, core int, o edgeOptions) (*edge, error) {
	e, err := startEdgeWith(ctx, dir, path, core, o.settings())
	if err != nil {
		return nil, err
	}
	if err := releaseSegments(filepath.Join(dir, "journal")); err != nil {
		e.stop()
		return nil, err
	}
	return e, nil
}

// startEdgeWith is startEdge with settings of the caller's; nobody gives its journal back.
func startEdgeWith(ctx context.Context, dir, path string, core int, settings string) (*edge, error) {
	if err := writeFiles(dir, map[string]string{"edge.yaml": settings, "tenants.yaml": tenantSettings}); err != nil {
		return nil, err
	}
	keyFile := filepath.Join(dir, keyFileName)
	if _, err := os.Stat(keyFile); errors.Is(err, os.ErrNotExist) {
		if err := link.InitKeyFile(keyFile); err != nil {
			return nil, err
		}
	}
	keys, err := link.LoadKeyring(keyFile)
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, core, filepath.Join(dir, "edge.log"), "edge", path, "--config", filepath.Join(dir, "edge.yaml"))
	if err != nil {
		return nil, err
	}
	e := &edge{child: c, keys: keys}
	if err := e.meet(); err != nil {
		c.stop()
		return nil, err
	}
	return e, nil
}

const keyFileName = "link.keys"

// copyKeys lets the edge that will run in the folder to follow the links of the one in the folder from.
func copyKeys(from, to string) error {
	text, err := os.ReadFile(filepath.Join(from, keyFileName))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, keyFileName), text, 0o600)
}

func writeFiles(dir string, files map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (e *edge) meet() error {
	on, err := e.origin("on")
	if err != nil {
		return err
	}
	if e.addr, err = parseAddr(on); err != nil {
		return fmt.Errorf("load: edge: %w", err)
	}
	if e.admin, err = e.origin("admin"); err != nil {
		return err
	}
	e.answer, err = e.follow()
	return err
}

// follow follows one link. The destination must come back byte for byte.
func (e *edge) follow() (*reply, error) {
	var l link.Link
	path, err := e.newPath(&l)
	if err != nil {
		return nil, err
	}
	answer, err := ask(e.addr, loadHost, path)
	if err != nil {
		return nil, err
	}
	if to := answer.header.Get("Location"); answer.status != http.StatusFound || to != string(l.Destination) {
		return nil, fmt.Errorf("load: edge: a link to %s answered %d, Location %q", l.Destination, answer.status, to)
	}
	return answer, nil
}

// newPath makes a link that nobody has, and seals it under the edge's keys.
func (e *edge) newPath(l *link.Link) (string, error) {
	newLinkMaker(uint64(time.Now().UnixNano())).next(l)
	token, err := e.keys.AppendToken(nil, l)
	return "/" + string(token), err
}

// parseAddr takes the address out of an origin.
func parseAddr(origin string) (netip.AddrPort, error) {
	return netip.ParseAddrPort(strings.TrimPrefix(origin, "http://"))
}

// releaseSegments publishes, as the journal's consumer, a position past all that the edge's run will ever hold: a reader that never lags.
func releaseSegments(dir string) error {
	reader, err := journal.NewReader(journal.ReaderOptions{Dir: dir, Resume: func(journal.Run) uint64 { return 0 }})
	if err != nil {
		return err
	}
	defer reader.Close()
	record, err := reader.Next()
	if err != nil {
		return fmt.Errorf("load: the click of the edge's first link is not in its journal: %w", err)
	}
	return journal.PublishPosition(dir, journalConsumer, journal.Position{Run: record.Run, Sequence: math.MaxInt64})
}

// metrics reads the edge's own counters.
func (e *edge) metrics(ctx context.Context) (stack.Metrics, error) { return stack.Scrape(ctx, e.admin) }

// scrape adds up the samples of one metric whose labels hold all the given ones, each as printed: reason="full".
func scrape(ctx context.Context, admin, name string, labels ...string) (float64, error) {
	m, err := stack.Scrape(ctx, admin)
	if err != nil {
		return 0, fmt.Errorf("load: metrics: %w", err)
	}
	sum, found := m.Sum(name, labels...)
	if !found {
		return 0, fmt.Errorf("load: metrics: no %s", name)
	}
	return sum, nil
}
