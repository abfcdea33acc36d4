package house

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"waypost/bench/demo"
	"waypost/bench/stack"
)

// proxy is a shipped example of TLS in front, and how to run it here: on another port, with a certificate of our own, before other programs.
type proxy struct {
	name    string
	example string
	rules   []string // what must stand in the example, because a click is wrong without it
	// render makes the example into one that runs in dir, and gives the command.
	render func(text string, p place) (files map[string]string, command []string)
}

type place struct {
	dir, cert, key string
	port           int
	edge, mint     string // host:port
}

var proxies = []proxy{
	{
		name: "nginx", example: "configs/deploy/nginx.conf",
		rules: []string{
			"proxy_redirect off;", `proxy_set_header Forwarded "";`, "proxy_set_header X-Forwarded-For $remote_addr;", "proxy_set_header Host $http_host;",
			"proxy_next_upstream off;", "access_log off;", "proxy_pass http://waypost_edge;", "trusted_proxies",
		},
		render: func(text string, p place) (map[string]string, []string) {
			text = strings.NewReplacer("listen 443", fmt.Sprintf("listen 127.0.0.1:%d", p.port), "127.0.0.1:8080", p.edge, "127.0.0.1:8081", p.mint,
				"/etc/ssl/waypost/links.example.com.pem", p.cert, "/etc/ssl/waypost/links.example.com.key", p.key,
				"/etc/ssl/waypost/mint.example.com.pem", p.cert, "/etc/ssl/waypost/mint.example.com.key", p.key).Replace(text)
			outer := "daemon off;\npid nginx.pid;\nerror_log stderr warn;\nevents {}\nhttp {\n"
			for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				outer += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, p.dir, kind)
			}
			return map[string]string{"nginx.conf": outer + "include waypost.conf;\n}\n", "waypost.conf": text},
				[]string{"nginx", "-p", p.dir, "-c", p.dir + "/nginx.conf"}
		},
	},
	{
		name: "caddy", example: "configs/deploy/Caddyfile",
		rules: []string{"header_up -Forwarded", "lb_retries 0", "trusted_proxies"},
		render: func(text string, p place) (map[string]string, []string) {
			for _, host := range []string{"links", "mint"} {
				own := fmt.Sprintf("\nhttps://%s.example.com:%d {\n\tbind 127.0.0.1\n\ttls %s %s\n", host, p.port, p.cert, p.key)
				text = strings.Replace(text, "\n"+host+".example.com {\n", own, 1)
			}
			text = strings.NewReplacer("127.0.0.1:8080", p.edge, "127.0.0.1:8081", p.mint).Replace(text)
			options := fmt.Sprintf("{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system %s\n}\n", p.dir)
			return map[string]string{"Caddyfile": options + text}, []string{"caddy", "run", "--adapter", "caddyfile", "--config", p.dir + "/Caddyfile"}
		},
	},
}

// A click through each shipped example, with the real programs behind it. Where a proxy is not installed only the example's rules are checked; CI installs both.
func TestProxyExamples(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin")
	bin := t.TempDir()
	if err := stack.Build(t.Context(), bin); err != nil {
		t.Fatal(err)
	}
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, p.example))
			if err != nil {
				t.Fatal(err)
			}
			for _, rule := range p.rules {
				if !strings.Contains(string(text), rule) {
					t.Errorf("%s lacks %s", p.example, rule)
				}
			}
			if _, err := exec.LookPath(p.name); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s is not installed", p.name)
				}
				t.Logf("%s is not installed: no click was sent through it", p.name)
				return
			}
			clickThrough(t, p, string(text), bin)
		})
	}
}

// destinations are what proxies like to mend: addresses of their own upstreams, double slashes, dots, escapes.
var destinations = []string{
	"http://waypost_edge/a//b/../c?q=%2f%2F&u=http://x/#part",
	"http://127.0.0.1:8080/x;y=1?a=b&a=c",
	"https://example.com/?utm_source=mail&name=J%C3%BCrgen|x",
}

