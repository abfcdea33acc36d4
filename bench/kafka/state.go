package kafka

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// state is cluster.json.
type state struct {
	ID        string    `json:"id"`
	Options   Options   `json:"options"`
	Ports     []ports   `json:"ports"`
	Processes []process `json:"processes"` // by node; the zero process: not begun, or ended by us
}

// process tells a process from a later one with the same number.
type process struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // ticks since the machine's start
}

// ErrNoCluster says that the directory holds no cluster.
var ErrNoCluster = errors.New("kafka: no cluster here")

func stateFile(dir string) string { return filepath.Join(dir, "cluster.json") }

func readState(dir string) (*state, error) {
	text, err := os.ReadFile(stateFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoCluster, dir)
	}
	if err != nil {
		return nil, err
	}
	s := new(state)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("kafka: %s: %w", stateFile(dir), err)
	}
	if n := s.Options.Nodes; n < 1 || len(s.Ports) != n || len(s.Processes) != n {
		return nil, fmt.Errorf("kafka: %s: %d nodes, %d ports, %d processes", stateFile(dir), n, len(s.Ports), len(s.Processes))
	}
	return s, nil
}

func newState(o Options) (*state, error) {
	id, err := clusterID()
	if err != nil {
		return nil, err
	}
	s := &state{ID: id, Options: o, Processes: make([]process, o.Nodes)}
	for n := range o.Nodes {
		p, err := choosePorts(o, n)
		if err != nil {
			return nil, err
		}
		s.Ports = append(s.Ports, p)
	}
	return s, nil
}

// write replaces cluster.json; it holds passwords.
func (s *state) write() error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	path := stateFile(s.Options.Dir)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// clusterID is 16 random bytes in base64url; Kafka's tools take one that begins with a dash for an option.
func clusterID() (string, error) {
	for {
		var raw [16]byte
		if _, err := rand.Read(raw[:]); err != nil {
			return "", err
		}
		if id := base64.RawURLEncoding.EncodeToString(raw[:]); id[0] != '-' {
			return id, nil
		}
	}
}

// choosePorts gives node n (from 0) its ports: fixed ones, or free ones below those that the kernel gives to outgoing connections, so that a
// killed node finds its ports free again.
func choosePorts(o Options, n int) (ports, error) {
	var p ports
	wanted := []*int{&p.Plain, &p.Controller}
	if o.Secure {
		wanted = append(wanted, &p.TLS, &p.SASL, &p.SASLTLS)
	}
	for i, port := range wanted {
		if o.Port > 0 {
			*port = o.Port + 10*n + i
			if !portFree(*port) {
				return p, fmt.Errorf("kafka: port %d of 127.0.0.1 is taken", *port)
			}
			continue
		}
		var err error
		if *port, err = drawPort(); err != nil {
			return p, err
		}
	}
	return p, nil
}

func drawPort() (int, error) {
	for range 1000 {
		if port := 12000 + mathrand.IntN(8000); portFree(port) {
			return port, nil
		}
	}
	return 0, errors.New("kafka: no free port on 127.0.0.1")
}

func portFree(port int) bool {
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// thisProcess reads when a process was started. A dead one, or one that only waits for its parent's attention, is an error.
func thisProcess(pid int) (process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return process{}, fmt.Errorf("kafka: process %d is dead", pid)
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	return process{pid, started}, err
}

func (p process) alive() bool {
	if p.PID == 0 {
		return false
	}
	now, err := thisProcess(p.PID)
	return err == nil && now == p
}
