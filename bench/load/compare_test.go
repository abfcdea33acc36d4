package load

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Structure, not speed: who takes part, who is told to be missing, and that each answered all that was due.
func TestCompareCommandWithThePeersThatAreInstalled(t *testing.T) {
	tracker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI != "/t/abc?x=1" {
			w.WriteHeader(http.StatusNotFound)
		}
		http.Redirect(w, r, "https://example.com/", http.StatusMovedPermanently)
	}))
	defer tracker.Close()
	want, missing := []string{"bare"}, 0
	for i := range peers {
		if _, err := peers[i].find(); err == nil {
			want = append(want, peers[i].name)
		} else {
			missing++
		}
	}
	want = append(want, "edge", "other")
	var report Report
	orVoid(t, benchReport(t, &report, "compare", "--edge="+buildProgram(t, "edge"), "--target=other="+tracker.URL+"/t/abc?x=1",
		"--open", "--rates=300,400", "--rounds=1", "--duration=100ms", "--warmup=20ms", "--connections=4", "--no-steady"))
	var got []string
	for _, c := range report.Contestants {
		got = append(got, c.Name)
		if c.What == "" || c.Answer == 0 || c.CPU == (c.Name == "other") || (c.Program == "") != (c.Name == "other") {
			t.Errorf("contestant %+v", c)
		}
	}
	if !slices.Equal(got, want) || len(report.Notes) != missing {
		t.Errorf("contestants %v, notes %q; want %v, %d notes", got, report.Notes, want, missing)
	}
	if report.Tool != "bench compare" || report.Versions["edge"] == "" || report.Machine.Kernel == "" {
		t.Errorf("head %+v", report.Head)
	}
	if len(report.Turns) != 2*len(want) || len(report.Summary) != 2*len(want) {
		t.Fatalf("%d turns, %d summaries; want %d of each", len(report.Turns), len(report.Summary), 2*len(want))
	}
	for i, turn := range report.Turns {
		due := uint64(30 + 10*(i/len(want)))
		if turn.Contestant != want[i%len(want)] || turn.Due != due || turn.Answered != due || turn.Wrong != 0 || len(turn.Curve) == 0 || faulty(turn) {
			t.Errorf("turn %d: %+v; want %d answered by %s", i, turn, due, want[i%len(want)])
		}
		if known := turn.Resident > 0; known == (turn.Contestant == "other") {
			t.Errorf("turn %d: %s holds %d bytes", i, turn.Contestant, turn.Resident)
		}
	}
}

func TestPeerSettings(t *testing.T) {
	site := peerSite{port: 20001, connections: 64, location: "https://example.com/?a=b&c=d", headers: [][2]string{{"Cache-Control", "no-store"}}}
	logging := site
	logging.log = "access.log"
	for name, c := range map[string]struct{ got, want string }{
		"nginx": {nginxSettings(site), `daemon off;
worker_processes 1;
worker_rlimit_nofile 192;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 128; }
http {
	client_body_temp_path temp;
	proxy_temp_path temp;
	fastcgi_temp_path temp;
	uwsgi_temp_path temp;
	scgi_temp_path temp;
	server_tokens off;
	keepalive_timeout 1h;
	keepalive_requests 1000000000;
	access_log off;
	server {
		listen 127.0.0.1:20001;
		add_header Cache-Control "no-store";
		return 302 "https://example.com/?a=b&c=d";
	}
}
`},
		"nginx-log": {nginxSettings(logging), strings.Replace(nginxSettings(site), "access_log off;", "access_log access.log combined buffer=64k flush=1s;", 1)},
		"haproxy": {haproxySettings(site), `global
	nbthread 1
	maxconn 128
defaults
	mode http
	timeout client 1h
	timeout http-request 1h
	timeout http-keep-alive 1h
frontend redirect
	bind 127.0.0.1:20001
	http-after-response set-header Cache-Control 'no-store'
	http-request redirect code 302 location 'https://example.com/?a=b&c=d'
`},
	} {
		if c.got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, c.got, c.want)
		}
	}
}

func TestAMissingPeerIsToldWithItsPackage(t *testing.T) {
	dirs := peerDirs
	defer func() { peerDirs = dirs }()
	peerDirs = []string{t.TempDir()}
	t.Setenv("PATH", t.TempDir())
	l := &lineup{field: testField(t)}
	if err := l.enterPeers(t.Context(), []string{"nginx-log", "haproxy", "none"}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"without nginx-log: nginx is not installed: on Debian and Ubuntu: apt install nginx-light",
		"without haproxy: haproxy is not installed: on Debian and Ubuntu: apt install haproxy",
	}
	if !slices.Equal(l.notes, want) {
		t.Errorf("notes %q, want %q", l.notes, want)
	}
}

func TestDifferencesBetweenAnswers(t *testing.T) {
	bare := &reply{status: 302, header: http.Header{"Date": {"x"}, "Location": {"a"}, "Cache-Control": {"no-store"}, "Content-Length": {"0"}}}
	for want, other := range map[string]*reply{
		"": {status: 302, header: http.Header{"Date": {"y"}, "Location": {"b"}, "Cache-Control": {"no-store"}}},
		"status 301, Cache-Control: private, with Server: x, no Date, a body of 7 bytes": {
			status: 301, body: 7, header: http.Header{"Location": {"b"}, "Cache-Control": {"private"}, "Server": {"x"}, "Content-Length": {"7"}},
		},
	} {
		if got := other.differences(bare); got != want {
			t.Errorf("differences %q, want %q", got, want)
		}
	}
}

func TestTargetsThatCannotBeCompared(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/chunked":
			_ = http.NewResponseController(w).Flush()
		}
	}))
	defer server.Close()
	l := &lineup{field: testField(t), contestants: []*contestant{{name: "bare"}}}
	for _, c := range []struct{ name, link, want string }{
		{"bare", server.URL, "the name is taken"},
		{"a", "https://example.com/", "does not speak TLS"},
		{"a", "http:///x", "must be http://HOST"},
		{"a", "http://127.0.0.1:99999/", "from 1 to 65535"},
		{"a", server.URL + "/gone", "answered 410"},
		{"a", server.URL + "/chunked", "no Content-Length"},
	} {
		if err := l.enterTarget(t.Context(), c.name, c.link); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.link) {
			t.Errorf("%s=%s: error %v, want one with %q", c.name, c.link, err, c.want)
		}
	}
	if err := l.enterTarget(t.Context(), "a", server.URL+"/x"); err != nil || len(l.contestants) != 2 {
		t.Errorf("%v, %d contestants", err, len(l.contestants))
	}
}

func TestCompareFlagsThatMakeNoSense(t *testing.T) {
	refuses(t, []string{"compare"}, map[string]string{
		"--open --max":      "exclude each other",
		"--open":            "asks for --rates",
		"--rates=5,-1":      "--rates: -1",
		"--shares=0":        "--shares: 0",
		"--shares=0.5,1.5":  "--shares: 1.5",
		"--peers=apache":    "--peers",
		"--target=x":        "--target",
		"--connections=0":   "--connections",
		"--edge=/nowhere/x": "/nowhere/x",
	})
}

// A server's workers may be processes of their own, and count.
func TestFamilyHasTheChildren(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 600 & wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	deadline := time.Now().Add(time.Minute)
	for len(family(cmd.Process.Pid)) != 2 {
		if time.Now().After(deadline) {
			t.Fatalf("family %v, want two", family(cmd.Process.Pid))
		}
		time.Sleep(time.Millisecond)
	}
	all, err := readFamily(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if all.threads != 2 {
		t.Errorf("%d threads, want 2", all.threads)
	}
}
