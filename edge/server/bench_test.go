package server

import (
	"bufio"
	"fmt"
	"net"
	"testing"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"waypost/configs"
	"waypost/edge/internal/machines"
	"waypost/edge/journal"
	"waypost/mint/link"
)

var browser = [][2]string{{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"},
	{"Accept", "text/html,application/xhtml+xml"}, {"Accept-Encoding", "gzip, br"}, {"Accept-Language", "en-US,en;q=0.9"}}

// benchRig has a journal that wraps within its budget: nobody reads it.
func benchRig(b *testing.B, cacheBytes int64) *rig {
	return newRig(b, func(o *Options, j *journal.Options) {
		known, faults := configs.LoadMachines("", nil)
		if err := faults.Err(); err != nil {
			b.Fatal(err)
		}
		o.Machines = machines.New(known.Rules)
		o.CacheBytes, j.SegmentBytes, j.Budget, j.KeepBytes = cacheBytes, 64<<20, 1<<30, 1
	})
}

// mailLink is a usual link: 98 characters of destination, three ids.
func mailLink(i int) *link.Link {
	return &link.Link{Place: link.PlaceHTML, Tenant: 1, Minted: demoMinted, Number: 2, Message: link.ParseID([]byte("4715081523")),
		Prospect: link.ParseID(fmt.Append(nil, 100000000+i)), User: link.ParseID([]byte("815234")), Recipient: []byte("jane.doe@prospect.example"),
		Destination: []byte("https://www.example.com/products/overview?utm_source=outreach&utm_medium=email&utm_campaign=q4-2026")}
}

func (r *rig) mailURIs(n int) []string {
	uris := make([]string, n)
	for i := range uris {
		uris[i] = "/" + r.token(mailLink(i))
	}
	return uris
}

func BenchmarkHandle(b *testing.B) {
	for _, c := range []struct {
		name  string
		cache int64
		links int
	}{{"links=distinct/cache=off", 0, 1 << 17}, {"links=distinct/cache=on", 64 << 20, 1 << 17}, {"links=one/cache=off", 0, 1}, {"links=one/cache=on", 64 << 20, 1}} {
		b.Run(c.name, func(b *testing.B) {
			r := benchRig(b, c.cache)
			uris := r.mailURIs(c.links)
			ctx := request{uri: "/", headers: browser}.context()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				ctx.Response.Reset()
				ctx.Request.Header.SetRequestURI(uris[i%len(uris)])
				r.Handle(ctx)
				i++
			}
			if ctx.Response.StatusCode() != 302 {
				b.Fatal(ctx.Response.StatusCode())
			}
			b.ReportMetric(float64(r.Counts().CacheHits)/float64(i), "hits/op")
		})
	}
	// What NexoMailer's paths cost, and what they cost the links of a tenant that has them too.
	for _, c := range []struct{ name, uri string }{{"nexomailer/click", nexoClick + "https%3A%2F%2Fwww.example.com%2Fproducts%2Foverview%3Futm_source%3Doutreach"}, {"nexomailer/link", ""}} {
		b.Run(c.name, func(b *testing.B) {
			r := benchRig(b, 0)
			r.Reload(r.keys, nexoTenants(), nil, r.rules.Load().machines)
			if c.uri == "" {
				c.uri = r.mailURIs(1)[0]
			}
			ctx := request{uri: c.uri, headers: browser}.context()
			b.ReportAllocs()
			for b.Loop() {
				ctx.Response.Reset()
				r.Handle(ctx)
			}
			if ctx.Response.StatusCode() != 302 {
				b.Fatal(ctx.Response.StatusCode())
			}
		})
	}
	b.Run("forged", func(b *testing.B) {
		r := benchRig(b, 64<<20)
		forged := []byte(r.mailURIs(1)[0])
		forged[40] ^= 1
		ctx := request{uri: string(forged), headers: browser}.context()
		b.ReportAllocs()
		for b.Loop() {
			ctx.Response.Reset()
			r.Handle(ctx)
		}
	})
}

// BenchmarkOpened compares what a miss and a hit cost, without the rest of the request.
func BenchmarkOpened(b *testing.B) {
	r := benchRig(b, 64<<20)
	uris := r.mailURIs(1 << 14)
	v := new(visit)
	b.Run("way=open", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if err := v.opened.open(r.keys, []byte(uris[i%len(uris)][1:])); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
	b.Run("way=miss", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			token := []byte(uris[i%len(uris)][1:])
			hash := hashToken(token)
			if r.cache.hot(hash) || r.cache.note(hash+uint64(i+1)<<40) {
				b.Fatal("no first sight")
			}
			i++
		}
	})
	b.Run("way=keep", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			token := []byte(uris[i%len(uris)][1:])
			r.cache.keep(hashToken(token)+uint64(i), token, r.keys)
			i++
		}
	})
	r.cache.links.Clear()
	for _, n := range []int{1, 1 << 10, 1 << 14} {
		b.Run(fmt.Sprintf("way=cache/links=%d", n), func(b *testing.B) {
			for i, uri := range uris[:n] {
				r.cache.keep(hashToken([]byte(uri[1:])), []byte(uri[1:]), r.keys)
				if i%1000 == 999 {
					r.cache.links.Wait()
				}
			}
			r.cache.links.Wait()
			b.ReportAllocs()
			i, hits := 0, 0
			for b.Loop() {
				token := []byte(uris[i%n][1:])
				if r.cache.get(hashToken(token), r.keys, token) != nil {
					hits++
				}
				i++
			}
			b.ReportMetric(float64(hits)/float64(i), "hits/op")
		})
	}
}

// BenchmarkRedirect goes over a connection in memory, through all of fasthttp, against a bare 302 with the same headers.
func BenchmarkRedirect(b *testing.B) {
	r := benchRig(b, 64<<20)
	uris := r.mailURIs(1 << 16)
	destination := mailLink(0).Destination
	bare := fasthttp.Server{NoDefaultServerHeader: true, NoDefaultContentType: true, ReadBufferSize: minHeader,
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		Handler: func(ctx *fasthttp.RequestCtx) { redirect(ctx, destination) }}
	for _, c := range []struct {
		name  string
		serve func(net.Listener) error
		stop  func() error
	}{{"server=bare", bare.Serve, bare.Shutdown}, {"server=edge", r.Serve, func() error { return r.Drain(r.deadline()) }}} {
		b.Run(c.name, func(b *testing.B) {
			l := fasthttputil.NewInmemoryListener()
			ended := make(chan error, 1)
			go func() { ended <- c.serve(l) }()
			conn, err := l.Dial()
			if err != nil {
				b.Fatal(err)
			}
			requests := make([][]byte, len(uris))
			for i, uri := range uris {
				requests[i] = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: links.example.com\r\n", uri)
				for _, h := range browser {
					requests[i] = fmt.Appendf(requests[i], "%s: %s\r\n", h[0], h[1])
				}
				requests[i] = append(requests[i], '\r', '\n')
			}
			in := bufio.NewReader(conn)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := conn.Write(requests[i%len(requests)]); err != nil {
					b.Fatal(err)
				}
				i++
				for {
					line, err := in.ReadSlice('\n')
					if err != nil {
						b.Fatal(err)
					}
					if len(line) == 2 {
						break
					}
				}
			}
			b.StopTimer()
			_ = conn.Close()
			if err := c.stop(); err != nil {
				b.Error(err)
			}
			if err := <-ended; err != nil {
				b.Error(err)
			}
		})
	}
}
