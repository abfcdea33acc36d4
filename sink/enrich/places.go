package enrich

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
	"github.com/prometheus/client_golang/prometheus"

	"waypost/configs/reload"
	"waypost/configs/throttle"
	"waypost/sink/internal/metrics"
)

// places finds addresses in the database that is in force.
type places struct {
	*reload.Attempts
	file  string // "": none
	inUse atomic.Pointer[database]

	seen, last reload.Signature // of the file: when it was read, when it was looked at last. Only Watch's goroutine has them, once it runs

	metrics                *metrics.Set
	found, unknown, unread prometheus.Counter
	done, refused          prometheus.Counter
	warned                 throttle.Every
	warn                   func(text string, args ...any)
}

func newPlaces(o Options) *places {
	p := &places{
		file: o.Database, metrics: o.Metrics, warn: o.Logger.Warn,
		found: o.Metrics.Places.WithLabelValues("found"), unknown: o.Metrics.Places.WithLabelValues("not_found"), unread: o.Metrics.Places.WithLabelValues("unreadable"),
		done: o.Metrics.GeoReloads.WithLabelValues("done"), refused: o.Metrics.GeoReloads.WithLabelValues("refused"),
	}
	p.Attempts = reload.NewAttempts(o.Logger, func() []any {
		m := p.inUse.Load().Metadata
		return []any{"database", m.DatabaseType, "built", m.BuildTime().UTC()}
	})
	if p.file != "" {
		p.try("start")
	}
	return p
}

func (p *places) try(why string) {
	p.Try(why, func() error {
		p.seen = reload.Look(p.file)
		p.last = p.seen
		database, err := load(p.file)
		if err != nil {
			p.refused.Inc()
			return fmt.Errorf("geo.database: %s: %w", p.file, err)
		}
		p.inUse.Store(database)
		p.done.Inc()
		p.metrics.GeoBuilt.Set(float64(database.Metadata.BuildEpoch))
		return nil
	})
}

// look takes up the file when it has changed, and not while it is being written: it must be the same at two looks.
func (p *places) look() {
	now := reload.Look(p.file)
	settled := now.Same(p.last)
	p.last = now
	if settled && !now.Same(p.seen) {
		p.try("file changed")
	}
}

// load reads a database into memory, whole, and looks at all of it: a file that is written over, cut or half copied then changes nothing, and what
// is mapped into memory instead would end the program when it is cut.
func load(file string) (*database, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err // the path is told once
		}
		return nil, err
	}
	reader, err := maxminddb.OpenBytes(content)
	if err != nil {
		return nil, err
	}
	if kind := reader.Metadata.DatabaseType; !hasPlaces(kind) {
		return nil, fmt.Errorf("a database of type %q has no places: a City, Enterprise or Country database is needed", kind)
	}
	return &database{Reader: reader}, reader.Verify()
}

func hasPlaces(kind string) bool {
	for _, word := range []string{"City", "Enterprise", "Country"} {
		if strings.Contains(kind, word) {
			return true
		}
	}
	return false
}

// record is what of a database's records is read.
type record struct {
	Country      region   `maxminddb:"country"`
	Subdivisions []region `maxminddb:"subdivisions"` // the largest first
	City         region   `maxminddb:"city"`
	Postal       struct {
		Code string `maxminddb:"code"`
	} `maxminddb:"postal"`
	Location struct {
		Latitude  *float64 `maxminddb:"latitude"`
		Longitude *float64 `maxminddb:"longitude"`
	} `maxminddb:"location"`
}

type region struct {
	ISOCode string `maxminddb:"iso_code"`
	Names   struct {
		English string `maxminddb:"en"`
	} `maxminddb:"names"`
}

// of is where an address is. One that was truncated, so that nobody can be told from their neighbours, gives country and region alone: a city
// or point would be that of the neighbours, and say more than the tenant allowed.
func (p *places) of(text []byte) (place Place) {
	database := p.inUse.Load()
	if database == nil || len(text) == 0 {
		return place
	}
	address, err := netip.ParseAddr(string(text))
	if err != nil {
		p.unknown.Inc()
		return place
	}
	address = address.Unmap()
	found := database.Lookup(address)
	switch r, err := database.read(&found); {
	case err != nil:
		p.unread.Inc()
		if held, ok := p.warned.Allow(time.Now()); ok {
			p.warn("a record of the database of places is damaged", "file", p.file, "error", err, "held_back", held)
		}
	case r == nil:
		p.unknown.Inc()
	default:
		p.found.Inc()
		place = r.place
		if isTruncated(address) {
			place.City, place.Zip, place.Coords = "", "", ""
		}
	}
	return place
}

// database is a reader, and the places that it read lately: to read one takes ten times as long as to find where it is. Many networks share
// a place. A place stands at the hash of its offset, and whoever comes later takes it over: that costs time, and nothing else.
type database struct {
	*maxminddb.Reader
	lately [8192]atomic.Pointer[kept]
}

// kept is a place, by where it is in the database. It is never changed.
type kept struct {
	offset uintptr
	place  Place
}

// read is the place that was found; nil: none was.
func (d *database) read(found *maxminddb.Result) (*kept, error) {
	if !found.Found() {
		return nil, found.Err()
	}
	at := found.Offset()
	slot := &d.lately[uint32(at)*0x9e3779b1>>(32-13)]
	if k := slot.Load(); k != nil && k.offset == at {
		return k, nil
	}
	var r record
	if err := found.Decode(&r); err != nil {
		return nil, err
	}
	k := &kept{at, r.place()}
	slot.Store(k)
	return k, nil
}

func (r *record) place() Place {
	p := Place{CountryISOCode: r.Country.ISOCode, Country: r.Country.Names.English}
	if len(r.Subdivisions) > 0 {
		p.RegionISOCode, p.Region = r.Subdivisions[0].ISOCode, r.Subdivisions[0].Names.English
	}
	p.City, p.Zip = r.City.Names.English, r.Postal.Code
	if at := &r.Location; at.Latitude != nil && at.Longitude != nil {
		p.Coords = strconv.FormatFloat(*at.Latitude, 'f', -1, 64) + "," + strconv.FormatFloat(*at.Longitude, 'f', -1, 64)
	}
	return p
}

// isTruncated says whether an address has only the bits that truncating leaves: 24 of IPv4, 48 of IPv6. One that is so by chance gives a
// coarser place than it could.
func isTruncated(address netip.Addr) bool {
	bits := 48
	if address.Is4() {
		bits = 24
	}
	network, err := address.Prefix(bits)
	return err == nil && network.Addr() == address
}
