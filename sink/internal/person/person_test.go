package person

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"waypost/edge/event"
	"waypost/mint/link"
	"waypost/sink/internal/store"
)

func made(t testing.TB, tenant uint32, recipient, prospect string) *Person {
	t.Helper()
	p, err := New(tenant, recipient, prospect)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestIs(t *testing.T) {
	hash := string(link.HashRecipient(1, []byte("abc@example.com")))
	tests := []struct {
		name, recipient, prospect string // of the person
		event                     event.Event
		want                      bool
	}{
		{"address", "abc@example.com", "", event.Event{Tenant: 1, Recipient: []byte("abc@example.com")}, true},
		{"another case", "Abc@Example.COM", "", event.Event{Tenant: 1, Recipient: []byte("aBC@eXample.com")}, true},
		{"with a prospect", "abc@example.com", "", event.Event{Tenant: 1, Recipient: []byte("abc@example.com"), Prospect: []byte("456")}, true},
		{"only its hash is kept", "ABC@example.com", "", event.Event{Tenant: 1, Recipient: []byte(hash)}, true},
		{"by hash", hash, "", event.Event{Tenant: 1, Recipient: []byte(hash)}, true},
		{"by hash, with the address", hash, "", event.Event{Tenant: 1, Recipient: []byte("abc@example.com")}, false},
		{"another tenant", "abc@example.com", "", event.Event{Tenant: 2, Recipient: []byte("abc@example.com")}, false},
		{"another address", "abc@example.com", "", event.Event{Tenant: 1, Recipient: []byte("abcd@example.com")}, false},
		{"a control character that looks like a letter", "abc@example.com", "", event.Event{Tenant: 1, Recipient: []byte("\x41bc\x40example\x0ecom")}, false},
		{"prospect", "", "456", event.Event{Tenant: 1, Prospect: []byte("456")}, true},
		{"prospects have a case", "", "ab", event.Event{Tenant: 1, Prospect: []byte("AB")}, false},
		{"an address is no prospect", "", "abc@example.com", event.Event{Tenant: 1, Recipient: []byte("abc@example.com")}, false},
		{"both, either", "abc@example.com", "456", event.Event{Tenant: 1, Recipient: []byte("other@example.com"), Prospect: []byte("456")}, true},
		{"neither", "abc@example.com", "456", event.Event{Tenant: 1, Recipient: []byte("other@example.com"), Prospect: []byte("457")}, false},
		{"nobody's", "abc@example.com", "456", event.Event{Tenant: 1}, false},
		{"an address with a hash in front", "#abc@example.com", "", event.Event{Tenant: 1, Recipient: []byte("#ABC@example.com")}, true},
	}
	for _, test := range tests {
		if got := made(t, 1, test.recipient, test.prospect).Is(&test.event); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		if got := hashed(test.recipient, test.prospect, &test.event, t); got != test.want {
			t.Errorf("%s, by keyed hashes: %v, want %v", test.name, got, test.want)
		}
	}
}

// hashed says whether a person of tenant 1 and an event have a keyed hash in common.
func hashed(recipient, prospect string, e *event.Event, t testing.TB) (found bool) {
	h := NewHasher([store.SecretBytes]byte{1})
	all := h.Person(made(t, 1, recipient, prospect))
	h.Event(e, func(hash Hash) { found = found || slices.Contains(all, hash) })
	return found
}

func TestNewRefuses(t *testing.T) {
	long := strings.Repeat("a", maxText)
	for _, test := range []struct {
		recipient, prospect string
		want                error
	}{
		{"", "", ErrNobody}, {"nobody", "", ErrRecipient}, {"someone@example.com\n", "", ErrRecipient}, {"a@" + long, "", ErrRecipient}, {"", "4\x006", ErrProspect}, {"", long + "a", ErrProspect},
	} {
		p, err := New(1, test.recipient, test.prospect)
		if p != nil || !errors.Is(err, test.want) {
			t.Errorf("%.20q, %.20q: %v, want %v", test.recipient, test.prospect, err, test.want)
		}
		if err != nil && test.recipient != "" && strings.Contains(err.Error(), strings.TrimSpace(test.recipient)) {
			t.Errorf("the error names the person: %v", err)
		}
	}
}

// Without the secret nothing can be said of a hash, and what is hashed does not mix.
func TestHashesDiffer(t *testing.T) {
	seen := map[Hash]string{}
	for secret := range byte(2) {
		h := NewHasher([store.SecretBytes]byte{secret})
		for tenant := range uint32(2) {
			for i, hash := range append(h.Person(made(t, tenant, "abc@example.com", "abc@example.com")), h.Unique(event.UniqueKey{byte(tenant)})) {
				name := fmt.Sprintf("secret %d, tenant %d, hash %d", secret, tenant, i)
				if other, is := seen[hash]; is {
					t.Errorf("%s is that of %s", name, other)
				}
				seen[hash] = name
			}
		}
	}
}

// The store finds people by hashes and documents by comparing: both must say the same.
func FuzzIs(f *testing.F) {
	f.Add("abc@example.com", "", []byte("ABC@example.com"), []byte("456"))
	f.Add("#rb3HlX8gmHqP0yA7wU1dPA", "456", []byte("#rb3HlX8gmHqP0yA7wU1dPA"), []byte("456"))
	f.Add("#a@b", "", []byte("#A@b"), []byte(""))
	f.Fuzz(func(t *testing.T, recipient, prospect string, of, by []byte) {
		p, err := New(1, recipient, prospect)
		if err != nil {
			return
		}
		e := event.Event{Tenant: 1, Recipient: of, Prospect: by}
		if got, want := hashed(recipient, prospect, &e, t), p.Is(&e); got != want {
			t.Errorf("by hashes %v, by text %v", got, want)
		}
	})
}

func BenchmarkUnique(b *testing.B) {
	h := NewHasher([store.SecretBytes]byte{1})
	b.ReportAllocs()
	for b.Loop() {
		h.Unique(event.UniqueKey{2})
	}
}
