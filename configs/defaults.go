package configs

import "time"

// DefaultEdge is what the shipped edge.yaml says. DefaultMint, DefaultSink and DefaultTenant likewise.
func DefaultEdge() Edge {
	return Edge{
		Listen:         "127.0.0.1:8080",
		Admin:          "127.0.0.1:9080",
		Keys:           "link.keys",
		Tenants:        "tenants.yaml",
		Blocks:         "blocks",
		Machines:       "",
		ReloadOnChange: false,
		TrustedProxies: nil,
		ProxyProtocol:  false,
		MaxConnections: 0,
		MaxPerAddress:  0,
		CacheBytes:     64 * mib,
		InboundMemory:  64 * mib,
		DrainTimeout:   10 * time.Second,
		Journal: Journal{
			Dir:          "/var/lib/waypost/edge/journal",
			SegmentBytes: 64 * mib,
			Budget:       4 * gib,
			KeepBytes:    2 * gib,
			KeepAge:      7 * day,
			Sync:         100 * time.Millisecond,
			Consumers:    []string{"sink"},
		},
		Aside: Aside{Dir: "", Bytes: 256 * mib},
		Kafka: DefaultKafka(),
		Log:   defaultLog(),
	}
}

// DefaultMint is what the shipped mint.yaml says.
func DefaultMint() Mint {
	return Mint{
		Listen:         "127.0.0.1:8081",
		Admin:          "127.0.0.1:9081",
		Keys:           "link.keys",
		Tenants:        "tenants.yaml",
		ReloadOnChange: false,
		AnswerWithin:   1500 * time.Millisecond,
		MaxBody:        1 * mib,
		BodyMemory:     256 * mib,
		DrainTimeout:   10 * time.Second,
		Log:            defaultLog(),
	}
}

// DefaultSink is what the shipped sink.yaml says.
func DefaultSink() Sink {
	return Sink{
		Admin:          "127.0.0.1:9082",
		Tenants:        "tenants.yaml",
		Journals:       []string{"/var/lib/waypost/edge/journal"},
		Consumer:       "sink",
		Kafka:          DefaultKafka(),
		Group:          "waypost-sink",
		Store:          "/var/lib/waypost/sink/store",
		BatchRecords:   5000,
		PrintDecisions: false,
		DrainTimeout:   10 * time.Second,
		Dispatch: Dispatch{
			Timeout:        15 * time.Second,
			ConnectTimeout: 5 * time.Second,
			TLSTimeout:     5 * time.Second,
			HeadersTimeout: 15 * time.Second,
			BodyTimeout:    2 * time.Second,

			Concurrency: 16,
			Rate:        0,
			Window:      1000,
			Retries:     nil,
			MarkEvery:   50 * time.Millisecond,

			AttemptsDays:  7,
			AttemptsBytes: 256 * mib,

			BreakerFailures: 10,
			BreakerLongest:  time.Minute,

			DisableAfter: 5 * day,

			Allow:        nil,
			Ports:        []int{80, 443, 8080, 8443},
			RequireHTTPS: true,
		},
		Uniques: Uniques{Keep: 45 * day, KeepBytes: 1 * gib},
		API:     API{Listen: "127.0.0.1:8082"},
		Live:    Live{Readers: 32, TenantReaders: 8, SlowAfter: 10 * time.Second},
		Log:     defaultLog(),
	}
}

// DefaultTenant is what a tenant is that sets nothing but its number, name and hosts.
func DefaultTenant() Tenant {
	return Tenant{
		NexoMailer:      NexoMailer{Prefix: "/api"},
		RetentionDays:   45,
		LinkBudget:      998,
		RecipientInLink: true,
		Unique:          "person",
		Track:           "full",
		HonourGPC:       false,
		ClientAddress:   "keep",
		BlockedText:     "This link was withdrawn.",
		Stream:          "outbound",
		Inbound:         Inbound{Tolerance: 5 * time.Minute},
	}
}

func defaultLog() Log { return Log{Level: "info", Format: "text"} }
