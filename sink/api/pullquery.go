package api

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"waypost/configs"
	"waypost/mint/link"
)

// pull is what a search asks for.
type pull struct {
	tenant         *configs.Tenant
	count, offset  int
	recipient, tag string
	hash           []byte // of recipient
	stream         string
	facts          [][2]string // parameter and value
	from, to       uint64      // microseconds since 1970: at from or later, and before to; to 0: no end
}

// The parameters of a search, in lower case: clients disagree about it.
var (
	pageParameters   = []string{"count", "offset"}
	searchParameters = []string{
		"count", "offset", "recipient", "tag", "client_name", "client_company", "client_family", "os_name", "os_company", "os_family", "platform",
		"country", "region", "city", "messagestream", "fromdate", "todate",
	}
)

// readPull reads the parameters, and tells all of their faults at once. A parameter without a value asks for nothing.
func readPull(query string, one bool) (*pull, error) {
	known := searchParameters
	if one {
		known = pageParameters
	}
	all, err := url.ParseQuery(query)
	if err != nil {
		return nil, unprocessable(codeQuery, "the query of the URL is not readable")
	}
	p := &pull{}
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	given := map[string]string{}
	for written, values := range all {
		name := strings.ToLower(written)
		switch _, twice := given[name]; {
		case !slices.Contains(known, name):
			fault("%.100s: no such parameter; there are %s", written, strings.Join(known, ", "))
		case twice || len(values) > 1:
			fault("%s: must be there once", name)
		}
		given[name] = values[0]
	}
	number := func(name string, from, to int) int {
		n, err := strconv.Atoi(given[name])
		if err != nil || n < from || n > to {
			fault("%s = %.100q: must be a whole number from %d to %d", name, given[name], from, to)
		}
		return n
	}
	p.count, p.offset = number("count", 1, mostPulled), number("offset", 0, mostFound)
	if p.count+p.offset > mostFound && len(faults) == 0 {
		fault("count + offset = %d: must be at most %d; narrow the search by fromdate and todate", p.count+p.offset, mostFound)
	}
	p.recipient, p.tag, p.stream = given["recipient"], given["tag"], given["messagestream"]
	for _, name := range searchParameters {
		if value := given[name]; value != "" && isFact(name) {
			p.facts = append(p.facts, [2]string{name, value})
		}
	}
	moment := func(name string, whole bool) uint64 {
		at, ok := readMoment(given[name], whole)
		if !ok {
			fault("%s = %.100q: must be a day or a time in UTC, such as 2026-11-28, 2026-11-28T05:21:29 or 2026-11-28T05:21:29.969230Z", name, given[name])
		}
		return at
	}
	p.from, p.to = moment("fromdate", false), moment("todate", true)
	if len(faults) > 0 {
		slices.Sort(faults)
		return nil, unprocessable(codeQuery, strings.Join(faults, "; "))
	}
	return p, nil
}

// forTenant says whose events they are.
func (p *pull) forTenant(tenant *configs.Tenant) {
	p.tenant = tenant
	if p.recipient != "" {
		p.hash = link.HashRecipient(tenant.Number, []byte(p.recipient))
	}
}

// isFact says whether a parameter asks for what is known of client, system and place.
func isFact(name string) bool {
	switch name {
	case "platform", "country", "region", "city":
		return true
	}
	return strings.HasPrefix(name, "client_") || strings.HasPrefix(name, "os_")
}

// readMoment reads a day or a time as microseconds since 1970; 0 where there is none. whole is for ends, which are included: the first moment behind the day, the second
// or the fraction of one that is named.
func readMoment(text string, whole bool) (uint64, bool) {
	if text == "" {
		return 0, true
	}
	for layout, length := range map[string]time.Duration{"2006-01-02": 24 * time.Hour, "2006-01-02T15:04:05": time.Second, time.RFC3339: time.Second} {
		at, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if strings.Contains(text, ".") {
			length = time.Microsecond
		}
		if whole {
			at = at.Add(length)
		}
		return uint64(at.UnixMicro()), at.UnixMicro() > 0
	}
	return 0, false
}
