// Package enrichtest writes databases of places, for tests.
package enrichtest

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"waypost/sink/enrich"
	"waypost/sink/internal/metrics"
)

// Test is what of testing.TB is needed. A package that is no test does not import testing.
type Test interface {
	Helper()
	Fatal(args ...any)
	TempDir() string
	Cleanup(f func())
}

// Built is when each database was built, in Unix seconds.
const Built = 1_700_000_000

// Page is the place of the example on Postmark's page, and its address.
var Page = map[string]enrich.Place{"8.8.8.0/24": {
	CountryISOCode: "RS", Country: "Serbia", RegionISOCode: "VO", Region: "Autonomna Pokrajina Vojvodina", City: "Novi Sad", Zip: "21000", Coords: "45.2517,19.8369",
}}

// Open gives who knows the place of Page, until the test ends.
func Open(t Test) *enrich.Enricher {
	t.Helper()
	file := filepath.Join(t.TempDir(), "places.mmdb")
	Write(t, file, Page)
	who, err := enrich.New(enrich.Options{Database: file, Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(who.Close)
	return who
}

// Write makes a database of GeoLite2's form, in the place of what was there, at once. places are by network.
func Write(t Test, file string, places map[string]enrich.Place) {
	t.Helper()
	Replace(t, file, Database(t, "GeoLite2-City", places))
}

// Replace puts a file in the place of another, at once.
func Replace(t Test, file string, content []byte) {
	t.Helper()
	next := filepath.Join(t.TempDir(), "next")
	if err := os.WriteFile(next, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
}

// Database is the bytes of a database.
func Database(t Test, kind string, places map[string]enrich.Place) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		BuildEpoch: Built, DatabaseType: kind, Languages: []string{"en", "de"}, Description: map[string]string{"en": "a database of tests"}, IncludeReservedNetworks: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for cidr, place := range places {
		_, network, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(network, recordOf(t, place)); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if _, err := tree.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// recordOf is a place as GeoLite2 has it, with more than is read of it.
func recordOf(t Test, p enrich.Place) mmdbtype.Map {
	t.Helper()
	named := func(code, name string) mmdbtype.Map {
		m := mmdbtype.Map{"geoname_id": mmdbtype.Uint32(1)}
		if code != "" {
			m["iso_code"] = mmdbtype.String(code)
		}
		if name != "" {
			m["names"] = mmdbtype.Map{"en": mmdbtype.String(name), "de": mmdbtype.String("auf Deutsch")}
		}
		return m
	}
	record := mmdbtype.Map{"continent": named("EU", "Europe"), "country": named(p.CountryISOCode, p.Country), "registered_country": named("DE", "Germany")}
	if p.Region != "" {
		record["subdivisions"] = mmdbtype.Slice{named(p.RegionISOCode, p.Region), named("XX", "a district of it")}
	}
	if p.City != "" {
		record["city"] = named("", p.City)
	}
	if p.Zip != "" {
		record["postal"] = mmdbtype.Map{"code": mmdbtype.String(p.Zip)}
	}
	if latitude, longitude, ok := strings.Cut(p.Coords, ","); ok {
		location := mmdbtype.Map{"accuracy_radius": mmdbtype.Uint16(20), "time_zone": mmdbtype.String("Europe/Belgrade")}
		for name, text := range map[mmdbtype.String]string{"latitude": latitude, "longitude": longitude} {
			degrees, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			location[name] = mmdbtype.Float64(degrees)
		}
		record["location"] = location
	}
	return record
}