func clickThrough(t *testing.T, p proxy, example, bin string) {
	port := freePort(t)
	origin := fmt.Sprintf("https://links.example.com:%d", port)
	s := startStack(t, bin, origin)
	at := place{dir: t.TempDir(), port: port, edge: strings.TrimPrefix(s.Edges[0].URL, "http://"), mint: strings.TrimPrefix(s.Mint.URL, "http://")}
	roots := certificate(t, &at)
	files, command := p.render(example, at)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(at.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	startProxy(t, command, at)
	client := &http.Client{
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
			},
		},
	}
	defer client.CloseIdleConnections()
	links := mintLinks(t, client, port)
	for destination, link := range links {
		if !strings.HasPrefix(link, origin+"/") {
			t.Errorf("link %s is not at %s", link, origin)
		}
		if got := click(t, client, link); got != destination {
			t.Errorf("Location %q, want %q", got, destination)
		}
	}
	wantClicks(t, s, len(links))
}

// mintLinks asks for links as Outreach does, through the proxy.
func mintLinks(t *testing.T, client *http.Client, port int) map[string]string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"data": destinations, "meta": map[string]any{"mailing": map[string]any{"id": 1}, "prospect": map[string]any{"id": 2}}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", fmt.Sprintf("https://mint.example.com:%d/outreach/demo", port), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Outreach-Webhook-Signature", demo.Sign(demo.OutreachSecret, body))
	status, _, answer := do(t, client, req)
	var links struct{ Data map[string]string }
	if err := json.Unmarshal([]byte(answer), &links); err != nil || status != 200 || len(links.Data) != len(destinations) {
		t.Fatalf("status %d, %v: %s", status, err, answer)
	}
	return links.Data
}

// click follows a link as a client that lies about its address, and gives the Location.
func click(t *testing.T, client *http.Client, link string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", link, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "203.0.113.9")
	req.Header.Set("Forwarded", "for=203.0.113.10")
	status, header, body := do(t, client, req)
	if status != 302 || header.Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, Cache-Control %q: %s", status, header.Get("Cache-Control"), body)
	}
	return header.Get("Location")
}

func do(t *testing.T, client *http.Client, req *http.Request) (int, http.Header, string) {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// wantClicks holds that the journal has each click once, with the address that the proxy saw.
func wantClicks(t *testing.T, s *stack.Stack, want int) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	text, err := exec.CommandContext(t.Context(), s.Program("edge"), "journal", "cat", s.JournalDir(0)).Output()
	if err != nil {
		t.Fatal(err)
	}
	events := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(events) != want {
		t.Errorf("%d events, want %d", len(events), want)
	}
	for _, event := range events {
		if !strings.Contains(event, `"address":"127.0.0.1"`) || strings.Contains(event, "203.0.113") {
			t.Errorf("the client's address is not the one that the proxy saw: %s", event)
		}
	}
}

func startStack(t *testing.T, bin, origin string) *stack.Stack {
	t.Helper()
	s, err := stack.New(stack.Config{Dir: t.TempDir(), Bin: bin, Edge: stack.Keys{"trusted_proxies": []string{"127.0.0.1"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.Tenants = []stack.Tenant{{Number: 1, Name: "demo", Hosts: []string{origin}, Secrets: []string{demo.OutreachSecret}}}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}

// startProxy runs the proxy until the test ends, and waits until it listens.
func startProxy(t *testing.T, command []string, at place) {
	t.Helper()
	var log bytes.Buffer
	run := exec.Command(command[0], command[1:]...)
	run.Dir, run.Stdout, run.Stderr = at.dir, &log, &log
	run.Env = append(os.Environ(), "HOME="+at.dir)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = run.Wait() // how it ended is in its log
		close(ended)
	}()
	t.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Logf("%s:\n%s", command[0], &log)
		}
	})
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", at.port)); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-poll.C:
		case <-ended:
			t.Fatalf("%s ended:\n%s", command[0], &log)
		case <-deadline:
			t.Fatalf("%s does not listen", command[0])
		}
	}
}

// certificate writes a certificate for both names, and gives the pool that trusts it.
func certificate(t *testing.T, at *place) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"links.example.com", "mint.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	at.cert, at.key = filepath.Join(at.dir, "cert.pem"), filepath.Join(at.dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{at.cert: certPEM, at.key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return roots
}

// freePort draws one below those that the kernel gives to outgoing connections, and apart from those that stack and kafka draw: nobody takes it by chance before the proxy does.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		if port := 10000 + mathrand.IntN(2000); stack.PortFree(port) {
			return port
		}
	}
	t.Fatal("no free port on 127.0.0.1")
	return 0
}
