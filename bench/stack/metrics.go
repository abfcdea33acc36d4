package stack

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Metrics are the samples of one scrape: the sample's name with its labels as printed, and its value.
type Metrics map[string]float64

// Metrics scrapes the program's admin listener.
func (p *Process) Metrics(ctx context.Context) (Metrics, error) {
	m, err := Scrape(ctx, p.Admin)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return m, nil
}

// Scrape reads the metrics of an admin listener: http://127.0.0.1:9080.
func Scrape(ctx context.Context, admin string) (Metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	request.Close = true
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("/metrics answered %s", response.Status)
	}
	return parseMetrics(bufio.NewScanner(response.Body))
}

func parseMetrics(lines *bufio.Scanner) (Metrics, error) {
	m := Metrics{}
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		space := strings.LastIndexByte(line, ' ')
		if space < 0 {
			return nil, fmt.Errorf("metrics: no value in %q", line)
		}
		value, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
		m[line[:space]] = value
	}
	return m, lines.Err()
}

// Sum adds up the samples of a name whose labels hold all the given pairs, each as printed: consumer="sink".
func (m Metrics) Sum(name string, pairs ...string) (sum float64, found bool) {
	for sample, value := range m {
		base, labels, _ := strings.Cut(sample, "{")
		if base == name && containsAll(labels, pairs) {
			sum += value
			found = true
		}
	}
	return sum, found
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
