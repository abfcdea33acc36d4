package kafka

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Options of a cluster. Zero values mean the defaults in the comments.
type Options struct {
	Dir   string // of the cluster's state: required
	Jars  string // Kafka's jars; DIR/../jars
	Nodes int    // 1 or 3; 1
	Port  int    // of the first listener of the first node; node N's begin at Port + 10 (N-1). 0: free ports

	// SessionTimeout is how long a dead broker counts as living: failover takes a little longer. 3 s (Kafka's own default is 9 s).
	SessionTimeout time.Duration
	HeapMB         int               // of each node; 512
	Light          bool              // for short tests: Java's quick compiler only, which starts with less CPU and ends up slower
	Yielding       bool              // the nodes get what processor time others leave (SCHED_IDLE): for measurements of others on the same cores
	Secure         bool              // the listeners TLS, SASL and SASL over TLS beside the plain one
	Users          []User            // of the SASL listeners
	Authorizer     bool              // users need ACLs
	Settings       map[string]string // further lines of server.properties
}

// User can log in at the SASL listeners, by PLAIN and by SCRAM-SHA-512.
type User struct {
	Name     string
	Password string
}

var errOptions = errors.New("kafka: options")

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, fmt.Errorf("%w: Dir is required", errOptions)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, err
	}
	o.Dir = dir
	if o.Jars == "" {
		o.Jars = filepath.Join(filepath.Dir(dir), "jars")
	}
	if o.Jars, err = filepath.Abs(o.Jars); err != nil {
		return o, err
	}
	if o.Nodes == 0 {
		o.Nodes = 1
	}
	if o.Nodes != 1 && o.Nodes != 3 {
		return o, fmt.Errorf("%w: Nodes = %d: 1 or 3", errOptions, o.Nodes)
	}
	if o.SessionTimeout == 0 {
		o.SessionTimeout = 3 * time.Second
	}
	if o.HeapMB == 0 {
		o.HeapMB = 512
	}
	if o.Port < 0 || o.Port > 65000 {
		return o, fmt.Errorf("%w: Port = %d: 0 to 65000", errOptions, o.Port)
	}
	for _, u := range o.Users {
		// These words go into JAAS settings between quotes, and on a command line between brackets.
		if u.Name == "" || u.Password == "" || strings.ContainsAny(u.Name+u.Password, "\"\\ ,;=[]\n") {
			return o, fmt.Errorf("%w: user %q: name and password must not be empty nor hold quotes, spaces, commas, =, ; or brackets", errOptions, u.Name)
		}
	}
	return o, nil
}
