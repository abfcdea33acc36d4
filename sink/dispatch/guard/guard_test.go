package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waypost/configs/outbound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// errStopped ends a connection that the rules let through, before its first packet: the tests reach nobody.
var errStopped = errors.New("stopped by the test")

// network is what a guarded client sees of the world: names from a nameserver of its own, and a record of every connect that the rules let through.
type network struct {
	*nameserver
	client *http.Client
	let    func(address string) bool // whether such a connect is really made; nil: none is

	mu        sync.Mutex
	connected []string
}

func newNetwork(t *testing.T, rules *outbound.Rules) *network {
	n := &network{nameserver: startNameserver(t)}
	dialer := net.Dialer{Timeout: 30 * time.Second, Resolver: n.resolver(), ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		n.mu.Lock()
		n.connected = append(n.connected, address)
		n.mu.Unlock()
		if n.let != nil && n.let(address) {
			return nil
		}
		return errStopped
	}}
	transport := &http.Transport{ForceAttemptHTTP2: true}
	n.client = &http.Client{
		Transport:     Transport(transport, dialer, rules),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(n.client.CloseIdleConnections)
	return n
}

func (n *network) post(target string) (*http.Response, error) {
	response, err := n.client.Post(target, "text/plain", strings.NewReader("secret"))
	if err == nil {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	return response, err
}

func (n *network) connects() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.connected)
}

// usual are the settings' defaults.
func usual() *outbound.Rules {
	return &outbound.Rules{Ports: []int{80, 443, 8080, 8443}, RequireTLS: true}
}

// Every address that is nobody's on the internet, as each kind of URL can name it: refused, with its kind, before anything connects.
func TestRefused(t *testing.T) {
	n := newNetwork(t, usual())
	for kind, hosts := range map[outbound.Kind][]string{
		outbound.Metadata: {
			"169.254.169.254", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]", "[fd20:ce::254]", "169.254.170.2", "168.63.129.16", "100.100.100.200",
			"[64:ff9b::169.254.169.254]", "169。254。169。254",
		},
		outbound.Loopback: {
			"127.0.0.1", "127.255.255.254", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::FFFF:7F00:1]", "[::ffff:127.0.0.1%25lo]", "[::1%25lo]",
			"127。0。0。1", "①②⑦.0.0.1", "１２７.0.0.1", "127%E3%80%820%E3%80%820%E3%80%821",
		},
		outbound.Unspecified:   {"0.0.0.0", "0.1.2.3", "[::]", "[::ffff:0.0.0.0]"},
		outbound.Private:       {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "[::ffff:10.0.0.1]", "[::ffff:c0a8:101]"},
		outbound.UniqueLocal:   {"[fc00::1]", "[fd12:3456:789a::1]"},
		outbound.LinkLocal:     {"169.254.1.1", "[fe80::1]", "[fe80::1%25lo]", "[::ffff:169.254.1.1]"},
		outbound.Shared:        {"100.64.0.1", "100.127.255.255"},
		outbound.Multicast:     {"224.0.0.1", "239.255.255.250", "[ff02::1]", "[ff02::1%25lo]"},
		outbound.Broadcast:     {"255.255.255.255"},
		outbound.Documentation: {"192.0.2.1", "198.51.100.1", "203.0.113.1", "[2001:db8::1]", "[3fff::1]"},
		outbound.Translated:    {"[64:ff9b::127.0.0.1]", "[64:ff9b::a00:1]", "[64:ff9b:1::a00:1]", "[2002:7f00:1::1]", "[2001:0:53aa:64c::1]"},
		outbound.Reserved:      {"240.0.0.1", "192.0.0.1", "198.18.0.1", "[fec0::1]", "[100::1]", "[::7f00:1]", "[::ffff:0:7f00:1]", "[5f00::1]"},
		outbound.Spelling: {
			"2130706433", "0x7f000001", "0X7F000001", "017700000001", "127.1", "127.0.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f.1", "127.0.0.01", "127.0.0.1.", "1.1.1.1.", "256.0.0.1", "0",
			"２１３０７０６４３３", "0ｘ7f.1",
		},
	} {
		for _, host := range hosts {
			_, err := n.post("https://" + host + "/hooks")
			if refusal := RefusalOf(err); refusal == nil || refusal.Kind != kind {
				t.Errorf("%s: %v; want a refusal as %s", host, err, kind)
			}
		}
	}
	if all := n.connects(); len(all) > 0 {
		t.Errorf("connected to %q", all)
	}
}

