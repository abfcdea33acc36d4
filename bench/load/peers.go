package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"waypost/bench/stack"
)

// peer is a server of others that answers every request with one redirect and does nothing else, or hardly anything.
type peer struct {
	name    string // as a contestant
	program string
	pkg     string // Debian's, for who does not have it
	what    string
	log     string // the file that it writes a line into for each request, below its folder
	// settings are its configuration file, and arguments how it is told of it.
	settings  func(s peerSite) string
	arguments func(dir, file string) []string
}

// peerSite is where and what a peer serves.
type peerSite struct {
	port        int
	connections int
	log         string
	location    string
	headers     [][2]string // but for the location
}

var peers = []peer{
	{
		name: "nginx", program: "nginx", pkg: "nginx-light", what: "return 302, one worker, no access log",
		settings: nginxSettings, arguments: nginxArguments,
	},
	{
		name: "nginx-log", program: "nginx", pkg: "nginx-light", what: "return 302, one worker, access log combined, buffer=64k flush=1s", log: "access.log",
		settings: nginxSettings, arguments: nginxArguments,
	},
	{
		name: "haproxy", program: "haproxy", pkg: "haproxy", what: "http-request redirect, nbthread 1, no log",
		settings: haproxySettings, arguments: func(_, file string) []string { return []string{"-db", "-f", file} },
	},
}

// spareConnections are those of a peer beyond the generator's.
const spareConnections = 64

func nginxArguments(dir, file string) []string { return []string{"-p", dir, "-c", file} }

// nginxSettings keep connections open over any turn, as everybody's do here.
func nginxSettings(s peerSite) string {
	var b strings.Builder
	fmt.Fprintf(&b, "daemon off;\nworker_processes 1;\nworker_rlimit_nofile %d;\npid nginx.pid;\nerror_log stderr warn;\n", s.connections+2*spareConnections)
	fmt.Fprintf(&b, "events { worker_connections %d; }\nhttp {\n", s.connections+spareConnections)
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&b, "\t%s_temp_path temp;\n", kind)
	}
	log := "off"
	if s.log != "" {
		log = s.log + " combined buffer=64k flush=1s"
	}
	fmt.Fprintf(&b, "\tserver_tokens off;\n\tkeepalive_timeout 1h;\n\tkeepalive_requests 1000000000;\n\taccess_log %s;\n\tserver {\n\t\tlisten 127.0.0.1:%d;\n", log, s.port)
	for _, h := range s.headers {
		fmt.Fprintf(&b, "\t\tadd_header %s %q;\n", h[0], h[1])
	}
	fmt.Fprintf(&b, "\t\treturn 302 %q;\n\t}\n}\n", s.location)
	return b.String()
}

func haproxySettings(s peerSite) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global\n\tnbthread 1\n\tmaxconn %d\n", s.connections+spareConnections)
	fmt.Fprint(&b, "defaults\n\tmode http\n\ttimeout client 1h\n\ttimeout http-request 1h\n\ttimeout http-keep-alive 1h\n")
	fmt.Fprintf(&b, "frontend redirect\n\tbind 127.0.0.1:%d\n", s.port)
	for _, h := range s.headers {
		fmt.Fprintf(&b, "\thttp-after-response set-header %s '%s'\n", h[0], h[1])
	}
	fmt.Fprintf(&b, "\thttp-request redirect code 302 location '%s'\n", s.location)
	return b.String()
}

// peerDirs are looked into beside PATH: a user's often lacks them.
var peerDirs = []string{"/usr/sbin", "/usr/local/sbin"}

var errMissing = errors.New("not installed")

// find is the path of the peer's program; errMissing says how to get it.
func (p *peer) find() (string, error) {
	if path, err := exec.LookPath(p.program); err == nil {
		return path, nil
	}
	for _, dir := range peerDirs {
		if path, err := exec.LookPath(filepath.Join(dir, p.program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is %w: on Debian and Ubuntu: apt install %s", p.program, errMissing, p.pkg)
}

var versionNumber = regexp.MustCompile(`\d+\.\d+\S*`)

// versionOf is what the program says of itself, on whichever output.
func versionOf(path string) string {
	text, _ := exec.Command(path, "-v").CombinedOutput()
	return versionNumber.FindString(string(text))
}

// enterPeers starts the peers of the given names, and enters them. One that is not installed is told of and left out.
func (l *lineup) enterPeers(ctx context.Context, names []string) error {
	for _, name := range names {
		for i := range peers {
			if peers[i].name != name {
				continue
			}
			err := l.enterPeer(ctx, &peers[i])
			if errors.Is(err, errMissing) {
				l.notes = append(l.notes, fmt.Sprintf("without %s: %v", name, err))
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lineup) enterPeer(ctx context.Context, p *peer) error {
	path, err := p.find()
	if err != nil {
		return err
	}
	site := peerSite{connections: l.connections, log: p.log}
	for _, line := range l.headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Location" {
			site.location = value
		} else {
			site.headers = append(site.headers, [2]string{name, value})
		}
	}
	if site.port, err = freePort(); err != nil {
		return err
	}
	dir := filepath.Join(l.dir, p.name)
	if err := writeFiles(dir, map[string]string{"settings": p.settings(site)}); err != nil {
		return err
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(site.port))
	c, err := startPeer(ctx, l.serverCore, addr, filepath.Join(l.dir, p.name+".log"), p.name, path, p.arguments(dir, filepath.Join(dir, "settings"))...)
	if err != nil {
		return err
	}
	l.closers = append(l.closers, c.stop)
	entrant := &contestant{name: p.name, addr: addr, pid: c.pid(), program: p.program, what: p.what}
	l.head.Versions[p.program] = versionOf(path)
	if p.log != "" {
		// A log of millions of lines is for the disk's owner no part of the bargain.
		entrant.settle = func(context.Context) error { return os.Truncate(filepath.Join(dir, p.log), 0) }
	}
	return l.enter(entrant)
}

// startPeer is startChild for a program that does not say when it serves: it does when it answers.
func startPeer(ctx context.Context, core int, addr netip.AddrPort, log, name, path string, args ...string) (*child, error) {
	c, _, err := spawn(nil, log, name, path, args...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	err = c.await(ctx, func() bool {
		_, err := ask(addr, loadHost, "/")
		return err == nil
	})
	if err != nil {
		c.stop()
		text, _ := os.ReadFile(log)
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(text)))
	}
	for _, pid := range family(c.pid()) {
		if err := pin(pid, core); err != nil {
			c.stop()
			return nil, err
		}
	}
	return c, nil
}

// freePort draws one below those that the kernel gives to outgoing connections: nobody takes it by chance before the peer does.
func freePort() (int, error) {
	for range 1000 {
		if port := 20000 + rand.IntN(12000); stack.PortFree(port) {
			return port, nil
		}
	}
	return 0, errors.New("load: no free port on 127.0.0.1")
}
