package hooks

import (
	"strings"

	"waypost/edge/event"
	"waypost/sink/dispatch/samples"
)

const typePrefix = "email."

// typeOf finds a type by its name, which may lack its first part.
func typeOf(name string) (event.Type, bool) {
	for _, t := range samples.Types() {
		if name == string(t) || typePrefix+name == string(t) {
			return t, true
		}
	}
	return "", false
}

func knownTypes() string {
	var names []string
	for _, t := range samples.Types() {
		names = append(names, strings.TrimPrefix(string(t), typePrefix))
	}
	return strings.Join(names, ", ")
}
