package crash

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"waypost/bench/traffic"
	"waypost/mint/link"
)

// post writes mails: it asks the real mint for links, as Outreach does.
type post struct {
	book     *book
	outreach traffic.Outreach
	next     int

	stop    context.CancelFunc
	running sync.WaitGroup
	err     error // why it ended by itself; read after halt
}

// secret is Outreach's, of the one tenant.
const secret = "crash-secret"

// start sends a batch of mails every tenth of a second until halt, so that new keys come up all the time.
func (p *post) start(ctx context.Context, batch int) {
	ctx, p.stop = context.WithCancel(ctx)
	p.running.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := p.send(ctx, batch); err != nil && ctx.Err() == nil {
				p.err = err
				return
			}
		}
	})
}

func (p *post) halt() error {
	p.stop()
	p.running.Wait()
	p.outreach.Client.CloseIdleConnections()
	return p.err
}

// send writes n mails.
func (p *post) send(ctx context.Context, n int) error {
	for range n {
		m := compose(p.next)
		p.next++
		err := p.mint(ctx, m)
		if errors.Is(err, traffic.ErrBusy) {
			continue // Outreach does not ask again either
		}
		if err != nil {
			return err
		}
		p.book.addMail(m)
	}
	return nil
}

// compose makes the i-th mail. Five mails share a mailing; prospects get many mailings; the same page stands in many mails; one mail in
// eight knows its recipient by the address only, whose case varies; one in nine is the repetition of an earlier request.
func compose(i int) *mail {
	if repeats(i) {
		i -= 7
	}
	m := &mail{mailing: fmt.Sprint(1000 + i/5), prospect: fmt.Sprint(5000 + i%97), email: fmt.Sprintf("p%d@prospect.com", i%97)}
	if i%8 == 3 {
		m.prospect, m.email = "", strings.Replace(m.email, "p", "P", 1+i%2)
	}
	for n := range 1 + i%4 {
		var l mailLink
		l.Original = fmt.Sprintf("https://www.example.com/page/%d?of=%d", n, i%11)
		l.Destination = l.Original
		if n%2 == 0 {
			l.Destination = fmt.Sprintf("https://tracker.example/r/%d/%d", i, n)
		}
		m.links = append(m.links, l)
	}
	return m
}

// repeats says that a mail has the keys of an earlier one.
func repeats(i int) bool { return i%9 == 8 }

// seal makes the mail's links as mint would, for what mint cannot be asked.
func (m *mail) seal(keys *link.Keyring) error {
	for n := range m.links {
		l := &m.links[n]
		token, err := keys.AppendToken(nil, &link.Link{
			Tenant: 1, Minted: link.Minutes(m.minted), Number: uint32(n), Message: link.ParseID([]byte(m.mailing)),
			Prospect: link.ParseID([]byte(m.prospect)), User: link.ParseID([]byte("789")), Recipient: []byte(m.email),
			Destination: []byte(l.Destination), Original: []byte(l.Original),
		})
		if err != nil {
			return fmt.Errorf("sealing a link: %w", err)
		}
		l.path = "/" + string(token)
	}
	return nil
}

// mint fills in the mail's links.
func (p *post) mint(ctx context.Context, m *mail) error {
	request := traffic.Mail{Mailing: m.mailing, Prospect: m.prospect, Email: m.email}
	for _, l := range m.links {
		request.Links = append(request.Links, l.Link)
	}
	paths, err := p.outreach.Paths(ctx, &request)
	if err != nil {
		return err
	}
	for i, path := range paths {
		m.links[i].path = path
	}
	m.minted = time.Now()
	return nil
}
