package configs

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"waypost/configs/outbound"
)

func durationIn(to *time.Duration, least, most time.Duration) value {
	return scalar[time.Duration]{
		to: to,
		parse: func(s string) (time.Duration, bool) {
			d, ok := parseDuration(s)
			return d, ok && d >= least && d <= most
		},
		format: formatDuration,
		want:   fmt.Sprintf("must be a duration from %s to %s, such as 100ms, 30s, 2h or 7d", formatDuration(least), formatDuration(most)),
	}
}

// never is how a duration is written that has no end.
const never = "never"

// durationOrNever also takes the word never, for -1.
func durationOrNever(to *time.Duration, least, most time.Duration) value {
	return scalar[time.Duration]{
		to: to,
		parse: func(s string) (time.Duration, bool) {
			if s == never {
				return -1, true
			}
			d, ok := parseDuration(s)
			return d, ok && d >= least && d <= most
		},
		format: func(d time.Duration) string {
			if d < 0 {
				return never
			}
			return formatDuration(d)
		},
		want: fmt.Sprintf("must be a duration from %s to %s, such as 100ms, 30s, 2h or 7d, or %s", formatDuration(least), formatDuration(most), never),
	}
}

func bytesIn(to *int64, least, most int64) value {
	return scalar[int64]{
		to: to,
		parse: func(s string) (int64, bool) {
			n, ok := parseBytes(s)
			return n, ok && n >= least && n <= most
		},
		format: formatBytes,
		want:   fmt.Sprintf("must be a size from %s to %s, such as 64MiB, 2GiB or a number of bytes", formatBytes(least), formatBytes(most)),
	}
}

func numberIn[T int | int64 | uint32](to *T, least, most int64) value {
	return scalar[T]{
		to: to,
		parse: func(s string) (T, bool) {
			n, err := strconv.ParseInt(s, 10, 64)
			return T(n), err == nil && n >= least && n <= most
		},
		format: func(n T) string { return strconv.FormatInt(int64(n), 10) },
		want:   fmt.Sprintf("must be a whole number from %d to %d", least, most),
	}
}

func boolean(to *bool) value {
	return scalar[bool]{
		to:     to,
		parse:  func(s string) (bool, bool) { return s == "true", s == "true" || s == "false" },
		format: strconv.FormatBool,
		want:   "must be true or false",
	}
}

func oneOf(to *string, words ...string) value {
	last := len(words) - 1
	return text(to, "must be "+strings.Join(words[:last], ", ")+" or "+words[last],
		func(s string) bool { return slices.Contains(words, s) })
}

// text is a string that ok accepts.
func text(to *string, want string, ok func(string) bool) value {
	return scalar[string]{
		to:     to,
		parse:  func(s string) (string, bool) { return s, ok(s) },
		format: quote,
		want:   want,
	}
}

func path(to *string) value {
	return text(to, "must be a path", func(s string) bool { return s != "" && clean(s) })
}

// named is for what becomes part of paths, metrics and file names.
func named(to *string) value {
	return text(to, "must be 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit", isName)
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func isName(s string) bool { return namePattern.MatchString(s) }

// words is text that a person reads: no control characters, at most most bytes.
func words(to *string, least, most int) value {
	return text(to, fmt.Sprintf("must be %d to %d bytes of text without control characters", least, most),
		func(s string) bool { return len(s) >= least && len(s) <= most && clean(s) })
}

func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

const listenWant = "must be host:port, such as 127.0.0.1:8080, [::1]:8080 or :8080; port 0 takes a free one"

func listenAddress(to *string) value { return text(to, listenWant, isListenAddress) }

// listenAddressOrNone also takes an empty text, for not at all.
func listenAddressOrNone(to *string) value {
	return text(to, listenWant+"; empty: none", func(s string) bool { return s == "" || isListenAddress(s) })
}

func isListenAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port {
		return false
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host == "" || isHostName(host)
}

func prefix(to *netip.Prefix) value {
	return scalar[netip.Prefix]{
		to:     to,
		parse:  parsePrefix,
		format: func(p netip.Prefix) string { return quote(p.String()) },
		want:   "must be an address or a network, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8, with no bits set behind the prefix",
	}
}

func parsePrefix(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p, err == nil && p == p.Masked()
}

// allowed is where webhooks may go besides public addresses.
func allowed(to *outbound.Allowed) value {
	return scalar[outbound.Allowed]{
		to: to,
		parse: func(s string) (outbound.Allowed, bool) {
			if p, ok := parsePrefix(s); ok {
				return outbound.Allowed{Network: p}, !p.Addr().Is4In6() // IPv4 is written as IPv4: it is compared as that
			}
			host := strings.ToLower(strings.TrimSuffix(s, "."))
			return outbound.Allowed{Host: host}, isHostName(host) && outbound.CheckName(host) == nil
		},
		format: func(a outbound.Allowed) string { return quote(a.String()) },
		want:   "must be an address, a network or a host name, such as 10.0.0.0/8, 127.0.0.1, fd00::/8 or crm.internal, with no bits set behind the prefix",
	}
}

// origin is where a tenant's links begin. Stored with its scheme, lower case, without a default port.
func origin(to *string) value {
	return scalar[string]{
		to:     to,
		parse:  parseOrigin,
		format: quote,
		want:   "must be a host such as links.example.com (https is meant) or http://127.0.0.1:8080, without a path",
	}
}

func parseOrigin(s string) (string, bool) {
	s = strings.ToLower(s)
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	scheme, host, _ := strings.Cut(s, "://")
	if scheme != "http" && scheme != "https" {
		return "", false
	}
	name, port := host, ""
	if at := strings.LastIndexByte(host, ':'); at >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:at], host[at+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", false
		}
	}
	if !isHost(name) {
		return "", false
	}
	if port == "" || port == defaultPort(scheme) {
		return scheme + "://" + name, true
	}
	return scheme + "://" + name + ":" + port, true
}

