package enrich_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"waypost/edge/event"
	"waypost/sink/enrich"
	"waypost/sink/enrich/enrichtest"
	"waypost/sink/internal/metrics"
)

// within is long enough for anything on a busy machine.
const within = time.Minute

// rig is an enricher over a database file.
type rig struct {
	*enrich.Enricher
	t       testing.TB
	file    string
	metrics *metrics.Set
	log     *lockedBuffer
}

// open makes an enricher; prepare may put a file there before.
func open(t testing.TB, prepare func(file string)) *rig {
	t.Helper()
	r := &rig{t: t, file: filepath.Join(t.TempDir(), "places.mmdb"), metrics: metrics.Discard(), log: &lockedBuffer{}}
	if prepare != nil {
		prepare(r.file)
	}
	var err error
	r.Enricher, err = enrich.New(enrich.Options{Database: r.file, Metrics: r.metrics, Logger: slog.New(slog.NewTextHandler(r.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// watch follows the file until the test ends.
func (r *rig) watch() (hangup chan os.Signal) {
	hangup, stop := make(chan os.Signal, 1), make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { r.Watch(hangup, stop) })
	r.t.Cleanup(func() { close(stop); watching.Wait() })
	return hangup
}

func (r *rig) at(address string) enrich.Place {
	return r.Of(&event.Event{Type: event.Clicked, Address: []byte(address)}).Place
}

func (r *rig) until(what string, done func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(within); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("not within %v: %s\n%s", within, what, r.log)
		}
	}
}

var novi = enrichtest.Page["8.8.8.0/24"]

// coarse is what is left of a place for a truncated address.
func coarse(p enrich.Place) enrich.Place {
	p.City, p.Zip, p.Coords = "", "", ""
	return p
}

func TestPlaces(t *testing.T) {
	r := open(t, func(file string) {
		enrichtest.Write(t, file, map[string]enrich.Place{
			"8.8.8.0/24": novi, "2001:db8::/32": {CountryISOCode: "DE", Country: "Germany", City: "Köln", Coords: "-0.5,0"}, "192.0.2.0/24": {},
		})
	})
	for address, want := range map[string]enrich.Place{
		"8.8.8.8":            novi,
		"::ffff:8.8.8.8":     novi,
		"8.8.8.0":            coarse(novi),
		"8.8.9.8":            {},
		"2001:db8::1":        {CountryISOCode: "DE", Country: "Germany", City: "Köln", Coords: "-0.5,0"},
		"2001:db8::":         {CountryISOCode: "DE", Country: "Germany"},
		"2001:db8:1:2::":     {CountryISOCode: "DE", Country: "Germany", City: "Köln", Coords: "-0.5,0"},
		"192.0.2.1":          {},
		"":                   {},
		"no address":         {},
		"2001:db8::1%eth0":   {CountryISOCode: "DE", Country: "Germany", City: "Köln", Coords: "-0.5,0"},
		"8.8.8.8, 127.0.0.1": {},
	} {
		if diff := cmp.Diff(want, r.at(address)); diff != "" {
			t.Errorf("%s: %s", address, diff)
		}
	}
	for result, want := range map[string]float64{"found": 8, "not_found": 3, "unreadable": 0} {
		if n := testutil.ToFloat64(r.metrics.Places.WithLabelValues(result)); n != want {
			t.Errorf("%s: %v, want %v", result, n, want)
		}
	}
	if n := testutil.ToFloat64(r.metrics.GeoBuilt); n != enrichtest.Built {
		t.Errorf("built %v", n)
	}
}

// Without a database, and as nil, it says nothing of places, and is watched all the same.
func TestNoDatabase(t *testing.T) {
	x, err := enrich.New(enrich.Options{Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	r := &rig{Enricher: x, t: t, log: &lockedBuffer{}}
	r.watch() <- syscall.SIGHUP
	if got := r.at("8.8.8.8"); got != (enrich.Place{}) || len(x.Reasons()) != 0 {
		t.Errorf("%+v %v", got, x.Reasons())
	}
	var none *enrich.Enricher
	if got := none.Of(&event.Event{UserAgent: []byte("curl/8"), Address: []byte("8.8.8.8")}); got != (enrich.Details{}) || none.Reasons() != nil {
		t.Errorf("%+v", got)
	}
	none.Close()
}

// What is no database of places is refused with its reason, at the start too; then places are not known.
func TestDamaged(t *testing.T) {
	whole := enrichtest.Database(t, "GeoLite2-City", enrichtest.Page)
	damaged := bytes.Clone(whole)
	damaged[0] ^= 0x55 // the first node of the tree
	for reason, content := range map[string][]byte{
		"no such file":                   nil,
		"invalid MaxMind DB":             []byte("<html>"),
		"has no places":                  enrichtest.Database(t, "GeoLite2-ASN", enrichtest.Page),
		"MaxMind":                        whole[:len(whole)-100],
		"geo.database":                   {},
		"reload refused: geo.database: ": damaged,
	} {
		t.Run(reason, func(t *testing.T) {
			r := open(t, func(file string) {
				if content != nil {
					enrichtest.Replace(t, file, content)
				}
			})
			if got := strings.Join(r.Reasons(), "\n"); !strings.Contains(got, reason) || strings.Count(got, r.file) != 1 {
				t.Errorf("%q, want %q", got, reason)
			}
			if got := r.at("8.8.8.8"); got != (enrich.Place{}) {
				t.Errorf("%+v", got)
			}
			if n := testutil.ToFloat64(r.metrics.GeoReloads.WithLabelValues("refused")); n != 1 {
				t.Errorf("refused %v", n)
			}
		})
	}
}

// A new database is taken up, a damaged one is not, and one that is mended is.
func TestReload(t *testing.T) {
	r := open(t, func(file string) { enrichtest.Write(t, file, enrichtest.Page) })
	hangup := r.watch()
	there := map[string]enrich.Place{"8.8.8.0/24": {CountryISOCode: "PT", Country: "Portugal"}}
	enrichtest.Write(t, r.file, there)
	r.until("the new database is in force", func() bool { return r.at("8.8.8.8").CountryISOCode == "PT" })
	enrichtest.Replace(t, r.file, []byte("damaged"))
	r.until("the damaged one is refused", func() bool { return len(r.Reasons()) == 1 })
	if got := r.at("8.8.8.8").CountryISOCode; got != "PT" {
		t.Errorf("%q after a damaged one", got)
	}
	enrichtest.Write(t, r.file, enrichtest.Page)
	r.until("the mended one is in force", func() bool { return r.at("8.8.8.8") == novi && len(r.Reasons()) == 0 })
	hangup <- syscall.SIGHUP
	done := r.metrics.GeoReloads.WithLabelValues("done")
	r.until("a hangup takes it up anew", func() bool { return testutil.ToFloat64(done) == 4 })
	for _, line := range []string{`msg=reloaded why=start database=GeoLite2-City built=2023-11-14T22:13:20.000Z`, `msg="reload refused, what was loaded before stays in force" why="file changed"`, "why=signal"} {
		if !strings.Contains(r.log.String(), line) {
			t.Errorf("the log lacks %s:\n%s", line, r.log)
		}
	}
}

// Asking goes on while databases change.
func TestReloadUnderLoad(t *testing.T) {
	r := open(t, func(file string) { enrichtest.Write(t, file, enrichtest.Page) })
	hangup := r.watch()
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if got := r.at("8.8.8.8"); got != novi {
						t.Errorf("%+v", got)
						return
					}
				}
			}
		})
	}
	done := r.metrics.GeoReloads.WithLabelValues("done")
	for n := 2.0; n <= 10; n++ {
		enrichtest.Write(t, r.file, enrichtest.Page)
		hangup <- syscall.SIGHUP
		r.until("taken up", func() bool { return testutil.ToFloat64(done) >= n })
	}
	close(stop)
	asking.Wait()
}
