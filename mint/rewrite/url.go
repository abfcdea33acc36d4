package rewrite

import "strings"

// hasScheme says whether url begins with http:// or https://, in any case, and goes on.
func hasScheme(url string) bool {
	for _, scheme := range [...]string{"https://", "http://"} {
		if len(url) > len(scheme) && equalFold(url[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// marks begin a placeholder of the common template languages. None of them can stand in a URL by RFC 3986.
var marks = [...]string{"{{", "{%", "${", "#{", "%%", "*|", "<%", "[["}

// hasPlaceholder says whether url has a part that somebody fills in later.
func hasPlaceholder(url string) bool {
	for _, mark := range marks {
		if strings.Contains(url, mark) {
			return true
		}
	}
	if _, host, ok := strings.Cut(url, "://["); ok && !addressInBrackets(host) { // http://[your-host]/
		return true
	}
	for rest := url; ; {
		_, after, found := strings.Cut(rest, "%")
		if !found {
			return false
		}
		if namedBetweenPercents(after) {
			return true
		}
		rest = after
	}
}

// addressInBrackets says whether rest begins with an IPv6 address and a closing bracket.
func addressInBrackets(rest string) bool {
	address, _, ok := strings.Cut(rest, "]")
	return ok && strings.Contains(address, ":") && strings.Trim(address, "0123456789abcdefABCDEF:.") == ""
}

// namedBetweenPercents says whether rest begins with the name and the end of %name%. A percent sign with two hex digits is an escape.
func namedBetweenPercents(rest string) bool {
	if len(rest) >= 2 && hexDigit(rest[0]) && hexDigit(rest[1]) {
		return false
	}
	end := strings.IndexByte(rest, '%')
	if end <= 0 || !letter(rest[0]) {
		return false
	}
	for i := range end {
		if c := rest[i]; !letter(c) && !digit(c) && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func digit(c byte) bool { return '0' <= c && c <= '9' }

func hexDigit(c byte) bool { return digit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
