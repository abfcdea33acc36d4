package attempt

import "slices"

// Owned is an endpoint of a dispatcher: it embeds its Target.
type Owned interface {
	comparable
	Owner() (tenant uint32, id string)
}

// Owner is whose endpoint it is: the tenant's number, and the endpoint's id there.
func (t *Target) Owner() (tenant uint32, id string) { return t.Tenant.Number, t.Config.ID }

// Set is endpoints that never change: whoever adds or removes one makes another set, under a lock for changes, and puts it in the old one's place; readers take the set once for each
// event. So an event that is read after a change was made sees it, and nobody waits for anybody. Rejected: a lock around the maps (the reader would take it for each event), and changes
// through the reader's goroutine (ingest waits for journals, and its batch would have to end first).
type Set[E Owned] struct {
	All     []E
	Tenants map[uint32][]E // by number
}

// NewSet makes a set, which keeps all.
func NewSet[E Owned](all []E) *Set[E] {
	s := &Set[E]{all, map[uint32][]E{}}
	for _, e := range all {
		tenant, _ := e.Owner()
		s.Tenants[tenant] = append(s.Tenants[tenant], e)
	}
	return s
}

// With is the set and e.
func (s *Set[E]) With(e E) *Set[E] { return NewSet(append(slices.Clone(s.All), e)) }

// Without is the set but for e.
func (s *Set[E]) Without(e E) *Set[E] {
	return NewSet(slices.DeleteFunc(slices.Clone(s.All), func(other E) bool { return other == e }))
}

// Find is a tenant's endpoint with this id; the zero value: there is none.
func (s *Set[E]) Find(tenant uint32, id string) (found E) {
	for _, e := range s.Tenants[tenant] {
		if _, is := e.Owner(); is == id {
			return e
		}
	}
	return found
}