// Hosts that are no URL's, or no host's.
func TestNotURLs(t *testing.T) {
	n := newNetwork(t, usual())
	for _, text := range []string{
		"https://127%2e0%2e0%2e1/", "https://%31%32%37.0.0.1/", "https://[127.0.0.1]/", "https://127.0.0.1:443:80/", "https://[::1/", "https://::1/", "https://a.example:x/", "gopher://127.0.0.1/",
		"file:///etc/passwd", "https:127.0.0.1", "https://127.0.0.1\\@a.example/", "https://a.example:99999/",
	} {
		if _, err := n.post(text); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
	if all := n.connects(); len(all) > 0 {
		t.Errorf("connected to %q", all)
	}
}

// either is for names with addresses of both kinds: the error is that of the one that was tried first.
const either outbound.Kind = "either"

// What a name resolves to is judged, not the name: every address of it for itself.
func TestNames(t *testing.T) {
	for name, test := range map[string]struct {
		rules   *outbound.Rules
		url     string
		answers string
		want    outbound.Kind
		connect []string
	}{
		"public":                  {usual(), "https://a.example/", "1.1.1.1", "", []string{"1.1.1.1:443"}},
		"public, IPv6":            {usual(), "https://a.example:8443/", "2606:4700:4700::1111", "", []string{"[2606:4700:4700::1111]:8443"}},
		"loopback":                {usual(), "https://a.example/", "127.0.0.1", outbound.Loopback, nil},
		"loopback, IPv6":          {usual(), "https://a.example/", "::1", outbound.Loopback, nil},
		"mapped":                  {usual(), "https://a.example/", "::ffff:10.0.0.1", outbound.Private, nil},
		"metadata":                {usual(), "https://a.example/", "169.254.169.254", outbound.Metadata, nil},
		"one of two":              {usual(), "https://a.example/", "10.0.0.1 1.1.1.1", either, []string{"1.1.1.1:443"}},
		"one of two, both IPs":    {usual(), "https://a.example/", "::1 1.1.1.1", either, []string{"1.1.1.1:443"}},
		"two of two":              {usual(), "https://a.example/", "10.0.0.1 192.168.0.1", outbound.Private, nil},
		"a port for something":    {usual(), "https://a.example:25/", "1.1.1.1", outbound.Port, nil},
		"without TLS":             {usual(), "http://a.example/", "1.1.1.1", outbound.Plaintext, nil},
		"a name for an operator":  {&outbound.Rules{Allow: []outbound.Allowed{{Host: "a.example"}}}, "http://A.example:25/", "10.0.0.1", "", []string{"10.0.0.1:25"}},
		"and not for metadata":    {&outbound.Rules{Allow: []outbound.Allowed{{Host: "a.example"}}}, "http://a.example/", "169.254.169.254", outbound.Metadata, nil},
		"a network":               {&outbound.Rules{Allow: outbound.ThisMachine()}, "http://a.example:1/", "127.1.2.3", "", []string{"127.1.2.3:1"}},
		"a network, another host": {&outbound.Rules{Allow: outbound.ThisMachine()}, "http://a.example:1/", "10.0.0.1", outbound.Private, nil},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, test.rules)
			n.set("a.example", test.answers)
			n.set("A.example", test.answers)
			_, err := n.post(test.url)
			refusal := RefusalOf(err)
			if test.want == "" && !errors.Is(err, errStopped) || test.want != "" && test.want != either && (refusal == nil || refusal.Kind != test.want) {
				t.Errorf("error %v, want kind %q", err, test.want)
			}
			if got := n.connects(); !slices.Equal(got, test.connect) {
				t.Errorf("connected to %q, want %q", got, test.connect)
			}
		})
	}
}

// A name that resolves to a public address while it is looked at, and to this machine when it is connected to: there is no moment in between.
func TestRebinding(t *testing.T) {
	inside := listen(t)
	n := newNetwork(t, usual())
	n.let = func(address string) bool { return strings.HasPrefix(address, "127.") } // were it not refused before, it would connect
	n.set("rebind.example", "1.1.1.1", "127.0.0.1", "1.1.1.1", "127.0.0.1")
	target := fmt.Sprintf("https://rebind.example:%d/", 8443)
	var kinds []outbound.Kind
	for range 4 {
		_, err := n.post(target)
		if refusal := RefusalOf(err); refusal != nil {
			kinds = append(kinds, refusal.Kind)
		} else if !errors.Is(err, errStopped) {
			t.Errorf("error %v", err)
		}
	}
	if !slices.Equal(kinds, []outbound.Kind{outbound.Loopback, outbound.Loopback}) {
		t.Errorf("refused as %q, want twice loopback", kinds)
	}
	if got := n.connects(); !slices.Equal(got, []string{"1.1.1.1:8443", "1.1.1.1:8443"}) {
		t.Errorf("connected to %q", got)
	}
	if n := inside.accepted.Load(); n > 0 {
		t.Errorf("%d connections inside", n)
	}
}

