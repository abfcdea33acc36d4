package live

import (
	"bytes"
	"strconv"
	"testing"

	"waypost/configs"
)

// BenchmarkReader is what one reader costs for an event of a journal, from the segment to the bytes that it is sent: one that is for it, and one that is another tenant's.
func BenchmarkReader(b *testing.B) {
	d := newDesk(b, 1)
	const events = 1500
	d.add(0, 0, events)
	d.decide()
	for name, tenant := range map[string]uint32{"wanted=true": 1, "wanted=false": 2} {
		b.Run(name, func(b *testing.B) {
			q := &query{}
			if err := q.setTenant(strconv.Itoa(int(tenant)), tenants(), (*configs.Tenant)(nil)); err != nil {
				b.Fatal(err)
			}
			q.oldest = true
			b.ReportAllocs()
			for n := 0; n < b.N; {
				source, err := d.hub.openJournals(b.Context(), q)
				if err != nil {
					b.Fatal(err)
				}
				r := &reader{h: d.hub, source: source}
				read := 0
				for answer := pending; answer != nothing; {
					if answer, err = r.fill(); err != nil {
						b.Fatal(err)
					}
					read += bytes.Count(r.buffer, []byte("\nevent: "))
					r.buffer = r.buffer[:0]
				}
				if want := events * int(2-tenant); read != want {
					b.Fatalf("%d events, want %d", read, want)
				}
				source.close()
				n += events
			}
		})
	}
}
