package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"waypost/bench/result"
	"waypost/configs"
	"waypost/mint/link"
)

// MintCommand is `bench load mint`.
type MintCommand struct {
	Rate        float64       `help:"Requests a second of the open loop; 0: 70 % of each contestant's maximum." default:"0"`
	Max         bool          `help:"Only the closed loop, for the maximum."`
	Open        bool          `help:"Only the open loop; asks for --rate."`
	Overload    float64       `help:"Then offers so many times the maximum, and looks how late the answers are; 0: does not." default:"0"`
	Links       int           `help:"Links of a request." default:"10"`
	Connections int           `help:"Connections at a time." default:"64"`
	Crowd       int           `help:"Connections at a time under --overload." default:"6000"`
	Duration    time.Duration `help:"Of a turn's measured window." default:"5s"`
	Warmup      time.Duration `help:"Before each window." default:"1s"`
	Rounds      int           `help:"In which kept and fresh connections take turns." default:"3"`
	ServerCore  int           `help:"Core of mint; -1: the last one." default:"-1"`
	ClientCore  int           `help:"Core of the generator; -1: the first one." default:"-1"`
	Seed        uint64        `help:"Of the links." default:"1"`
	JSON        string        `help:"Writes the report to this file too." placeholder:"FILE" type:"path"`
	Dir         string        `help:"Where mint's files are while it runs." default:"var/load" type:"path"`
	Program     string        `name:"mint" help:"The mint to run, if not the one beside this program." placeholder:"PATH" type:"path"`
}

// MintReport is a run of `bench load mint`, as --json writes it.
type MintReport struct {
	Report
	Links int `json:"links"`
	Bytes int `json:"request_bytes"`
	// Overload has one turn for each kind of connection: at so many times its maximum.
	Overload []OverloadTurn `json:"overload,omitempty"`
	// Within is mint's answer_within, in microseconds.
	Within float64 `json:"answer_within_us"`
}

// OverloadTurn is a turn at more than the maximum.
type OverloadTurn struct {
	Turn
	Shed map[string]float64 `json:"shed_by_reason"`  // as mint counted it
	Left float64            `json:"links_left_late"` // links that 200s left out, because time was over
}

// Run measures and reports. Answers later than they may be under overload are an error.
func (c *MintCommand) Run(ctx context.Context, k *kong.Context) error {
	return conduct(ctx, k, c.JSON, c.measure)
}

func (c *MintCommand) measure(ctx context.Context, progress io.Writer) (*MintReport, error) {
	head := result.Begin("bench load mint")
	f, err := c.field()
	if err != nil {
		return nil, err
	}
	dir, clear, err := workplace(c.Dir, "mint-")
	if err != nil {
		return nil, err
	}
	defer clear()
	path, err := program(c.Program, "mint")
	if err != nil {
		return nil, err
	}
	head.Versions["mint"] = programVersion(path)
	restore, err := pinSelf(f.generatorCore)
	if err != nil {
		return nil, err
	}
	defer restore()
	mint, err := startMint(ctx, dir, path, f.serverCore)
	if err != nil {
		return nil, err
	}
	defer mint.stop()
	contestants := []*contestant{
		{name: "kept", addr: mint.addr, pid: mint.pid(), want: http.StatusOK, mails: newMails(c.Seed, c.Links, false)},
		{name: "fresh", addr: mint.addr, pid: mint.pid(), want: http.StatusOK, mails: newMails(c.Seed, c.Links, true), fresh: true},
	}
	if err := meetMint(mint.addr, contestants[1].mails.next(), c.Links); err != nil {
		return nil, err
	}
	r := &MintReport{
		Report: Report{
			Head: head,
			Setup: Setup{
				Connections: c.Connections, Warmup: c.Warmup.Seconds(), Duration: c.Duration.Seconds(), Rounds: c.Rounds,
				ServerCore: f.serverCore, GeneratorCore: f.generatorCore, GOMAXPROCS: 1, Baselines: []string{"kept"},
			},
			Contestants: []Entry{
				{Name: "kept", What: "connections are kept", Program: "mint", CPU: true},
				{Name: "fresh", What: "the same, a new connection for each request", Program: "mint", CPU: true},
			},
		},
		Links: c.Links, Bytes: contestants[0].mails.bytes(), Within: float64(configs.DefaultMint().AnswerWithin.Microseconds()),
	}
	if err := c.turns(ctx, f, mint, contestants, r, progress); err != nil {
		return nil, err
	}
	r.Summary = summarize(r.Turns, "kept")
	return r, nil
}

