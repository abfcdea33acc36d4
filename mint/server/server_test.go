package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/mint/link"
)

// vectorSignature is what Outreach's documented request is signed with, under the secret test-secret.
const vectorSignature = "c39fbd5ab8b26388897aedc978d78010a25cb173b9114b3f452bcb59747552c0"

func TestVector(t *testing.T) {
	body := vector(t)
	if got := Sign([]byte(body), testSecret); got != vectorSignature {
		t.Fatalf("signature %s, want %s", got, vectorSignature)
	}
	s := newStack(t, nil)
	status, first, _ := s.do(s.request(body))
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, first)
	}
	type contents struct {
		Destination, Original, Message, Prospect, User, Recipient string
		Number, Tenant, Minted                                    uint32
	}
	got := map[string]contents{}
	for value, l := range s.open(first) {
		got[value] = contents{
			string(l.Destination), string(l.Original), l.Message.String(), l.Prospect.String(), l.User.String(),
			string(l.Recipient), l.Number, l.Tenant, l.Minted,
		}
	}
	minute := link.Minutes(testNow)
	want := map[string]contents{
		"https://bit.ly/33zYFqH":  {"https://bit.ly/33zYFqH", "https://www.google.com/", "123", "456", "789", "abc@prospect.com", 0, 1, minute},
		"https://yhoo.it/35tPtX6": {"https://yhoo.it/35tPtX6", "https://www.yahoo.com/", "123", "456", "789", "abc@prospect.com", 1, 1, minute},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, second, _ := s.do(s.request(body)); second != first {
		t.Errorf("the same request in the same minute gave\n%s\nand then\n%s", first, second)
	}
	if n := s.counter("waypost_mint_links_total", "tenant", "demo"); n != 4 {
		t.Errorf("links counted: %v", n)
	}
	if n := s.counter("waypost_mint_requests_total", "tenant", "demo", "status", "200"); n != 2 {
		t.Errorf("requests counted: %v", n)
	}
	poll(t, "both answers are measured, once they have gone out", func() bool { return s.counter("waypost_mint_request_seconds") == 2 })
}

const oneLink = `{"data":["https://a.example/1"]}`

// TestStatus has a request a line that goes wrong, or right, by its head.
func TestStatus(t *testing.T) {
	s := newStack(t, nil)
	tests := []struct {
		name   string
		change func(*http.Request)
		status int
		want   string // part of the answer
	}{
		{"fine", func(*http.Request) {}, 200, `{"data":{"https://a.example/1":"https://links.example.com/`},
		{"second secret", func(r *http.Request) { r.Header.Set(SignatureHeader, Sign([]byte(oneLink), otherSecret)) }, 200, `{"data":{`},
		{"no signature", func(r *http.Request) { r.Header.Del(SignatureHeader) }, 401, "missing or wrong"},
		{"empty signature", func(r *http.Request) { r.Header.Set(SignatureHeader, "") }, 401, "missing or wrong"},
		{"signature of another body", func(r *http.Request) { r.Header.Set(SignatureHeader, vectorSignature) }, 401, "missing or wrong"},
		{"signature cut", func(r *http.Request) { cut(r, 63) }, 401, "missing or wrong"},
		{"signature in upper case", func(r *http.Request) {
			r.Header.Set(SignatureHeader, strings.ToUpper(r.Header.Get(SignatureHeader)))
		}, 401, "missing or wrong"},
		{"another tenant's path", func(r *http.Request) { r.URL.Path = "/outreach/other" }, 401, "missing or wrong"},
		{"unknown tenant", func(r *http.Request) { r.URL.Path = "/outreach/nobody" }, 404, "unknown tenant"},
		{"unknown tenant below a known one", func(r *http.Request) { r.URL.Path = "/outreach/demo/x" }, 404, "unknown tenant"},
		{"slash at the end", func(r *http.Request) { r.URL.Path = "/outreach/demo/" }, 200, `{"data":{`},
		{"query", func(r *http.Request) { r.URL.RawQuery = "x=/y" }, 200, `{"data":{`},
		{"org header", func(r *http.Request) { r.URL.Path = "/outreach"; r.Header.Set("outreach-org-id", "4711") }, 200, `{"data":{`},
		{"unknown org", func(r *http.Request) { r.URL.Path = "/outreach"; r.Header.Set("outreach-org-id", "1") }, 404, "outreach-org-id"},
		{"no org", func(r *http.Request) { r.URL.Path = "/outreach" }, 404, "outreach-org-id"},
		{"path before org", func(r *http.Request) { r.Header.Set("outreach-org-id", "1") }, 200, `{"data":{`},
		{"another path", func(r *http.Request) { r.URL.Path = "/" }, 404, "nothing here"},
		{"a path that begins alike", func(r *http.Request) { r.URL.Path = "/outreachdemo" }, 404, "nothing here"},
		{"brotli", func(r *http.Request) { r.Header.Set("Content-Encoding", "br") }, 415, "Content-Encoding"},
		{"identity", func(r *http.Request) { r.Header.Set("Content-Encoding", "identity") }, 200, `{"data":{`},
		{"no content type", func(r *http.Request) { r.Header["Content-Type"] = nil }, 200, `{"data":{`},
		{"vendor's content type", func(r *http.Request) { r.Header.Set("Content-Type", "application/vnd.api+json") }, 200, `{"data":{`},
		{"multipart", func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=x") }, 200, `{"data":{`},
		{"form", func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 200, `{"data":{`},
		{"connection: close", func(r *http.Request) { r.Close = true }, 200, `{"data":{`},
		{"chunked", func(r *http.Request) { r.ContentLength = -1 }, 200, `{"data":{`},
		{"expect", func(r *http.Request) { r.Header.Set("Expect", "100-continue") }, 200, `{"data":{`},
		{"long header", func(r *http.Request) { r.Header.Set("x", strings.Repeat("x", maxHeader)) }, 431, "header"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			r := s.request(oneLink)
			test.change(r)
			status, body, _ := s.do(r)
			if status != test.status || !strings.Contains(body, test.want) {
				t.Errorf("%d %s, want %d and %q", status, body, test.status, test.want)
			}
			if status != 200 && !strings.HasPrefix(body, `{"error":"`) {
				t.Errorf("not an error document: %s", body)
			}
		})
	}
}

