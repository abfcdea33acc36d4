package traffic

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestVisitorNeverRetries(t *testing.T) {
	var hits atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		switch r.URL.Path {
		case "/right":
			w.Header().Set("Location", "https://d.example/"+r.Method+r.Header.Get("Sec-Purpose")+r.UserAgent())
			w.WriteHeader(http.StatusFound)
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		case "/cut":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				fmt.Fprint(conn, "HTTP/1.1 302 Found\r\nLocation:")
				conn.Close()
			}
		}
	}))
	defer server.Close()
	v := NewVisitor(server.URL)
	defer v.Drop()
	for _, want := range []struct {
		visit       Visit
		destination string
		answered    bool
		wrong       string
	}{
		{Visit{Method: "GET", Path: "/right"}, "https://d.example/GETua", true, ""},
		{Visit{Method: "HEAD", Path: "/right"}, "https://d.example/HEADua", true, ""},
		{Visit{Method: "GET", Path: "/right", Prefetch: true}, "https://d.example/GETprefetchua", true, ""},
		{Visit{Method: "GET", Path: "/right"}, "https://elsewhere/", true, `Location "https://d.example/GETua", not "https://elsewhere/"`},
		{Visit{Method: "GET", Path: "/missing"}, "", true, "status 404"},
		{Visit{Method: "GET", Path: "/cut"}, "", false, ""},
	} {
		before := hits.Load()
		want.visit.UserAgent = "ua"
		answered, wrong := v.Follow(want.visit, want.destination)
		if answered != want.answered || wrong != want.wrong {
			t.Errorf("%+v: %v %q, want %v %q", want.visit, answered, wrong, want.answered, want.wrong)
		}
		if n := hits.Load() - before; n != 1 {
			t.Errorf("%+v: sent %d times", want.visit, n)
		}
	}
	if n := v.InFlight.Load(); n != 0 {
		t.Errorf("%d in flight at the end", n)
	}
}

func TestVisitorRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := NewVisitor("http://" + l.Addr().String())
	l.Close()
	if answered, wrong := v.Follow(Visit{Method: "GET", Path: "/"}, ""); answered || wrong != "" {
		t.Errorf("nobody listens: answered %v, %q", answered, wrong)
	}
}
