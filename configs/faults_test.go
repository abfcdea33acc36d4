package configs

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// faultCases are settings with mistakes, and what is told of each.
var faultCases = []struct {
	name    string
	edge    string
	tenants string
	prepare func(t *testing.T, dir string)
	want    string
}{
	{name: "all at once", edge: `listen: 8080
listn: 127.0.0.1:8080
journal:
  sync: 0s
  segment_bytes: lots
  snc: x
log: {level: loud}
`, tenants: `tenants:
  - {number: 0, name: A, hosts: []}
`, want: `
edge.yaml:1: listen = 8080: must be host:port, such as 127.0.0.1:8080, [::1]:8080 or :8080; port 0 takes a free one
edge.yaml:2: listn = 127.0.0.1:8080: no such key; did you mean listen?
edge.yaml:4: journal.sync = 0s: must be a duration from 1ms to 1h, such as 100ms, 30s, 2h or 7d, or never
edge.yaml:5: journal.segment_bytes = lots: must be a size from 64KiB to 1GiB, such as 64MiB, 2GiB or a number of bytes
edge.yaml:6: journal.snc = x: no such key; did you mean sync?
edge.yaml:7: log.level = loud: must be debug, info, warn or error
tenants.yaml:2: tenants[0].number = 0: must be a whole number from 1 to 4294967295
tenants.yaml:2: tenants[0].name = A: must be 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit
tenants.yaml:2: tenants[0].hosts = []: must name at least one host: the first is where links are minted`},
	{name: "wrong types", edge: `listen: [a]
cache_bytes: {a: 1}
trusted_proxies: 10.0.0.0/8
journal: yes
log:
`, tenants: `tenants:
  number: 1
`, want: `
edge.yaml:1: listen = (a list): must be host:port, such as 127.0.0.1:8080, [::1]:8080 or :8080; port 0 takes a free one
edge.yaml:2: cache_bytes = (a mapping): must be a size from 0B to 1TiB, such as 64MiB, 2GiB or a number of bytes; quote a value that holds a colon
edge.yaml:3: trusted_proxies = 10.0.0.0/8: must be a list of networks
edge.yaml:4: journal = yes: must be a mapping with the keys dir, segment_bytes, budget, keep_bytes, keep_age, sync, consumers
edge.yaml:5: log = (nothing): must be a mapping with the keys level, format
tenants.yaml:1: tenants = (a mapping): must be a list of tenants`},
	{name: "keys that depend on others", edge: `journal:
  segment_bytes: 100000
  budget: 131072
  consumers: [sink, sink]
`, want: `
edge.yaml:1: journal.keep_bytes = 2GiB: must be at most the budget: 128KiB
edge.yaml:2: journal.segment_bytes = 100000: must be a multiple of 4KiB
edge.yaml:3: journal.budget = 131072: must be at least two segments: 200000B
edge.yaml:4: journal.consumers[1] = sink: must not repeat journal.consumers[0]`},
	{name: "no consumer", edge: "journal:\n  consumers: []\n", want: `
edge.yaml:2: journal.consumers = []: must name at least one: the journal is read by nobody otherwise`},
	{name: "twice", edge: "admin: :1\nlisten: :2\nadmin: :3\n", want: `
edge.yaml:3: admin: is written twice, first on line 1`},
	{name: "proxies", edge: "trusted_proxies: [10.0.0.1/8, fe80::1%eth0, x, 10.0.0.0/8]\n", want: `
edge.yaml:1: trusted_proxies[0] = 10.0.0.1/8: must be an address or a network, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8, with no bits set behind the prefix
edge.yaml:1: trusted_proxies[1] = fe80::1%eth0: must be an address or a network, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8, with no bits set behind the prefix
edge.yaml:1: trusted_proxies[2] = x: must be an address or a network, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8, with no bits set behind the prefix`},
	{name: "PROXY protocol of nobody", edge: "proxy_protocol: true\ntrusted_proxies: []\n", want: `
edge.yaml:2: trusted_proxies = []: must name the proxies where proxy_protocol is true: nobody else is believed`},
	{name: "environment", edge: "listen: \"${ABSENT}\"\nadmin: \"${BAD}\"\nkeys: ${SET\n", want: `
edge.yaml:1: listen = ${ABSENT}: the environment must have ABSENT
edge.yaml:2: admin = ${BAD}: must be host:port, such as 127.0.0.1:8080, [::1]:8080 or :8080; port 0 takes a free one
edge.yaml:3: keys = ${SET: must close ${NAME}; write $${ for a literal ${`},
	{name: "not YAML", edge: "listen: :1\nadmin: \"x\nlog: ]\n", want: `
edge.yaml:2: must be YAML: could not find end character of double-quoted text`},
	{name: "two documents", edge: "listen: :1\n---\nadmin: :2\n", want: `
edge.yaml:3: must hold one YAML document`},
	{name: "not a mapping", edge: "- listen\n", want: `
edge.yaml:1: must be a mapping with the keys listen, admin, keys, tenants, blocks, machines, reload_on_change, trusted_proxies, proxy_protocol, max_connections, max_connections_per_address, cache_bytes, inbound_memory, drain_timeout, journal, aside, kafka, log`},
	{name: "anchors", edge: "log: &log {level: info}\nlisten: !!str x\n", want: `
edge.yaml:1: log = (an anchor, alias or tag, which are not understood here): must be a mapping with the keys level, format
edge.yaml:2: listen = (an anchor, alias or tag, which are not understood here): must be host:port, such as 127.0.0.1:8080, [::1]:8080 or :8080; port 0 takes a free one`},
	{name: "control characters", edge: "log: {level: \"in\\nfo\\e[31m\"}\n", want: `
edge.yaml:1: log.level = "in\nfo\x1b[31m": must be debug, info, warn or error`},
	{name: "key file open to others", edge: "log: {level: info}\nkeys: other.keys\n", prepare: func(t *testing.T, dir string) {
		write(t, dir, "other.keys", "", 0o600)
		if err := os.Chmod(dir+"/other.keys", 0o644); err != nil {
			t.Fatal(err)
		}
	}, want: `
edge.yaml:2: keys = other.keys: must be readable by its owner only, its mode is 0644: chmod 600 other.keys`},
	{name: "key file missing", edge: "keys: none\n", want: `
edge.yaml:1: keys = none: must be a file that can be read: no such file or directory`},
	{name: "key file by default missing", edge: "# nothing\n", prepare: remove("link.keys"), want: `
edge.yaml:1: keys = link.keys: must be a file that can be read: no such file or directory`},
	{name: "key file a directory", edge: "keys: .\n", want: `
edge.yaml:1: keys = .: must be a regular file`},
	{name: "tenants missing", edge: "\ntenants: none.yaml\n", want: `
edge.yaml:2: tenants = none.yaml: must be a file that can be read: no such file or directory`},
	{name: "tenants a directory", edge: "tenants: .\n", want: `
edge.yaml:1: tenants = .: must be a file that can be read: it is a directory`},
	{name: "shared between tenants", tenants: `tenants:
  - number: 1
    name: a
    hosts: [links.example.com, a.example]
    outreach: {orgs: [17]}
  - number: 1
    name: a
    hosts: [b.example, "http://LINKS.example.com:80", b.example]
    outreach: {orgs: ["17"]}
`, want: `
tenants.yaml:6: tenants[1].number = 1: must be of one tenant only, and tenants[0].number on line 2 has it
tenants.yaml:7: tenants[1].name = a: must be of one tenant only, and tenants[0].name on line 3 has it
tenants.yaml:8: tenants[1].hosts[1] = http://LINKS.example.com:80: must be of one tenant only, and tenants[0].hosts[0] on line 4 has it
tenants.yaml:8: tenants[1].hosts[2] = b.example: must be of one tenant only, and tenants[1].hosts[0] on line 8 has it
tenants.yaml:9: tenants[1].outreach.orgs[0] = 17: must be of one tenant only, and tenants[0].outreach.orgs[0] on line 5 has it`},
	{name: "providers", tenants: `tenants:
  - number: 1
    name: a
    hosts: [a.example]
    client_address: drop
    inbound:
      keep_raw: true
      tolerance: 2h
      resend: {secrets: [abc]}
      postmark:
        username: a
        path_secrets: [short]
      maileroo: {secrets: [""]}
      sendmail: {secrets: [x]}
`, want: `
tenants.yaml:7: tenants[0].inbound.keep_raw = true: must be false where client_address is not keep, or recipient_in_link is false: providers' documents hold what these leave out
tenants.yaml:8: tenants[0].inbound.tolerance = 2h: must be a duration from 1s to 1h, such as 100ms, 30s, 2h or 7d
tenants.yaml:9: tenants[0].inbound.resend.secrets[0] = ***: must be whsec_ and base64 of 24 to 64 bytes; file:PATH and ${NAME} are read
tenants.yaml:10: tenants[0].inbound.postmark.password: username and password must be set together
tenants.yaml:12: tenants[0].inbound.postmark.path_secrets[0] = ***: must be 16 to 200 of A-Z, a-z, 0-9, - and _; file:PATH and ${NAME} are read
tenants.yaml:13: tenants[0].inbound.maileroo.secrets[0] = "": must be 1 to 4096 bytes of text without control characters; file:PATH and ${NAME} are read
tenants.yaml:14: tenants[0].inbound.sendmail = (a mapping): no such key`},
	{name: "bounds of a tenant", tenants: `defaults:
  number: 3
  retention_days: 6
  outreach: {orgs: [1]}
tenants:
  - number: 4294967296
    name: -a
    hosts: [links.example.com/, "ftp://x", "a..b", "x:0", "http://u@h", ""]
    retention_days: 366
    link_budget: 99
    recipient_in_link: maybe
    unique: both
    client_address: hash
    stream: ""
    domain_id: -1
    user_id: 1.5
    endpoints: {}
`, want: `
tenants.yaml:2: defaults.number = ***: no such key
tenants.yaml:3: defaults.retention_days = 6: must be a whole number from 7 to 365
tenants.yaml:4: defaults.outreach.orgs = (a list): no such key
tenants.yaml:6: tenants[0].number = 4294967296: must be a whole number from 1 to 4294967295
tenants.yaml:7: tenants[0].name = -a: must be 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit
` + hostFault(0, "links.example.com/") + hostFault(1, "ftp://x") + hostFault(2, "a..b") + hostFault(3, "x:0") + hostFault(4, "http://u@h") + hostFault(5, `""`) + `
tenants.yaml:9: tenants[0].retention_days = 366: must be a whole number from 7 to 365
tenants.yaml:10: tenants[0].link_budget = 99: must be a whole number from 100 to 8000
tenants.yaml:11: tenants[0].recipient_in_link = maybe: must be true or false
tenants.yaml:12: tenants[0].unique = both: must be person or any
tenants.yaml:13: tenants[0].client_address = hash: must be keep, truncate or drop
tenants.yaml:14: tenants[0].stream = "": must be 1 to 100 bytes of text without control characters
tenants.yaml:15: tenants[0].domain_id = -1: must be a whole number from 0 to 9223372036854775807
tenants.yaml:16: tenants[0].user_id = 1.5: must be a whole number from 0 to 9223372036854775807
tenants.yaml:17: tenants[0].endpoints = (a mapping): must be a list of endpoints`},
	{name: "endpoints", tenants: `tenants:
  - number: 1
    name: a
    hosts: [a]
    endpoints:
      - {id: one, url: "https://user:hunter2@a.example/", format: standard, secret: whsec_c2hvcnQ=}
      - {id: one, url: "ftp://a.example/", format: xml, secret: plain-text}
      - {secert: hunter2, user: "a:b", password: hunter2}
      - {id: two, url: "http://a.example/", format: postmark, user: a}
      - {id: three, url: "http://a.example/", format: standard}
      - {id: four, url: "http://a.example/", format: postmark, secret: hunter2, standard_secrets: [hunter2]}
      - {id: five, url: "http://a.example/", format: maileroo}
      - {id: six, url: "http://a.example/", format: nexomailer, secret: "", user: a, password: b}
      - id: seven
        url: http://a.example/
        format: postmark
        user: a
        password: b
        headers:
          - {name: "a b", value: hunter2}
          - {name: x-token, value: hunter2}
          - {name: X-Token}
          - {name: content-type, value: hunter2}
          - {name: Authorization, value: hunter2}
          - {valu: hunter2}
`, want: `
tenants.yaml:6: tenants[0].endpoints[0].url = https://***@a.example/: ` + urlFault + `
tenants.yaml:6: tenants[0].endpoints[0].secret = ***: ` + signingFault + `
tenants.yaml:7: tenants[0].endpoints[1].url = ftp://a.example/: ` + urlFault + `
tenants.yaml:7: tenants[0].endpoints[1].format = xml: must be standard, postmark, maileroo or nexomailer
tenants.yaml:7: tenants[0].endpoints[1].id = one: must not repeat tenants[0].endpoints[0].id
tenants.yaml:8: tenants[0].endpoints[2].secert = ***: no such key; did you mean secret?
tenants.yaml:8: tenants[0].endpoints[2].user = a:b: must be 1 to 200 bytes of text without control characters and without :
tenants.yaml:8: tenants[0].endpoints[2].id: must be set
tenants.yaml:8: tenants[0].endpoints[2].url: must be set
tenants.yaml:8: tenants[0].endpoints[2].format: must be set
tenants.yaml:9: tenants[0].endpoints[3].password: user and password must be set together
tenants.yaml:10: tenants[0].endpoints[4].secret: must be set: the format standard is signed; whsec_ and base64 of 24 to 64 bytes
tenants.yaml:11: tenants[0].endpoints[5].standard_secrets[0] = ***: must be whsec_ and base64 of 24 to 64 bytes; file:PATH and ${NAME} are read
tenants.yaml:11: tenants[0].endpoints[5].secret = ***: must not be set: the format postmark signs nothing; standard_secrets adds Standard Webhooks' headers
tenants.yaml:12: tenants[0].endpoints[6].secret: must be set: the format maileroo is signed; 1 to 4096 bytes of text, as the receiver has it
tenants.yaml:13: tenants[0].endpoints[7].secret = "": ` + signingFault + `
tenants.yaml:20: tenants[0].endpoints[8].headers[0].name = a b: must be 1 to 100 of A-Z, a-z, 0-9, - and _, beginning with a letter or digit
tenants.yaml:22: tenants[0].endpoints[8].headers[2].value: must be set
tenants.yaml:22: tenants[0].endpoints[8].headers[2].name = X-Token: must not repeat tenants[0].endpoints[8].headers[1].name
tenants.yaml:23: tenants[0].endpoints[8].headers[3].name = content-type: must be another: this header is set by the format, the signature or the connection
tenants.yaml:24: tenants[0].endpoints[8].headers[4].name = Authorization: must be another: user and password make this header
tenants.yaml:25: tenants[0].endpoints[8].headers[5].valu = ***: no such key; did you mean value?
tenants.yaml:25: tenants[0].endpoints[8].headers[5].name: must be set
tenants.yaml:25: tenants[0].endpoints[8].headers[5].value: must be set`},
	{name: "secrets elsewhere", tenants: `tenants:
  - number: 1
    name: a
    hosts: [a]
    outreach:
      secrets: ["${ABSENT}", "file:none", "file:open", "file:empty", "", "${SET}", "x${ABSENT}"]
`, prepare: func(t *testing.T, dir string) {
		write(t, dir, "open", "hunter2", 0o600)
		write(t, dir, "empty", "\n", 0o600)
		if err := os.Chmod(dir+"/open", 0o640); err != nil {
			t.Fatal(err)
		}
	}, want: `
tenants.yaml:6: tenants[0].outreach.secrets[0] = ${ABSENT}: the environment must have ABSENT
tenants.yaml:6: tenants[0].outreach.secrets[1] = file:none: the file: must be a file that can be read: no such file or directory
tenants.yaml:6: tenants[0].outreach.secrets[2] = file:open: the file: must be readable by its owner only, its mode is 0640: chmod 600 open
tenants.yaml:6: tenants[0].outreach.secrets[3] = file:empty: must be 1 to 4096 bytes of text without control characters; file:PATH and ${NAME} are read
tenants.yaml:6: tenants[0].outreach.secrets[4] = "": must be 1 to 4096 bytes of text without control characters; file:PATH and ${NAME} are read
tenants.yaml:6: tenants[0].outreach.secrets[6] = ***: the environment must have ABSENT`},
	{name: "secrets in wrong places", tenants: `pasword: hunter2
tenants:
  - {number: 1, name: a, hosts: [a], outreach: hunter2, endpoints: hunter2}
  - {number: 2, name: b, hosts: [b], outreach: {secrets: hunter2, secret: hunter2}}
  - hunter2
`, want: `
tenants.yaml:1: pasword = ***: no such key
tenants.yaml:3: tenants[0].outreach = ***: must be a mapping with the keys secrets, orgs
tenants.yaml:3: tenants[0].endpoints = ***: must be a list of endpoints
tenants.yaml:4: tenants[1].outreach.secret = ***: no such key; did you mean secrets?
tenants.yaml:4: tenants[1].outreach.secrets = ***: must be a list of secrets
tenants.yaml:5: tenants[2] = ***: must be a mapping with the keys ` + strings.Join((&Tenant{}).group().keys(), ", ")},
	{name: "nexomailer", tenants: `defaults: {nexomailer: {enabled: true, prefix: api}}
tenants:
  - {number: 1, name: a, hosts: [a]}
  - number: 2
    name: b
    hosts: [b]
    nexomailer:
      prefix: /o/x
      hosts: ["*", "*.com", "*.[::1]", "https://example.com", "example.com:0", "example.com/", "a.*.example.com", "user@example.com", exämple.com, "example.com."]
      secrets: [hunter2]
      sent_until: 2024-12-31
  - {number: 3, name: c, hosts: [c], nexomailer: {enabled: false, prefix: /api/, sent_until: "2026-02-30"}}
`, want: `
tenants.yaml:1: defaults.nexomailer.prefix = api: ` + prefixFault + `
tenants.yaml:3: tenants[0].nexomailer.sent_until: must be set where enabled is true: the day of the last mail that NexoMailer sent, such as 2026-11-23
tenants.yaml:8: tenants[1].nexomailer.prefix = /o/x: ` + prefixFault + `
` + hostRuleFaults("*", "*.com", "*.[::1]", "https://example.com", "example.com:0", "example.com/", "a.*.example.com", "user@example.com", "exämple.com", "example.com.") + `
tenants.yaml:10: tenants[1].nexomailer.secrets[0] = ***: must be 16 to 4096 bytes of text without control characters; file:PATH and ${NAME} are read
tenants.yaml:11: tenants[1].nexomailer.sent_until = 2024-12-31: must be a day from 2025-01-01 to 2055-12-31, or ""
tenants.yaml:12: tenants[2].nexomailer.prefix = /api/: ` + prefixFault + `
tenants.yaml:12: tenants[2].nexomailer.sent_until = 2026-02-30: must be a day from 2025-01-01 to 2055-12-31, or ""`},
	{name: "a tenant without anything", tenants: "defaults: {any_host: true}\ntenants:\n  - {any_host: false}\n", want: `
tenants.yaml:3: tenants[0].number: must be set: a whole number that no other tenant has or had; links carry it
tenants.yaml:3: tenants[0].name: must be set: 1 to 63 of a-z, 0-9 and -
tenants.yaml:3: tenants[0].hosts: must name at least one host: the first is where links are minted`},
}

