package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"waypost/configs"
	"waypost/mint/link"
)

// linkCommand mints one link from flags.
type linkCommand struct {
	URL       string            `arg:"" name:"url" help:"Where the link leads."`
	Tenant    string            `required:"" placeholder:"NAME" help:"Whose link it is."`
	Original  string            `placeholder:"URL" help:"The link's identity in analytics, where it is another URL."`
	Message   string            `placeholder:"ID" help:"The mailing's id, or the sender's message id."`
	Prospect  string            `placeholder:"ID" help:"The recipient's id at the sender."`
	User      string            `placeholder:"ID" help:"The id of who sends."`
	Recipient string            `placeholder:"ADDRESS" help:"The recipient's address; left out where the tenant keeps none."`
	Number    uint32            `placeholder:"N" help:"The link's place among the mail's, from 0."`
	Place     string            `enum:",html,text" default:"" placeholder:"html|text" help:"The part of the mail where it stands."`
	Stream    string            `help:"The message stream."`
	Tag       string            `help:"The mail's tag."`
	Metadata  map[string]string `placeholder:"KEY=VALUE" help:"Metadata of the mail."`
	Explain   bool              `help:"Also print where the link's characters go."`
	Minted    time.Time         `placeholder:"TIME" help:"When the mail is sent (2026-01-31T12:00:00Z); now by default."`
}

// Run prints the link.
func (c *linkCommand) Run(p *program) error {
	settings, tenants, err := p.load()
	if err != nil {
		return err
	}
	tenant, err := tenantNamed(tenants, c.Tenant)
	if err != nil {
		return err
	}
	keys, err := link.LoadKeyring(settings.Keys)
	if err != nil {
		return err
	}
	l := c.link(tenant)
	token, err := keys.AppendToken(nil, l)
	if err != nil {
		return err
	}
	url := tenant.MintOrigin() + "/" + string(token)
	if len(url) > tenant.LinkBudget {
		return fmt.Errorf("the link would have %d characters: link_budget of %s is %d", len(url), tenant.Name, tenant.LinkBudget)
	}
	_, _ = fmt.Fprintln(p.stdout, url)
	if c.Explain {
		return explain(p.stdout, keys, l)
	}
	return nil
}

// explain prints what each field of the link costs; of strings in the URL codec also what each code stands for.
func explain(out io.Writer, keys *link.Keyring, l *link.Link) error {
	parts, err := keys.Explain(l)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "FIELD\tBITS\tCHARACTERS\tPIECES (BITS)")
	all := 0
	for _, part := range parts {
		all += part.Bits
		var pieces []string
		for _, piece := range part.Pieces {
			pieces = append(pieces, fmt.Sprintf("%s (%d)", strconv.QuoteToGraphic(string(piece.Text)), piece.Bits))
		}
		_, _ = fmt.Fprintf(table, "%s\t%d\t%.1f\t%s\n", part.Field, part.Bits, float64(part.Bits)/6, strings.Join(pieces, " "))
	}
	_, _ = fmt.Fprintf(table, "token\t%d\t%.1f\t\n", all, float64(all)/6)
	return table.Flush()
}

// link is what the flags say, within what the tenant lets into a link.
func (c *linkCommand) link(tenant *configs.Tenant) *link.Link {
	minted := c.Minted
	if minted.IsZero() {
		minted = time.Now()
	}
	l := &link.Link{
		Place:       map[string]link.Place{"html": link.PlaceHTML, "text": link.PlaceText}[c.Place],
		Tenant:      tenant.Number,
		Minted:      link.Minutes(minted),
		Number:      c.Number,
		Message:     link.ParseID([]byte(c.Message)),
		Prospect:    link.ParseID([]byte(c.Prospect)),
		User:        link.ParseID([]byte(c.User)),
		Destination: []byte(c.URL),
		Original:    []byte(c.Original),
		Recipient:   link.KeepRecipient(tenant.Number, tenant.RecipientInLink, []byte(c.Prospect), []byte(c.Recipient)),
		Stream:      []byte(c.Stream),
		Tag:         []byte(c.Tag),
	}
	for _, key := range slices.Sorted(maps.Keys(c.Metadata)) {
		l.Metadata = link.AppendMetadata(l.Metadata, key, c.Metadata[key])
	}
	return l
}
