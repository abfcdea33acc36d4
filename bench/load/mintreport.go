package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"text/tabwriter"
	"time"
)

// meetMint sends one request, and wants a link for each of its links.
func meetMint(addr netip.AddrPort, request []byte, links int) error {
	conn, err := net.DialTimeout("tcp4", addr.String(), 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write(request); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct{ Data map[string]string }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("load: mint's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK || len(answer.Data) != links {
		return fmt.Errorf("load: mint answered %s with %d links, want %d", response.Status, len(answer.Data), links)
	}
	return nil
}

// shedReasons are mint's.
var shedReasons = []string{"expected", "waited", "unseen", "memory"}

// overload gives one turn, and what mint counted in it.
func (m *mint) overload(ctx context.Context, f *field, c *contestant, rate float64, progress io.Writer) (t OverloadTurn, err error) {
	before, err := m.readShed(ctx)
	if err != nil {
		return t, err
	}
	turns, err := takeTurns(ctx, f, []*contestant{c}, 1, rate, progress)
	if err != nil {
		return t, err
	}
	t = OverloadTurn{Turn: turns[0], Shed: map[string]float64{}}
	after, err := m.readShed(ctx)
	for reason, n := range after {
		t.Shed[reason] = n - before[reason]
	}
	t.Left = t.Shed[leftLate]
	delete(t.Shed, leftLate)
	return t, err
}

const leftLate = "late"

func (m *mint) readShed(ctx context.Context) (map[string]float64, error) {
	n := map[string]float64{}
	var err error
	for _, reason := range shedReasons {
		if n[reason], err = scrape(ctx, m.admin, "waypost_mint_shed_total", `reason="`+reason+`"`); err != nil {
			return nil, err
		}
	}
	n[leftLate], err = scrape(ctx, m.admin, "waypost_mint_links_left_total", `reason="`+leftLate+`"`)
	return n, err
}

func (r *MintReport) writeTable(w io.Writer) error {
	s := r.Setup
	fmt.Fprintln(w, r.Origin())
	fmt.Fprintf(w, "mint on core %d with GOMAXPROCS=%d, generator on core %d; requests of %d links, signed, %d bytes\n",
		s.ServerCore, s.GOMAXPROCS, s.GeneratorCore, r.Links, r.Bytes)
	fmt.Fprintf(w, "%d connections at a time: kept, or a fresh one for each request; %d rounds in turns, %.3g s each after %.3g s of warm-up; medians, x: ratio within a round (min-max)\n",
		s.Connections, s.Rounds, s.Duration, s.Warmup)
	var closed, open []Summary
	for _, s := range r.Summary {
		if s.Offered == 0 {
			closed = append(closed, s)
		} else {
			open = append(open, s)
		}
	}
	for _, mode := range []struct {
		name string
		rows []Summary
	}{{"maximum, closed loop", closed}, {"open loop", open}} {
		if len(mode.rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", mode.name)
		if err := r.writeMode(w, mode.rows); err != nil {
			return err
		}
	}
	return r.writeOverload(w)
}

// writeOverload tells for each kind of connection how many were answered, how many refused, and when.
func (r *MintReport) writeOverload(w io.Writer) error {
	if len(r.Overload) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\noverload: 200 within %.0f ms, or 503\n", r.Within/1e3)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "contestant\toffered/s\t200/s\t503/s\tother\tno answer\t200 ms p50\tp99\tslowest\t503 ms p50\tp99\tslowest\tsent late ms p99\t")
	for _, t := range r.Overload {
		each := func(n uint64) float64 { return float64(n) / t.Seconds }
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.0f\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", t.Contestant, t.Offered, each(t.Answered-t.Turn.Shed-t.Wrong), each(t.Turn.Shed), t.Wrong, t.Broken,
			t.Latency["p50"]/1e3, t.Latency["p99"]/1e3, t.Latency["max"]/1e3, t.ShedLatency["p50"]/1e3, t.ShedLatency["p99"]/1e3, t.ShedLatency["max"]/1e3, t.Late/1e3)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, t := range r.Overload {
		fmt.Fprintf(w, "%s: refused %v; %.0f links left out of 200s\n", t.Contestant, t.Shed, t.Left)
		if t.Void != "" {
			fmt.Fprintf(w, "void: %s: %s\n", t.Contestant, t.Void)
		}
	}
	return nil
}

// errLate says that overload made mint late.
var errLate = errors.New("load: answers came too late")

// fault is a mode without any turn that counts, or an answer under overload that was later than it may be.
func (r *MintReport) fault() error {
	if err := r.Report.fault(); err != nil {
		return err
	}
	return r.overloadFault()
}

func (r *MintReport) overloadFault() error {
	for _, t := range r.Overload {
		if t.Void == "" && t.Latency["max"] > r.Within {
			return fmt.Errorf("%w: %s, the slowest 200 after %.0f ms", errLate, t.Contestant, t.Latency["max"]/1e3)
		}
	}
	return nil
}
