package live

import (
	"bytes"
	"strconv"
	"testing"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/enrich/enrichtest"
)

// BenchmarkReader is what one reader costs for an event of a journal, from the segment to the bytes that it is sent, with who did it and where: one that is for it, and one that is another tenant's.
func BenchmarkReader(b *testing.B) {
	d := newDesk(b, 1, func(o *Options) { o.Add = enrichtest.Open(b).Append })
	const events = 1000
	d.add(0, 0, events, func(e *event.Event) {
		e.UserAgent = []byte("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36")
		e.Address = []byte("8.8.8.8")
	})
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
