package length

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"waypost/bench/result"
)

// Report is a whole run, as --json writes it. All lengths are in characters.
type Report struct {
	result.Head
	List    string    `json:"list_sha256"` // of the file's bytes
	Host    string    `json:"host"`        // of the links
	Budget  int       `json:"budget"`      // a longer link counts in Over
	URLs    int       `json:"urls"`
	LeftOut []Refusal `json:"left_out,omitempty"`
	Plain   Lengths   `json:"plain"` // the list's URLs as they are
	Rows    []Row     `json:"rows"`
}

// Refusal is how many lines were left out, and why.
type Refusal struct {
	Reason string `json:"reason"`
	URLs   int    `json:"urls"`
}

// Row is one way to make links with one sort of contents.
type Row struct {
	Contents Contents `json:"contents"`
	Scheme   string   `json:"scheme"`
	Token    float64  `json:"token_mean"`
	ToURL    float64  `json:"token_to_url"` // mean token by mean URL
	Link     Lengths  `json:"link"`         // https://HOST/TOKEN
}

// Lengths sums up a list of lengths. P50 and P90 are lengths that occur: half, and nine of ten, are no longer.
type Lengths struct {
	Mean float64 `json:"mean"`
	P50  int     `json:"p50"`
	P90  int     `json:"p90"`
	Max  int     `json:"max"`
	Over float64 `json:"over_budget"` // share, 0 to 1
}

// sumUp sorts lengths.
func sumUp(lengths []int, budget int) Lengths {
	n := len(lengths)
	if n == 0 {
		return Lengths{}
	}
	slices.Sort(lengths)
	all := 0
	for _, l := range lengths {
		all += l
	}
	within, _ := slices.BinarySearch(lengths, budget+1)
	rank := func(percent int) int { return lengths[(n*percent+99)/100-1] }
	return Lengths{
		Mean: float64(all) / float64(n), P50: rank(50), P90: rank(90), Max: lengths[n-1],
		Over: float64(n-within) / float64(n),
	}
}

// writeTable prints the report for people.
func (r *Report) writeTable(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d URLs, links https://%s/TOKEN, lengths in characters\n", r.URLs, r.Host)
	for _, refusal := range r.LeftOut {
		fmt.Fprintf(&b, "left out: %d URLs: %s\n", refusal.URLs, refusal.Reason)
	}
	row := func(name, token, toURL string, l Lengths) {
		fmt.Fprintf(&b, "%-15s %7s %7s %7.1f %6d %6d %6d %9.2f %%\n", name, token, toURL, l.Mean, l.P50, l.P90, l.Max, 100*l.Over)
	}
	fmt.Fprintf(&b, "\n%-15s %7s %7s %7s %6s %6s %6s %11s\n", "", "token", "to URL", "link", "p50", "p90", "max", fmt.Sprint("over ", r.Budget))
	row("the URL itself", "", "", r.Plain)
	last := ""
	for _, o := range r.Rows {
		if contents := o.Contents.String(); contents != last {
			fmt.Fprintf(&b, "%s\n", contents)
			last = contents
		}
		row("  "+o.Scheme, fmt.Sprintf("%.1f", o.Token), fmt.Sprintf("%.2f", o.ToURL), o.Link)
	}
	_, err := w.Write(b.Bytes())
	return err
}
