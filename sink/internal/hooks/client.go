package hooks

import (
	"io"
	"net/url"

	"waypost/configs/ops"
	"waypost/sink/internal/forget"
)

// Operator is what the commands work with.
type Operator struct {
	Admin string // the admin address of the sink's settings
	Out   io.Writer
	Local func(ForgetRequest) (*forget.Answer, error) // forgets in the store of a sink that is not running
}

// remote is what every command that asks a running sink has.
type remote struct {
	Admin string `placeholder:"ADDRESS" help:"Admin address of the running sink; the settings' admin where there is none."`
	JSON  bool   `name:"json" help:"Print what the sink answered, as JSON."`
}

// ask makes a request of the sink and reads the JSON of its answer into into. A body makes it a POST.
func (c *remote) ask(o *Operator, path string, query url.Values, body, into any) error {
	r := ops.Remote{Program: "sink", Topic: "hooks", Admin: o.Admin, Given: c.Admin}
	return r.Ask(path, query, body, into)
}
