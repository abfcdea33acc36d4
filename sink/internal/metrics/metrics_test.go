package metrics

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Every entry of the table is registered under its name, with a help that is a sentence, and its handle is set.
func TestTableIsRegistered(t *testing.T) {
	registry := prometheus.NewRegistry()
	set := reflect.ValueOf(New(registry)).Elem()
	for i := range set.NumField() {
		if set.Field(i).IsNil() {
			t.Errorf("%s has no handle", set.Type().Field(i).Name)
		}
	}
	if set.NumField() != len(Table) {
		t.Errorf("%d handles for %d metrics", set.NumField(), len(Table))
	}
	name := regexp.MustCompile(`^waypost_sink_[a-z_]+$`)
	seen := map[string]bool{}
	for _, m := range Table {
		if !name.MatchString(m.Name) || seen[m.Name] {
			t.Errorf("name %q is not ours, or stands twice", m.Name)
		}
		seen[m.Name] = true
		if !strings.HasSuffix(m.Help, ".") {
			t.Errorf("%s: help %q is no sentence", m.Name, m.Help)
		}
		if (m.Type == Counter) != strings.HasSuffix(m.Name, "_total") {
			t.Errorf("%s is a %s: counters and only they end in _total", m.Name, m.Type)
		}
		if (m.Type == Histogram) != (len(m.Buckets) > 0) {
			t.Errorf("%s: histograms and only they have buckets", m.Name)
		}
	}
	if err := registry.Register(prometheus.NewCounter(prometheus.CounterOpts{Name: Table[0].Name, Help: "x"})); err == nil {
		t.Errorf("%s was not registered", Table[0].Name)
	}
}
