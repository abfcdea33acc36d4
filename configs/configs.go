// Package configs loads what an operator sets: edge.yaml, mint.yaml, sink.yaml, tenants.yaml.
package configs

import (
	"net/netip"
	"path/filepath"
	"time"

	"waypost/configs/outbound"
)

// Edge is edge.yaml.
type Edge struct {
	Listen         string         `yaml:"listen"`   // host:port of the redirects
	Admin          string         `yaml:"admin"`    // host:port of metrics, health, pprof
	Keys           string         `yaml:"keys"`     // the key file that mint also uses
	Tenants        string         `yaml:"tenants"`  // tenants.yaml
	Blocks         string         `yaml:"blocks"`   // the file of links that are not followed any more
	Machines       string         `yaml:"machines"` // the file of rules about scanners and proxies; empty: the list that comes with the program
	ReloadOnChange bool           `yaml:"reload_on_change"`
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`             // whose X-Forwarded-For and Forwarded are believed
	ProxyProtocol  bool           `yaml:"proxy_protocol"`              // whether trusted proxies speak it
	MaxConnections int            `yaml:"max_connections"`             // in all; 0: as many as open files leave
	MaxPerAddress  int            `yaml:"max_connections_per_address"` // 0: any number
	CacheBytes     int64          `yaml:"cache_bytes"`                 // opened links kept in memory; 0: none
	InboundMemory  int64          `yaml:"inbound_memory"`              // bytes of providers' deliveries under way
	DrainTimeout   time.Duration  `yaml:"drain_timeout"`
	Journal        Journal        `yaml:"journal"`
	Aside          Aside          `yaml:"aside"` // deliveries of providers that cannot be mapped
	Kafka          Kafka          `yaml:"kafka"`
	Log            Log            `yaml:"log"`
}

// Journal is the journal's part of edge.yaml.
type Journal struct {
	Dir          string        `yaml:"dir"`
	SegmentBytes int64         `yaml:"segment_bytes"`
	Budget       int64         `yaml:"budget"`
	KeepBytes    int64         `yaml:"keep_bytes"`
	KeepAge      time.Duration `yaml:"keep_age"`
	Sync         time.Duration `yaml:"sync"` // negative: never
	Consumers    []string      `yaml:"consumers"`
}

// Aside is where the edge keeps deliveries of providers that cannot be mapped, until somebody has mended the mapping.
type Aside struct {
	Dir   string `yaml:"dir"`   // empty: aside in the journal's directory
	Bytes int64  `yaml:"bytes"` // the most that is kept
}

// AsideDir is the directory of Aside.
func (e *Edge) AsideDir() string {
	if e.Aside.Dir == "" {
		return filepath.Join(e.Journal.Dir, "aside")
	}
	return e.Aside.Dir
}

// Log is every program's logging.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// Mint is mint.yaml.
type Mint struct {
	Listen         string        `yaml:"listen"`
	Admin          string        `yaml:"admin"`
	Keys           string        `yaml:"keys"`
	Tenants        string        `yaml:"tenants"`
	ReloadOnChange bool          `yaml:"reload_on_change"`
	AnswerWithin   time.Duration `yaml:"answer_within"` // from the first byte of a request; 1.5 s
	MaxBody        int64         `yaml:"max_body"`      // 1 MiB, after decompression too
	BodyMemory     int64         `yaml:"body_memory"`   // of all requests over 64 KiB together
	DrainTimeout   time.Duration `yaml:"drain_timeout"`
	Log            Log           `yaml:"log"`
}

// Sink is sink.yaml.
type Sink struct {
	Admin          string        `yaml:"admin"`
	Tenants        string        `yaml:"tenants"`
	Journals       []string      `yaml:"journals"` // directories of this machine's edges; none with Kafka
	Consumer       string        `yaml:"consumer"` // the name under which positions are published
	Kafka          Kafka         `yaml:"kafka"`    // instead of journals
	Group          string        `yaml:"group"`    // of the sinks that share the partitions of a Kafka
	Store          string        `yaml:"store"`    // directory of the Pebble store
	BatchRecords   int           `yaml:"batch_records"`
	PrintDecisions bool          `yaml:"print_decisions"` // `click|open|delivered... ID first|repeat` on stdout, for the demo
	DrainTimeout   time.Duration `yaml:"drain_timeout"`
	Dispatch       Dispatch      `yaml:"dispatch"`
	Uniques        Uniques       `yaml:"uniques"`
	Geo            Geo           `yaml:"geo"`
	API            API           `yaml:"api"`
	Live           Live          `yaml:"live"`
	Log            Log           `yaml:"log"`
}

// Uniques are the events that were told, kept whole for those who pull them or have them sent again.
type Uniques struct {
	Keep      time.Duration `yaml:"keep"`       // how long; 0: none is
	KeepBytes int64         `yaml:"keep_bytes"` // and how much of them; 0: none is
}

// Geo is where the sink looks up where people are.
type Geo struct {
	Database string `yaml:"database"` // a file in MaxMind's format; empty: none
}

// API is where the sink lets tenants see and change their webhooks.
type API struct {
	Listen string `yaml:"listen"` // host:port; empty: nowhere
}

// Live is the stream of events.
type Live struct {
	Readers       int           `yaml:"readers"`        // at once; 0: nobody
	TenantReaders int           `yaml:"tenant_readers"` // of them, of one tenant, through the API
	SlowAfter     time.Duration `yaml:"slow_after"`     // how long a reader may take for 64 KiB; after it, it is cut
}

// Dispatch is how webhooks are sent.
type Dispatch struct {
	Timeout        time.Duration `yaml:"timeout"`         // of one attempt
	ConnectTimeout time.Duration `yaml:"connect_timeout"` // of its phases, within it
	TLSTimeout     time.Duration `yaml:"tls_timeout"`
	HeadersTimeout time.Duration `yaml:"headers_timeout"`
	BodyTimeout    time.Duration `yaml:"body_timeout"`

	Concurrency int             `yaml:"concurrency"` // attempts under way per endpoint
	Rate        int             `yaml:"rate"`        // attempts that begin in a second per endpoint; 0: no limit
	Window      int             `yaml:"window"`      // deliveries in memory per endpoint
	Retries     []time.Duration `yaml:"retries"`     // waits between attempts; empty: the format's own schedule
	MarkEvery   time.Duration   `yaml:"mark_every"`  // how long a finished delivery may be unmarked on disk; 50 ms

	AttemptsDays  int   `yaml:"attempts_days"`  // how long finished attempts are kept in the store; 0: none is
	AttemptsBytes int64 `yaml:"attempts_bytes"` // and how much of them; 0: none is

	BreakerFailures int           `yaml:"breaker_failures"` // in a row, after which an endpoint gets only probes; 0: never
	BreakerLongest  time.Duration `yaml:"breaker_longest"`  // between two probes

	DisableAfter time.Duration `yaml:"disable_after"` // for how long all attempts at an endpoint fail before it gets none; negative: never
	Operator     Operator      `yaml:"operator"`      // who is told of it

	Allow        []outbound.Allowed `yaml:"allow"`         // where webhooks may go besides public addresses
	Ports        []int              `yaml:"ports"`         // of receivers that allow does not name
	RequireHTTPS bool               `yaml:"require_https"` // of receivers that allow does not name
}

// Operator is a receiver of webhooks about endpoints, in the format standard.
type Operator struct {
	URL     string   `yaml:"url"`     // empty: nobody is told
	Secrets []Secret `yaml:"secrets"` // whsec_...: a signature for each
}

// Outbound is where webhooks may go.
func (d *Dispatch) Outbound() *outbound.Rules {
	return &outbound.Rules{Allow: d.Allow, Ports: d.Ports, RequireTLS: d.RequireHTTPS}
}

// Tenant is one entry of tenants.yaml.
type Tenant struct {
	Number          uint32     `yaml:"number"`
	Name            string     `yaml:"name"`
	Hosts           []string   `yaml:"hosts"` // origins; the first mints, all open: links.example.com or http://127.0.0.1:8080
	AnyHost         bool       `yaml:"any_host"`
	APIKeys         []Secret   `yaml:"api_keys"` // of /v1/messages and /v1/links
	Outreach        Outreach   `yaml:"outreach"`
	NexoMailer      NexoMailer `yaml:"nexomailer"`
	Filter          string     `yaml:"filter"` // a PCRE expression; only links that match it are replaced; empty: all are
	RetentionDays   int        `yaml:"retention_days"`
	LinkBudget      int        `yaml:"link_budget"`
	RecipientInLink bool       `yaml:"recipient_in_link"`
	Unique          string     `yaml:"unique"`         // person, any
	Track           string     `yaml:"track"`          // full; off: what people do is not recorded
	HonourGPC       bool       `yaml:"honour_gpc"`     // requests with Sec-GPC: 1 are not recorded
	ClientAddress   string     `yaml:"client_address"` // keep, truncate, drop
	BlockedText     string     `yaml:"blocked_text"`   // what people read in place of a blocked link
	Stream          string     `yaml:"stream"`
	DomainID        int64      `yaml:"domain_id"`
	UserID          int64      `yaml:"user_id"`
	Inbound         Inbound    `yaml:"inbound"`    // providers' webhooks that the edge takes
	APITokens       []Secret   `yaml:"api_tokens"` // of the sink's API; which of them is in a request says whose webhooks it is about
	Endpoints       []Endpoint `yaml:"endpoints"`
}

// Outreach is a tenant's part of Outreach.
type Outreach struct {
	Secrets []Secret `yaml:"secrets"`
	Orgs    []string `yaml:"orgs"`
}

// Endpoint is where webhooks go.
type Endpoint struct {
	ID              string   `yaml:"id"`
	URL             string   `yaml:"url"`
	Format          string   `yaml:"format"`           // standard, postmark, maileroo, nexomailer
	Secret          Secret   `yaml:"secret"`           // what the format signs with; postmark signs nothing
	StandardSecrets []Secret `yaml:"standard_secrets"` // whsec_...: Standard Webhooks' headers beside any format, with a signature for each
	User            string   `yaml:"user"`             // Basic auth
	Password        Secret   `yaml:"password"`
	Headers         []Header `yaml:"headers"`     // beside the format's own
	Concurrency     int      `yaml:"concurrency"` // attempts under way; 0: dispatch's
	Rate            int      `yaml:"rate"`        // attempts that begin in a second; 0: dispatch's

	DisableAfter time.Duration `yaml:"disable_after"` // 0: dispatch's; negative: never
}

// Header is a header of an endpoint's requests.
type Header struct {
	Name  string `yaml:"name"`
	Value Secret `yaml:"value"` // it may be a token
}