const signingFault = "must be whsec_ and base64 of 24 to 64 bytes for standard, 1 to 4096 bytes of text for maileroo and nexomailer; file:PATH and ${NAME} are read"

const urlFault = "must be an http or https URL with a host, at most 2048 bytes, without a fragment; a login goes into user and password"

const prefixFault = "must be / or a path such as /api, of at most 100 of A-Z, a-z, 0-9, ., _, ~, - and /, and not below /o or /in"

func hostRuleFaults(values ...string) string {
	lines := make([]string, len(values))
	for i, value := range values {
		lines[i] = fmt.Sprintf("tenants.yaml:9: tenants[1].nexomailer.hosts[%d] = %s: must be a host such as example.com, *.example.com for those below it, or either with a port such as example.com:8443, "+
			"which is then the only one; * stands before a name of two labels or more", i, value)
	}
	return strings.Join(lines, "\n")
}

func hostFault(i int, value string) string {
	line := "tenants.yaml:8: tenants[0].hosts[" + string(rune('0'+i)) + "] = " + value +
		": must be a host such as links.example.com (https is meant) or http://127.0.0.1:8080, without a path"
	if i > 0 {
		return "\n" + line
	}
	return line
}

func remove(name string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		if err := os.Remove(dir + "/" + name); err != nil {
			t.Fatal(err)
		}
	}
}
