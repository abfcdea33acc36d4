package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Config of a Stack.
type Config struct {
	Dir string // state and settings; made when missing
	Bin string // folder of the programs edge, mint and sink

	// Base moves the ports to fixed numbers: the first edge listens on Base, mint on Base+1, the admin listeners on Base+1000 (edge),
	// +1001 (mint), +1002 (sink). 0 takes free ones. A fixed stack has one edge and one sink.
	Base int

	Edges int // number of edges, each with a journal of its own; 0 means 1
	Sinks int // number of sinks, each reading all journals; 0 means 1

	// Kafka is the block `kafka` of every edge and sink, which then meet in its topics; no sink reads a journal. Start makes the topics where they are missing. Nil: no Kafka.
	Kafka Keys

	Edge, Mint, Sink Keys     // laid over the settings of every edge, of mint, of every sink
	Consumers        []string // names beside the sinks' in the edges' journal.consumers

	// OnLine is told of each line that a program prints. It is called from several goroutines, one at a time for each stream of a program.
	OnLine func(name, line string)
}

// Stack is a set of programs that work together. Tenants may be changed between lives: the next Start or WriteSettings writes them.
type Stack struct {
	Dir     string
	Edges   []*Process
	Mint    *Process
	Sinks   []*Process
	Tenants []Tenant

	config Config
	ports  ports
	claims []claim
}

type ports struct {
	edge, edgeAdmin []int
	mint, mintAdmin int
	sinkAdmin       []int
}

// New chooses ports and names; nothing runs yet.
func New(config Config) (*Stack, error) {
	config.Edges, config.Sinks = max(config.Edges, 1), max(config.Sinks, 1)
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, err
	}
	bin, err := filepath.Abs(config.Bin)
	if err != nil {
		return nil, err
	}
	config.Bin = bin
	s := &Stack{Dir: dir, config: config}
	if err := s.choosePorts(); err != nil {
		s.release()
		return nil, err
	}
	for i := range config.Edges {
		edge := s.process("edge", i, s.ports.edgeAdmin[i])
		edge.URL = "http://" + address(s.ports.edge[i])
		s.Edges = append(s.Edges, edge)
	}
	s.Mint = s.process("mint", 0, s.ports.mintAdmin)
	s.Mint.URL = "http://" + address(s.ports.mint)
	for i := range config.Sinks {
		s.Sinks = append(s.Sinks, s.process("sink", i, s.ports.sinkAdmin[i]))
	}
	return s, nil
}

// errFixed is an error of New.
var errFixed = errors.New("stack: fixed ports are for one edge and one sink")

func (s *Stack) choosePorts() error {
	if base := s.config.Base; base != 0 {
		if s.config.Edges > 1 || s.config.Sinks > 1 {
			return errFixed
		}
		s.ports = ports{
			edge: []int{base}, edgeAdmin: []int{base + 1000},
			mint: base + 1, mintAdmin: base + 1001,
			sinkAdmin: []int{base + 1002},
		}
		return nil
	}
	want := 2*s.config.Edges + 2 + s.config.Sinks
	for range want {
		c, err := claimPort()
		if err != nil {
			return err
		}
		s.claims = append(s.claims, c)
	}
	next := 0
	take := func() int { next++; return s.claims[next-1].port }
	for range s.config.Edges {
		s.ports.edge = append(s.ports.edge, take())
		s.ports.edgeAdmin = append(s.ports.edgeAdmin, take())
	}
	s.ports.mint, s.ports.mintAdmin = take(), take()
	for range s.config.Sinks {
		s.ports.sinkAdmin = append(s.ports.sinkAdmin, take())
	}
	return nil
}

// Ports are all ports that the programs listen on, by what they are for: "edge", "mint", "edge admin" ...
func (s *Stack) Ports() map[string]int {
	all := map[string]int{"mint": s.ports.mint, "mint admin": s.ports.mintAdmin}
	for i, edge := range s.Edges {
		all[edge.Name], all[edge.Name+" admin"] = s.ports.edge[i], s.ports.edgeAdmin[i]
	}
	for i, sink := range s.Sinks {
		all[sink.Name+" admin"] = s.ports.sinkAdmin[i]
	}
	return all
}

