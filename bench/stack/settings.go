package stack

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/goccy/go-yaml"

	"waypost/configs"
)

// Keys are settings by their names in the YAML files, nested as there: {"journal": {"segment_bytes": 65536}}. They are laid over what the
// Stack writes itself. Durations are text ("100ms").
type Keys map[string]any

// Tenant is one entry of tenants.yaml.
type Tenant struct {
	Number        int
	Name          string
	Hosts         []string // origins; empty: each edge's URL
	Secrets       []string // of Outreach
	RetentionDays int      // 0: the default
	Endpoints     []Endpoint
	Keys          Keys // what else it sets
}

// Endpoint is one webhook endpoint of a tenant.
type Endpoint struct {
	ID, URL, Format, Secret, User, Password string
	StandardSecrets                         []string
	Headers                                 map[string]string // beside the format's own
}

// WriteSettings writes every settings file as the Stack's fields say now. Start calls it; a running program sees nothing of it.
func (s *Stack) WriteSettings() error {
	files := map[string]Keys{
		"tenants.yaml": {"tenants": s.tenantKeys()},
		"mint.yaml":    merge(s.common(s.Mint, Keys{"keys": s.KeyFile(), "listen": address(s.ports.mint)}), s.config.Mint),
	}
	for i, edge := range s.Edges {
		keys := s.common(edge, Keys{
			"keys":   s.KeyFile(),
			"listen": address(s.ports.edge[i]),
			"journal": Keys{
				"dir":       s.JournalDir(i),
				"consumers": append(s.journalReaders(), s.config.Consumers...),
			},
		})
		files[edge.Name+".yaml"] = merge(s.withKafka(keys), s.config.Edge)
	}
	for i, sink := range s.Sinks {
		keys := s.common(sink, Keys{
			"journals": s.journalDirs(), "consumer": sink.Name, "store": s.StoreDir(i),
			"dispatch": Keys{"allow": []string{"127.0.0.0/8", "::1"}}, // the receivers are on this machine, as all of a Stack is
		})
		if s.config.Kafka != nil {
			keys["journals"] = []string{}
		}
		files[sink.Name+".yaml"] = merge(s.withKafka(keys), s.config.Sink)
	}
	for name, keys := range files {
		if err := writeYAML(s.path(name), keys); err != nil {
			return err
		}
	}
	return nil
}

// journalReaders are the names of those who read the edges' journals, beside the Config's.
func (s *Stack) journalReaders() []string {
	if s.config.Kafka != nil {
		return []string{configs.Shipper}
	}
	return s.sinkNames()
}

func (s *Stack) withKafka(keys Keys) Keys {
	if s.config.Kafka != nil {
		keys["kafka"] = s.config.Kafka
	}
	return keys
}

// common are the settings that every program has.
func (s *Stack) common(p *Process, keys Keys) Keys {
	keys["admin"] = p.Admin[len("http://"):]
	keys["tenants"] = s.path("tenants.yaml")
	return keys
}

func (s *Stack) tenantKeys() []Keys {
	list := make([]Keys, 0, len(s.Tenants))
	for _, t := range s.Tenants {
		hosts := t.Hosts
		if len(hosts) == 0 {
			for _, edge := range s.Edges {
				hosts = append(hosts, edge.URL)
			}
		}
		keys := Keys{"number": t.Number, "name": t.Name, "hosts": hosts, "outreach": Keys{"secrets": t.Secrets}}
		if t.RetentionDays != 0 {
			keys["retention_days"] = t.RetentionDays
		}
		var endpoints []Keys
		for _, e := range t.Endpoints {
			endpoints = append(endpoints, e.keys())
		}
		if endpoints != nil {
			keys["endpoints"] = endpoints
		}
		list = append(list, merge(keys, t.Keys))
	}
	return list
}

func (e Endpoint) keys() Keys {
	keys := Keys{"id": e.ID, "url": e.URL, "format": e.Format}
	for name, value := range map[string]string{"secret": e.Secret, "user": e.User, "password": e.Password} {
		if value != "" {
			keys[name] = value
		}
	}
	if len(e.StandardSecrets) > 0 {
		keys["standard_secrets"] = e.StandardSecrets
	}
	var headers []Keys
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		headers = append(headers, Keys{"name": name, "value": e.Headers[name]})
	}
	if headers != nil {
		keys["headers"] = headers
	}
	return keys
}

// merge lays over on base, into maps within too.
func merge(base, over Keys) Keys {
	merged := maps.Clone(base)
	for name, value := range over {
		inner, isMap := value.(Keys)
		below, wasMap := merged[name].(Keys)
		if isMap && wasMap {
			value = merge(below, inner)
		}
		merged[name] = value
	}
	return merged
}

func writeYAML(path string, keys Keys) error {
	text, err := yaml.Marshal(keys)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	text = append([]byte("# Written by the launcher at each start: changes here are lost.\n"), text...)
	return os.WriteFile(path, text, 0o600)
}
