package main

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waypost/edge/event"
	"waypost/sink/enrich"
	"waypost/sink/enrich/enrichtest"
)

// from has a click come from the page's browser.
func from(address string) func(*event.Event) {
	return func(e *event.Event) {
		e.Address = []byte(address)
		e.UserAgent = []byte("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_7_5) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/35.0.1916.153 Safari/537.36")
	}
}

// The webhooks of a running sink say who and where: by the database that is in force when they are sent, which a file that is missing at the
// start, damaged, or new makes another, and which the sink never waits for.
func TestWhoAndWhere(t *testing.T) {
	f := newFolder(t)
	f.write("sink.yaml", settings+"geo: {database: places.mmdb}\n")
	file := filepath.Join(f.dir, "places.mmdb")
	w := f.journal()
	s := f.start()
	ready := func(want string) {
		t.Helper()
		f.until("/readyz says "+want, func() bool {
			status, body := fetch(t, s.admin+"/readyz")
			return status == http.StatusOK && strings.Contains(body, want)
		})
	}
	ready("no such file")
	f.click(w, "a", 0, from("8.8.8.8"))
	s.line(t)
	f.await(2)
	enrichtest.Write(t, file, enrichtest.Page)
	ready(`{"status":"ready"}`)
	f.click(w, "b", 0, from("8.8.8.8"))
	s.line(t)
	f.await(4)
	enrichtest.Replace(t, file, []byte("damaged"))
	ready("places.mmdb")
	f.click(w, "c", 0, from("8.8.8.0"))
	s.line(t)
	f.await(6)
	s.stop(t)

	want := enrichtest.Page["8.8.8.0/24"]
	coarse := want
	coarse.City, coarse.Zip, coarse.Coords = "", "", ""
	for recipient, place := range map[string]enrich.Place{"a": {}, "b": want, "c": coarse} {
		found := 0
		for _, body := range f.received() {
			path, rest, _ := strings.Cut(body, " ")
			document := rest[strings.Index(rest, "{"):]
			if path == "/standard" {
				var got struct {
					Data struct {
						Prospect string
						enrich.Details
					}
				}
				if err := json.Unmarshal([]byte(document), &got); err != nil {
					t.Fatal(err)
				}
				if d := got.Data; d.Prospect == recipient {
					if found++; d.Place != place || d.Client.Name != "Chrome 35.0.1916.153" || d.OS.Name != "OS X 10.7 Lion" || d.Platform != "Desktop" {
						t.Errorf("%s: %s", recipient, document)
					}
				}
			}
		}
		if found != 1 {
			t.Errorf("%d webhooks of %s", found, recipient)
		}
	}
	if cities := strings.Count(strings.Join(f.received(), "\n"), `"City":"Novi Sad"`); cities != 1 {
		t.Errorf("%d of Postmark's documents name the city", cities)
	}
	if log := s.stderr.String(); strings.Count(log, "reload refused") != 2 {
		t.Errorf("the log does not say it:\n%s", log)
	}
}

func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: within, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

func (f *folder) until(what string, done func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(within); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("not within %v: %s", within, what)
		}
	}
}