func defaultPort(scheme string) string {
	if scheme == "http" {
		return "80"
	}
	return "443"
}

// isHost accepts a host name, an IPv4 address, or an IPv6 address in brackets.
func isHost(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		return ok && err == nil && a.Is6() && a.Zone() == ""
	}
	return isHostName(s)
}

var labelPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !labelPattern.MatchString(label) {
			return false
		}
	}
	return true
}

// webhookURL is where an endpoint listens.
func webhookURL(to *string) value {
	return scalar[string]{
		to:     to,
		parse:  func(s string) (string, bool) { return s, isWebhookURL(s) },
		format: quote,
		want:   webhookURLWant,
		show:   hideLogin,
	}
}

const webhookURLWant = "must be an http or https URL with a host, at most 2048 bytes, without a fragment; a login goes into user and password"

func isWebhookURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && clean(s) && len(s) <= 2048 && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.Fragment == ""
}

// hideLogin masks what stands before an @ in a URL.
func hideLogin(s string) string {
	head, rest, ok := strings.Cut(s, "://")
	if !ok {
		head, rest = "", s
	} else {
		head += "://"
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		return head + mask + rest[at:]
	}
	return s
}

// secretIn is a secret written as it is, as ${NAME}, or as file:PATH.
func secretIn(to *Secret, want string, ok func(Secret) bool) value {
	return secretValue{scalar[Secret]{
		to:     to,
		format: func(s Secret) string { return quote(hidden(s)) },
		want:   want + "; file:PATH and ${NAME} are read",
		show:   showSecret,
	}, ok}
}

func hidden(s Secret) string {
	if s == "" {
		return ""
	}
	return mask
}

// showSecret leaves visible where a secret is kept, not what it is.
func showSecret(s string) string {
	inner := strings.TrimPrefix(s, "file:")
	reference := strings.HasPrefix(inner, "${") && strings.IndexByte(inner, '}') == len(inner)-1
	if s == "" || reference || inner != s {
		return s
	}
	return mask
}

type secretValue struct {
	scalar[Secret]
	ok func(Secret) bool
}

func (s secretValue) read(r *reader, key string, n ast.Node) {
	problem := ""
	s.parse = func(text string) (Secret, bool) {
		v := Secret(text)
		if name, isFile := strings.CutPrefix(text, "file:"); isFile {
			v, problem = readSecret(r.resolve(name))
		}
		return v, problem == "" && s.ok(v)
	}
	before := len(r.faults)
	s.scalar.read(r, key, n)
	if problem != "" && len(r.faults) > before {
		r.faults[len(r.faults)-1].Want = problem
	}
}

// readSecret reads a secret's file; white space at the end is no part of it.
func readSecret(path string) (Secret, string) {
	if problem := checkPrivate(path); problem != "" {
		return "", "the file: " + problem
	}
	text, err := readFile(path, maxSecret)
	if err != nil {
		return "", "the file: must be one that can be read: " + reason(err)
	}
	return Secret(strings.TrimRight(string(text), " \t\r\n")), ""
}

func isSecretText(s Secret) bool { return s != "" && len(s) <= 4096 && clean(string(s)) }

func isStandardSecret(s Secret) bool {
	_, err := s.StandardKey()
	return err == nil
}

var plainPattern = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*$`)

// quote writes a string so that YAML reads it back as this string.
func quote(s string) string {
	s = strings.ReplaceAll(s, "${", "$${") // else it would be taken from the environment
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
	default:
		if plainPattern.MatchString(s) {
			return s
		}
	}
	return strconv.Quote(s)
}