// turns fills the report: the maximum, the open loop, overload.
func (c *MintCommand) turns(ctx context.Context, f *field, m *mint, contestants []*contestant, r *MintReport, progress io.Writer) error {
	var err error
	if !c.Open {
		if r.Turns, err = takeTurns(ctx, f, contestants, c.Rounds, 0, progress); err != nil {
			return err
		}
	}
	maximum := map[string]float64{}
	for _, each := range contestants {
		maximum[each.name] = slowest(turnsOf(r.Turns, each.name))
	}
	for _, each := range contestants {
		if c.Max {
			break
		}
		rate := c.Rate
		if rate == 0 {
			rate = 0.7 * maximum[each.name]
		}
		got, err := takeTurns(ctx, f, []*contestant{each}, c.Rounds, rate, progress)
		if err != nil {
			return err
		}
		r.Turns = append(r.Turns, got...)
	}
	if c.Overload == 0 {
		return nil
	}
	crowd := *f
	crowd.connections, crowd.shed = c.Crowd, http.StatusServiceUnavailable
	for _, each := range contestants {
		t, err := m.overload(ctx, &crowd, each, c.Overload*maximum[each.name], progress)
		if err != nil {
			return err
		}
		r.Overload = append(r.Overload, t)
	}
	return nil
}

func turnsOf(turns []Turn, contestant string) (of []Turn) {
	for _, t := range turns {
		if t.Contestant == contestant {
			of = append(of, t)
		}
	}
	return of
}

func (c *MintCommand) field() (*field, error) {
	switch {
	case c.Open && (c.Max || c.Overload > 0):
		return nil, errors.New("load: --open excludes --max and --overload")
	case c.Open && c.Rate <= 0:
		return nil, errors.New("load: --open asks for a --rate")
	case c.Rate < 0 || c.Overload < 0 || c.Rounds < 1 || c.Duration <= 0 || c.Warmup < 0:
		return nil, errors.New("load: --rate, --overload and --warmup must not be negative, --rounds and --duration not 0")
	case c.Connections < 1 || c.Connections > maxConnections || c.Crowd < 1 || c.Crowd > maxConnections:
		return nil, fmt.Errorf("load: --connections and --crowd must be 1 to 50000")
	case c.Links < 1 || c.Links > mostLinks:
		return nil, fmt.Errorf("load: --links must be 1 to %d", mostLinks)
	}
	server, client, err := chooseCores(c.ServerCore, c.ClientCore)
	if err != nil {
		return nil, err
	}
	return &field{connections: c.Connections, warmup: c.Warmup, duration: c.Duration, serverCore: server, generatorCore: client}, nil
}

// mostLinks keep an answer within what a connection of the generator keeps.
const mostLinks = 200

const mintSettings = `listen: 127.0.0.1:0
admin: 127.0.0.1:0
keys: link.keys
tenants: tenants.yaml
`

const mintTenant = `tenants:
  - number: 1
    name: load
    hosts: [https://` + loadHost + `]
    outreach: {secrets: [` + string(mailSecret) + `]}
`

// mint is a running mint.
type mint struct {
	*child
	addr  netip.AddrPort
	admin string
}

// startMint starts a mint in dir, which it fills, with the shipped settings but for addresses and places.
func startMint(ctx context.Context, dir, path string, core int) (*mint, error) {
	if err := writeFiles(dir, map[string]string{"mint.yaml": mintSettings, "tenants.yaml": mintTenant}); err != nil {
		return nil, err
	}
	if err := link.InitKeyFile(filepath.Join(dir, "link.keys")); err != nil {
		return nil, err
	}
	c, err := startChild(ctx, core, filepath.Join(dir, "mint.log"), "mint", path, "--config", filepath.Join(dir, "mint.yaml"))
	if err != nil {
		return nil, err
	}
	m := &mint{child: c}
	if err := m.meet(); err != nil {
		c.stop()
		return nil, err
	}
	return m, nil
}

func (m *mint) meet() error {
	on, err := m.origin("on")
	if err != nil {
		return err
	}
	if m.addr, err = netip.ParseAddrPort(strings.TrimPrefix(on, "http://")); err != nil {
		return fmt.Errorf("load: mint: %w", err)
	}
	m.admin, err = m.origin("admin")
	return err
}
