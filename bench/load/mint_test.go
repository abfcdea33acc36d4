package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waypost/mint/server"
)

// At any speed of the machine every request has one answer, under overload too; whether in time, only a quiet machine can tell.
func TestMintCommandOverTheRealMint(t *testing.T) {
	c := &MintCommand{
		Program: buildProgram(t, "mint"), Dir: t.TempDir(), Links: 10, Connections: 4, Crowd: 64, Rounds: 1,
		Duration: 200 * time.Millisecond, Warmup: 50 * time.Millisecond, Rate: 100, Overload: 2, ServerCore: -1, ClientCore: -1, Seed: 1,
	}
	r, err := c.measure(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	turns := r.Turns
	for _, o := range r.Overload {
		turns = append(turns, o.Turn)
		if counted := o.Shed["expected"] + o.Shed["waited"] + o.Shed["unseen"] + o.Shed["memory"]; counted < float64(o.Turn.Shed) {
			t.Errorf("%s: mint counted %v, %d were refused", o.Contestant, o.Shed, o.Turn.Shed)
		}
	}
	if len(turns) != 6 {
		t.Fatalf("%d turns, want 6: maximum, open loop and overload of both kinds of connection", len(turns))
	}
	for _, turn := range turns {
		if turn.Answered == 0 || turn.Answered != turn.Sent || turn.Wrong > 0 || turn.Broken > 0 {
			t.Errorf("%+v: want each request answered with 200 or 503", turn)
		}
	}
	var text bytes.Buffer
	if err := r.writeTable(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "overload: 200 within 1500 ms, or 503") || !strings.Contains(text.String(), "requests of 10 links") {
		t.Errorf("report:\n%s", &text)
	}
}

func TestMintFlagsThatMakeNoSense(t *testing.T) {
	refuses(t, []string{"load", "mint"}, map[string]string{
		"--open":                  "asks for a --rate",
		"--open --rate=5 --max":   "--open excludes",
		"--open --overload=3":     "--open excludes",
		"--overload=-1":           "--overload",
		"--links=0":               "--links",
		"--links=1000":            "--links must be 1 to 200",
		"--crowd=0":               "--crowd",
		"--mint=/nowhere/mint":    "/nowhere/mint",
		"--rounds=0 --duration=0": "--rounds",
	})
}

func TestLateUnderOverloadIsAFault(t *testing.T) {
	turn := OverloadTurn{Turn: Turn{Contestant: "kept", Latency: map[string]float64{"max": 1.4e6}}}
	r := &MintReport{Within: 1.5e6, Overload: []OverloadTurn{turn}}
	if err := r.overloadFault(); err != nil {
		t.Error(err)
	}
	turn.Latency["max"] = 1.6e6
	if err := r.overloadFault(); err == nil || !strings.Contains(err.Error(), "kept, the slowest 200 after 1600 ms") {
		t.Errorf("error %v", err)
	}
	r.Overload[0].Void = "the generator itself was late"
	if err := r.overloadFault(); err != nil {
		t.Errorf("a turn that does not count: %v", err)
	}
}

// Under overload it is the generator's lateness that tells whether the figures count, not how busy it is.
func TestVoidUnderOverload(t *testing.T) {
	f, d := &field{}, driver{rate: 1, shed: 503}
	turn := Turn{Answered: 1, Sent: 1, Due: 1, GeneratorBusy: 1, Late: lateLimit}
	if why := f.void(d, newOutcome(), turn); why != "" {
		t.Errorf("void: %s", why)
	}
	turn.Late++
	if why := f.void(d, newOutcome(), turn); why != "the generator itself was late by 50 ms (p99)" {
		t.Errorf("late, and void: %q", why)
	}
}

func TestMails(t *testing.T) {
	m := newMails(1, 10, true)
	seen := map[string]bool{}
	for range differentMails {
		text := m.next()
		request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Fatal(err)
		}
		if request.URL.Path != "/outreach/load" || !request.Close || request.Header.Get(server.SignatureHeader) != server.Sign(body, mailSecret) {
			t.Fatalf("request:\n%s", text)
		}
		var mail struct {
			Data []string
			Meta struct {
				Mailing, Prospect, User struct{ ID, Email string }
				URLs                    map[string]string
			}
		}
		if err := json.Unmarshal(body, &mail); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		shortened := 0
		for original, value := range mail.Meta.URLs {
			if original != value {
				shortened++
			}
		}
		if len(mail.Data) != 10 || shortened != 7 || mail.Meta.Mailing.ID == "" || !strings.Contains(mail.Meta.Prospect.Email, "@") {
			t.Fatalf("mail: %s", body)
		}
		seen[string(body)] = true
	}
	if len(seen) != differentMails {
		t.Errorf("%d different mails", len(seen))
	}
	if kept := string(newMails(1, 10, false).next()); strings.Contains(kept, "Connection: close") {
		t.Error("a mail for kept connections closes its own")
	}
}

// Fresh connections carry one request each, also where the server's queue of connections is full at first.
func TestFreshConnections(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections atomic.Int64
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") }),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		},
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	defer func() {
		_ = s.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
	}()
	addr := netip.MustParseAddrPort(l.Addr().String())
	w, err := dialWire(addr, 8, true)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	d := driver{rate: 1000, connections: 8, duration: 200 * millisecond, drain: 30 * second, want: 200}
	o, err := d.run(w, newMails(1, 1, true).next)
	if err != nil {
		t.Fatal(err)
	}
	if o.right != 200 || connections.Load() != 200 {
		t.Errorf("%d answered on %d connections, want 200 on as many", o.right, connections.Load())
	}
	for c, fd := range w.fds {
		if fd >= 0 {
			t.Errorf("connection %d is still open", c)
		}
	}
}

func TestFreshConnectionsToNobody(t *testing.T) {
	w, err := dialWire(netip.MustParseAddrPort("127.0.0.1:1"), 2, true)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if _, err := (driver{rate: 1000, connections: 2, duration: 10 * millisecond, drain: second, want: 200}).run(w, endless); err == nil || !strings.Contains(err.Error(), "a new connection: connection refused") {
		t.Errorf("error %v", err)
	}
}