func cut(r *http.Request, n int) {
	r.Header.Set(SignatureHeader, r.Header.Get(SignatureHeader)[:n])
}

func TestMethods(t *testing.T) {
	s := newStack(t, nil)
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		for _, path := range []string{"/outreach", "/outreach/demo", "/outreach/nobody"} {
			r, err := http.NewRequest(method, "http://"+s.addr+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			status, body, header := s.do(r)
			if status != 405 || header.Get("Allow") != "POST" {
				t.Errorf("%s %s: %d, Allow %q: %s", method, path, status, header.Get("Allow"), body)
			}
		}
	}
}

// TestContent has bodies that verify and are still refused.
func TestContent(t *testing.T) {
	s := newStack(t, nil)
	tests := []struct{ name, body, want string }{
		{"empty", ``, "not JSON: the body is empty, at byte 0"},
		{"blank", " \n", "not JSON: the body is empty, at byte 0"},
		{"text", "hello", "at byte 0 (line 1, column 1)"},
		{"cut", "{\"data\":[\"https://a.example/\",\n\"https", "at byte 37 (line 2, column 7)"},
		{"comma", "{\"data\":\n[1,]}", "at byte 11 (line 2, column 3)"},
		{"single quotes", `{'data':[]}`, "at byte 1 (line 1, column 2)"},
		{"control byte in a string", "{\"data\":[\"a\nb\"]}", "at byte 11 (line 1, column 12)"},
		{"half an escape", `{"data":["\u12"]}`, "not JSON: "},
		{"two documents", oneLink + ` {}`, "not JSON: "},
		{"rubbish behind", oneLink + ` x`, "not JSON: "},
		{"byte order mark", "\xef\xbb\xbf" + oneLink, "at byte 0"},
		{"name that is no string", `{1:2}`, "not JSON: "},
		{"deep", `{"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, "not JSON: "},
		{"array", `["https://a.example/"]`, "the request must be a JSON object"},
		{"null", `null`, "the request must be a JSON object"},
		{"no data", `{"meta":{}}`, "data is missing"},
		{"data null", `{"data":null}`, "data must be an array of URLs"},
		{"data string", `{"data":"https://a.example/"}`, "data must be an array of URLs"},
		{"data object", `{"data":{"x":[]}}`, "data must be an array of URLs"},
		{"data wrong in the end", `{"data":["https://a.example/"],"data":1}`, "data must be an array of URLs"},
		{"data wrong, and no JSON", `{"data":1`, "not JSON: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			status, body, _ := s.do(s.request(test.body))
			if status != 400 || !strings.Contains(body, test.want) {
				t.Errorf("%d %s, want 400 and %q", status, body, test.want)
			}
		})
	}
}
