package blocks

import (
	"bytes"
	"fmt"
	"strconv"

	"waypost/configs"
	"waypost/mint/link"
)

// Set is what a file blocks. It never changes: any number of goroutines may ask it. A nil Set blocks nothing.
type Set struct {
	entries   int
	tenants   map[uint32]struct{}
	mailings  map[owned]struct{}
	prospects map[owned]struct{}
	hosts     map[string]struct{} // lower case, without a dot at the end
	keys      uint64              // a bit for each slot
	links     map[string]struct{} // tokens
}

// owned is an id that means something within its tenant only.
type owned struct {
	tenant uint32
	id     string
}

// Load reads a file; one that is not there, or holds no entry, gives nil. The error has every fault with its line: also of tenants that are not among tenants.
func Load(path string, tenants *configs.Tenants) (*Set, error) {
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	entries, faults := parse(path, text)
	s := new(Set)
	for _, e := range entries {
		if !s.add(e.Entry, tenants) {
			faults = append(faults, configs.Fault{File: path, Line: e.line, Key: Names[e.Kind], Value: e.Tenant, Want: "must be the name of a tenant in tenants.yaml"})
		}
	}
	if s.entries == 0 {
		s = nil
	}
	return s, faults.Err()
}

// add says whether the entry's tenant is known.
func (s *Set) add(e Entry, tenants *configs.Tenants) bool {
	var number uint32
	if e.Tenant != "" {
		tenant := tenants.ByName(e.Tenant)
		if tenant == nil {
			return false
		}
		number = tenant.Number
	}
	s.entries++
	switch e.Kind {
	case Tenant:
		put(&s.tenants, number)
	case Mailing:
		put(&s.mailings, owned{number, e.Value})
	case Prospect:
		put(&s.prospects, owned{number, e.Value})
	case Host:
		put(&s.hosts, e.Value)
	case Key:
		slot, err := strconv.ParseUint(e.Value, 10, 8)
		if err != nil {
			panic(fmt.Sprintf("BUG: slot %q was let in", e.Value))
		}
		s.keys |= 1 << slot
	case Link:
		put(&s.links, e.Value)
	}
	return true
}

func put[K comparable](m *map[K]struct{}, k K) {
	if *m == nil {
		*m = map[K]struct{}{}
	}
	(*m)[k] = struct{}{}
}

// Len is how many entries the file has.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return s.entries
}

// Visit is what a Set looks at. It only reads the slices.
type Visit struct {
	Token             []byte // as it opened
	Tenant            uint32
	Message, Prospect []byte // ids in text
	Destination       []byte
}

// Blocks says by what a visit is blocked, None when it is not. It allocates nothing.
func (s *Set) Blocks(v *Visit) Kind {
	if s == nil {
		return None
	}
	if s.keys != 0 {
		if slot, ok := link.Slot(v.Token); ok && s.keys>>slot&1 != 0 {
			return Key
		}
	}
	if len(s.tenants) > 0 && has(s.tenants, v.Tenant) {
		return Tenant
	}
	if len(s.mailings) > 0 && has(s.mailings, owned{v.Tenant, string(v.Message)}) {
		return Mailing
	}
	if len(s.prospects) > 0 && has(s.prospects, owned{v.Tenant, string(v.Prospect)}) {
		return Prospect
	}
	if len(s.links) > 0 {
		if _, ok := s.links[string(v.Token)]; ok {
			return Link
		}
	}
	if len(s.hosts) > 0 && s.blocksHost(link.DestinationHost(v.Destination)) {
		return Host
	}
	return None
}

func has[K comparable](m map[K]struct{}, k K) bool {
	_, ok := m[k]
	return ok
}

// maxHost is the longest host that is looked at: names have at most 253 characters, each perhaps escaped.
const maxHost = 3 * 254

// blocksHost looks for the host as a browser reads it: escapes undone, in small letters, without a dot at its end; and for each name above it.
func (s *Set) blocksHost(written []byte) bool {
	var room [maxHost]byte
	if len(written) > maxHost {
		return false // no resolver takes it
	}
	host := room[:0]
	for i := 0; i < len(written); i++ {
		c := written[i]
		if c == '%' && i+2 < len(written) {
			if value, err := strconv.ParseUint(string(written[i+1:i+3]), 16, 8); err == nil {
				c, i = byte(value), i+2
			}
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		host = append(host, c)
	}
	host = bytes.TrimSuffix(host, []byte("."))
	for {
		if _, ok := s.hosts[string(host)]; ok {
			return true
		}
		dot := bytes.IndexByte(host, '.')
		if dot < 0 {
			return false
		}
		host = host[dot+1:]
	}
}
