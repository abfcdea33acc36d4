package configs

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker: go build -ldflags "-X waypost/configs.version=... -X waypost/configs.commit=...".
var (
	version = ""
	commit  = ""
)

// Version says which build this is: version, commit, Go, system.
func Version() string {
	v, c := version, commit
	if v == "" {
		v = "devel"
	}
	if c == "" {
		c = builtFrom()
	}
	return fmt.Sprintf("%s (%s) %s %s/%s", v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// builtFrom is the commit that go build noted by itself.
func builtFrom() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "commit unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return "commit unknown"
}
