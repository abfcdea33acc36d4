package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"waypost/mint/server"
)

type tryCommand struct {
	File   string `arg:"" help:"The request's body; - is the standard input."`
	Tenant string `required:"" placeholder:"NAME" help:"Who is asked for links, and whose first Outreach secret signs."`
	URL    string `name:"url" placeholder:"URL" help:"Where mint answers; without it the listen address of the settings."`

	Timeout time.Duration `default:"2s" help:"How long to wait for the answer; Outreach waits for 2s."`
}

// Run posts a request as Outreach would.
func (c *tryCommand) Run(p *program) error {
	settings, tenants, err := p.load()
	if err != nil {
		return err
	}
	tenant, err := tenantNamed(tenants, c.Tenant)
	if err != nil {
		return err
	}
	if len(tenant.Outreach.Secrets) == 0 {
		return fmt.Errorf("tenant %s has no outreach.secrets", tenant.Name)
	}
	body, err := readBody(c.File)
	if err != nil {
		return err
	}
	to := c.URL
	if to == "" {
		to = "http://" + settings.Listen
	}
	to += "/outreach/" + url.PathEscape(tenant.Name)
	return c.post(p.stdout, to, body, server.Sign(body, tenant.Outreach.Secrets[0]))
}

func readBody(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(file)
}

func (c *tryCommand) post(out io.Writer, to string, body []byte, signature string) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Close = true // as Outreach does
	request.Header.Set(server.SignatureHeader, signature)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%s\n", answer)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", response.Status)
	}
	return nil
}
