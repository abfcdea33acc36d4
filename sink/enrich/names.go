package enrich

import (
	"strconv"
	"strings"

	"github.com/ua-parser/uap-go/uaparser"
)

// newAgent puts what the rules found into Postmark's words. text is the whole user agent.
func newAgent(text string, client *uaparser.UserAgent, system *uaparser.Os) *agent {
	a := &agent{}
	if client.Family != "" && client.Family != "Other" {
		family := client.Family
		if known, ok := otherNames[family]; ok {
			family = known
		}
		a.client = Program{strings.TrimSpace(family + " " + wholeVersion(text, client.ToVersionString())), clientCompanies[family], family}
		a.browser = browsers[family]
	}
	if system.Family != "" && system.Family != "Other" {
		a.os = systemOf(system)
	}
	a.platform = platformOf(a.client.Family, system.Family)
	return a
}

// wholeVersion is a version with the fourth number that the rules drop: Chrome/35.0.1916.153.
func wholeVersion(text, version string) string {
	if version == "" {
		return ""
	}
	_, rest, ok := strings.Cut(text, "/"+version+".")
	if !ok {
		return version
	}
	n := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	if n == 0 || n > 9 {
		return version
	}
	return version + "." + rest[:n]
}

// otherNames are clients by another name than that of uap-core.
var otherNames = map[string]string{
	"GmailImageProxy": "Gmail",
	"YahooMailProxy":  "Yahoo! Mail",
	"Outlook-iOS":     "Outlook Mobile",
}

// clientCompanies are who makes a client. uap-core does not tell. Apple is called as Postmark's documents call it.
var clientCompanies = map[string]string{
	"Chrome": google, "Chrome Frame": google, "Chrome Mobile": google, "Chrome Mobile iOS": google, "Chrome Mobile WebView": google, "Chromium": google, "HeadlessChrome": google,
	"Gmail": google, "Google": google, "Android": google, "Googlebot": google, "GooglePlusBot": google,
	"Safari": apple, "Mobile Safari": apple, "Mobile Safari UI/WKWebView": apple, "Apple Mail": apple, "WebKit Nightly": apple, "CFNetwork": apple,
	"Edge": microsoft, "Edge Mobile": microsoft, "IE": microsoft, "IE Mobile": microsoft, "IE Large Screen": microsoft, "Outlook": microsoft, "Outlook Mobile": microsoft,
	"Windows Live Mail": microsoft, "Skype": microsoft, "bingbot": microsoft, "BingPreview": microsoft,
	"Firefox": mozilla, "Firefox Mobile": mozilla, "Firefox iOS": mozilla, "Firefox Alpha": mozilla, "Firefox Beta": mozilla, "Thunderbird": "MZLA Technologies",
	"Opera": opera, "Opera Mini": opera, "Opera Mobile": opera, "Opera Coast": opera, "Opera Neon": opera,
	"Facebook": "Meta", "Facebook Messenger": "Meta", "FacebookBot": "Meta", "Instagram": "Meta", "WhatsApp": "Meta", "Oculus Browser": "Meta",
	"Yahoo! Mail": "Yahoo", "Samsung Internet": "Samsung", "Amazon Silk": "Amazon", "DuckDuckGo": "DuckDuckGo", "DuckDuckGo Mobile": "DuckDuckGo", "Vivaldi": "Vivaldi", "Brave": "Brave",
	"Yandex Browser": "Yandex", "YandexSearch": "Yandex", "UC Browser": "UCWeb", "QQ Browser": "Tencent", "QQ Browser Mobile": "Tencent", "MiuiBrowser": "Xiaomi", "Mint Browser": "Xiaomi",
	"Huawei Browser": "Huawei", "Whale": "Naver", "LinkedIn": "LinkedIn", "Twitter": "X", "Slack Desktop Client": "Slack", "Lotus Notes": "HCL", "Superhuman": "Superhuman", "Snapchat": "Snap",
}

const (
	apple     = "Apple Computer, Inc."
	google    = "Google"
	microsoft = "Microsoft"
	mozilla   = "Mozilla"
	opera     = "Opera"
)

// browsers show web pages on a desktop.
var browsers = set("Chrome", "Chromium", "Safari", "Edge", "IE", "Firefox", "Opera", "Vivaldi", "Brave", "Yandex Browser", "DuckDuckGo", "Whale", "Coc Coc", "QQ Browser", "Sogou Explorer",
	"Pale Moon", "Konqueror", "Maxthon", "Iron", "Comodo Dragon", "Avast Secure Browser", "Huawei Browser", "Mail.ru Chromium Browser")

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, name := range names {
		m[name] = true
	}
	return m
}