// The connection that is kept goes on being that receiver's, whatever its name resolves to later; a new one is judged anew.
func TestKeptConnections(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	port := netip.MustParseAddrPort(receiver.Listener.Addr().String()).Port()
	n := newNetwork(t, &outbound.Rules{Allow: []outbound.Allowed{{Network: netip.MustParsePrefix("127.0.0.1/32")}}})
	n.let = func(string) bool { return true }
	n.set("a.example", "127.0.0.1", "127.0.0.2")
	target := fmt.Sprintf("http://a.example:%d/", port)
	for range 2 {
		if _, err := n.post(target); err != nil {
			t.Fatal(err)
		}
	}
	n.client.CloseIdleConnections()
	if _, err := n.post(target); RefusalOf(err) == nil {
		t.Errorf("error %v, want a refusal", err)
	}
	if got := n.connects(); len(got) != 1 {
		t.Errorf("connected to %q, want one connect", got)
	}
}

// Redirects end where they begin.
func TestRedirects(t *testing.T) {
	inside := listen(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		receiver := httptest.NewServer(http.RedirectHandler("http://"+inside.Addr().String()+"/", status))
		n := newNetwork(t, &outbound.Rules{Allow: outbound.ThisMachine()})
		n.let = func(string) bool { return true }
		response, err := n.post(receiver.URL)
		if err != nil || response.StatusCode != status {
			t.Errorf("%v %v, want status %d", response, err, status)
		}
		receiver.Close()
	}
	if n := inside.accepted.Load(); n > 0 {
		t.Errorf("%d connections inside", n)
	}
}

// A proxy of the environment would connect for us to what we refuse.
func TestNoProxy(t *testing.T) {
	proxy := listen(t)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://"+proxy.Addr().String())
	}
	transport := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return url.Parse("http://" + proxy.Addr().String()) }}
	client := &http.Client{Transport: Transport(transport, net.Dialer{}, usual())}
	for _, target := range []string{"https://10.0.0.1/", "http://10.0.0.1/"} {
		response, err := client.Get(target)
		if err == nil {
			response.Body.Close()
		}
		if RefusalOf(err) == nil {
			t.Errorf("%s: %v, want a refusal", target, err)
		}
	}
	if n := proxy.accepted.Load(); n > 0 {
		t.Errorf("%d connections to the proxy", n)
	}
}

// Certificates are looked at, for the name in the URL; HTTP/2 is spoken where the receiver can.
func TestTLS(t *testing.T) {
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	receiver.EnableHTTP2 = true
	receiver.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	receiver.StartTLS()
	defer receiver.Close()
	roots := x509.NewCertPool()
	roots.AddCert(receiver.Certificate())
	for name, test := range map[string]struct {
		config *tls.Config
		host   string
		proto  string // "": refused
	}{
		"known authority":   {&tls.Config{RootCAs: roots}, "127.0.0.1", "HTTP/2.0"},
		"unknown authority": {nil, "127.0.0.1", ""},
		"another name":      {&tls.Config{RootCAs: roots}, "other.example", ""},
	} {
		t.Run(name, func(t *testing.T) {
			names := startNameserver(t)
			names.set("other.example", "127.0.0.1")
			transport := &http.Transport{TLSClientConfig: test.config, ForceAttemptHTTP2: true}
			client := &http.Client{Transport: Transport(transport, net.Dialer{Resolver: names.resolver()}, &outbound.Rules{Allow: outbound.ThisMachine()})}
			defer client.CloseIdleConnections()
			_, port, _ := net.SplitHostPort(receiver.Listener.Addr().String())
			response, err := client.Get("https://" + net.JoinHostPort(test.host, port))
			if err == nil {
				response.Body.Close()
			}
			var certificate *tls.CertificateVerificationError
			switch {
			case test.proto == "" && !errors.As(err, &certificate):
				t.Errorf("error %v, want one of the certificate", err)
			case test.proto != "" && (err != nil || response.Proto != test.proto):
				t.Errorf("%v %v, want %s", response, err, test.proto)
			}
		})
	}
}

// listener counts who connects to this machine.
type listener struct {
	net.Listener
	accepted atomic.Int64
}

func listen(t *testing.T) *listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Listener: inner}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			l.accepted.Add(1)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l
}