func (s *Stack) process(program string, i, admin int) *Process {
	name := numbered(program, i)
	return &Process{
		Name:   name,
		Admin:  "http://" + address(admin),
		path:   s.Program(program),
		args:   []string{"--config", s.path(name + ".yaml")},
		log:    filepath.Join(s.Dir, "log", name+".log"),
		onLine: s.config.OnLine,
	}
}

// Program is the path of a program's binary.
func (s *Stack) Program(name string) string { return filepath.Join(s.config.Bin, name) }

// Settings is the path of a program's settings file.
func (s *Stack) Settings(p *Process) string { return s.path(p.Name + ".yaml") }

// JournalDir is the journal of the i-th edge.
func (s *Stack) JournalDir(i int) string { return s.path(numbered("journal", i)) }

// StoreDir is the store of the i-th sink.
func (s *Stack) StoreDir(i int) string { return s.path(numbered("store", i)) }

func (s *Stack) path(name string) string { return filepath.Join(s.Dir, name) }

func (s *Stack) journalDirs() (dirs []string) {
	for i := range s.Edges {
		dirs = append(dirs, s.JournalDir(i))
	}
	return dirs
}

func (s *Stack) sinkNames() (names []string) {
	for _, sink := range s.Sinks {
		names = append(names, sink.Name)
	}
	return names
}

func numbered(name string, i int) string {
	if i == 0 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, i+1)
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// Processes are all programs in the order in which they are started: edges, mint, sinks.
func (s *Stack) Processes() []*Process {
	all := append([]*Process(nil), s.Edges...)
	return append(append(all, s.Mint), s.Sinks...)
}

// Start prepares directory, key file and settings, starts every program that does not run, and returns when all are ready. When one fails,
// all are stopped.
func (s *Stack) Start(ctx context.Context) error {
	if err := s.Prepare(ctx); err != nil {
		return err
	}
	if s.config.Kafka != nil {
		if _, err := s.Run(ctx, "sink", "topics", "create", "--config", s.Settings(s.Sinks[0])); err != nil {
			return err
		}
	}
	for _, p := range s.Processes() {
		if err := p.Start(ctx); err != nil && !errors.Is(err, ErrRunning) {
			s.Kill()
			return err
		}
	}
	return nil
}

// Prepare makes the directory and the key file where they are missing and writes the settings.
func (s *Stack) Prepare(ctx context.Context) error {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	for _, dir := range s.journalDirs() {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if _, err := os.Stat(s.KeyFile()); errors.Is(err, fs.ErrNotExist) {
		if _, err := s.Run(ctx, "mint", "keys", "init", "--file", s.KeyFile()); err != nil {
			return err
		}
	}
	return s.WriteSettings()
}

// KeyFile is the key file that mint and the edges share.
func (s *Stack) KeyFile() string { return s.path("link.keys") }

// Run runs a program's command to its end and gives what it printed on stdout; an exit status other than 0 is an error that quotes stderr.
func (s *Stack) Run(ctx context.Context, program string, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, s.Program(program), args...)
	command.SysProcAttr = attributes()
	var complaint strings.Builder
	command.Stderr = &complaint
	text, err := command.Output()
	if err != nil {
		return text, fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return text, nil
}

// StopWithin is how long Stop waits for each program.
const StopWithin = time.Minute

// Stop ends the programs in order: mint (no new links), the edges (no new events), the sinks (what was decided goes out). What does not
// end in time is killed; the first error is returned.
func (s *Stack) Stop() error {
	order := append([]*Process{s.Mint}, s.Edges...)
	var first error
	for _, p := range append(order, s.Sinks...) {
		ctx, cancel := context.WithTimeout(context.Background(), StopWithin)
		if err := p.Stop(ctx); err != nil && !errors.Is(err, ErrStopped) && first == nil {
			first = err
		}
		cancel()
	}
	return first
}

// Kill ends every program at once.
func (s *Stack) Kill() {
	for _, p := range s.Processes() {
		_ = p.Kill() // not running is as good
	}
}

// Close kills what still runs and gives the ports back.
func (s *Stack) Close() {
	s.Kill()
	s.release()
}

func (s *Stack) release() {
	for _, c := range s.claims {
		c.hold.Close()
	}
	s.claims = nil
}