// systemOf names an operating system.
func systemOf(s *uaparser.Os) Program {
	switch s.Family {
	case "Mac OS X":
		return macOf(s)
	case "Windows":
		version := s.Major
		if s.Minor != "" {
			version += "." + s.Minor
		}
		return Program{strings.TrimSpace("Windows " + version), microsoft, "Windows"}
	}
	return Program{strings.TrimSpace(s.Family + " " + s.ToVersionString()), systemCompanies[s.Family], s.Family}
}

var systemCompanies = map[string]string{
	"iOS": apple, "Mac OS": apple, "ATV OS X": apple, "watchOS": apple, "tvOS": apple,
	"Android": google, "Chrome OS": google, "Chromecast": google, "Chromecast Android": google, "Chromecast Fuchsia": google, "Chromecast Linux": google, "Chromecast SmartSpeaker": google,
	"Windows Phone": microsoft, "Windows Mobile": microsoft, "Firefox OS": mozilla, "Ubuntu": "Canonical", "Fedora": "Red Hat", "Red Hat": "Red Hat", "Tizen": "Samsung", "Samsung": "Samsung",
	"BlackBerry OS": "BlackBerry", "BlackBerry Tablet OS": "BlackBerry", "KaiOS": "KaiOS", "webOS": "LG", "Solaris": "Oracle", "FireHbbTV": "Amazon",
}

// macOf names Apple's system by what it was called when the version came out: OS X, with its major number in the family as Postmark has it, and
// macOS from 10.12 on. Browsers of later versions call themselves 10.15 too.
func macOf(s *uaparser.Os) Program {
	if s.Major == "" {
		return Program{"OS X", apple, "OS X"}
	}
	version, family := s.Major, "macOS"
	if s.Major == "10" && s.Minor != "" {
		version += "." + s.Minor
	}
	name := family + " " + version
	if minor, err := strconv.Atoi(s.Minor); s.Major == "10" && (err != nil || minor < 12) {
		family, name = "OS X 10", "OS X "+version
	}
	if title := macNames[version]; title != "" {
		name += " " + title
	}
	return Program{name, apple, family}
}

var macNames = map[string]string{
	"10.0": "Cheetah", "10.1": "Puma", "10.2": "Jaguar", "10.3": "Panther", "10.4": "Tiger", "10.5": "Leopard", "10.6": "Snow Leopard", "10.7": "Lion", "10.8": "Mountain Lion", "10.9": "Mavericks",
	"10.10": "Yosemite", "10.11": "El Capitan", "10.12": "Sierra", "10.13": "High Sierra", "10.14": "Mojave", "10.15": "Catalina",
	"11": "Big Sur", "12": "Monterey", "13": "Ventura", "14": "Sonoma", "15": "Sequoia", "26": "Tahoe",
}

// platformOf is what it runs on, by the names of client and system.
func platformOf(client, system string) string {
	if client == "Gmail" || client == "Yahoo! Mail" {
		return WebMail
	}
	if platform := systemPlatforms[system]; platform != "" {
		return platform
	}
	return clientPlatforms[client]
}

var systemPlatforms = map[string]string{
	"Windows": Desktop, "Mac OS X": Desktop, "Mac OS": Desktop, "Linux": Desktop, "Ubuntu": Desktop, "Kubuntu": Desktop, "Debian": Desktop, "Fedora": Desktop, "Red Hat": Desktop, "Arch Linux": Desktop,
	"Gentoo": Desktop, "SUSE": Desktop, "Mint": Desktop, "Linux Mint": Desktop, "CentOS": Desktop, "Mageia": Desktop, "Mandriva": Desktop, "Slackware": Desktop, "PCLinuxOS": Desktop, "Chrome OS": Desktop,
	"FreeBSD": Desktop, "OpenBSD": Desktop, "NetBSD": Desktop, "Solaris": Desktop,
	"iOS": Mobile, "Android": Mobile, "Windows Phone": Mobile, "Windows Mobile": Mobile, "BlackBerry OS": Mobile, "BlackBerry Tablet OS": Mobile, "KaiOS": Mobile, "Firefox OS": Mobile, "Symbian OS": Mobile,
	"Symbian^3": Mobile, "Symbian^3 Anna": Mobile, "Symbian^3 Belle": Mobile, "Nokia Series 30 Plus": Mobile, "Nokia Series 40": Mobile, "Bada": Mobile, "MeeGo": Mobile, "Maemo": Mobile, "Tizen": Mobile, "watchOS": Mobile,
}

// clientPlatforms are for clients that do not name their system.
var clientPlatforms = map[string]string{
	"Outlook": Desktop, "Thunderbird": Desktop, "Apple Mail": Desktop, "Windows Live Mail": Desktop, "Lotus Notes": Desktop, "Postbox": Desktop, "Airmail": Desktop, "Superhuman": Desktop,
	"Outlook Mobile": Mobile, "Opera Mini": Mobile, "Opera Mobile": Mobile, "Mobile Safari": Mobile, "Chrome Mobile": Mobile, "Firefox Mobile": Mobile,
}
