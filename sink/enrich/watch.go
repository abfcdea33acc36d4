package enrich

import (
	"os"

	"waypost/configs/reload"
)

// Watch takes up the database when its file changes, and at each hangup, until stop is closed.
func (x *Enricher) Watch(hangup <-chan os.Signal, stop <-chan struct{}) {
	p := x.places
	if p.file == "" {
		<-stop
		return
	}
	reload.Watch(hangup, stop, func() { p.try("signal") }, p.look)
}

// Reasons is what somebody should look at: why the newest database is not in force.
func (x *Enricher) Reasons() []string {
	if x == nil {
		return nil
	}
	return x.places.Reasons()
}
