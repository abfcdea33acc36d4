package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"waypost/edge/internal/deliveries"
)

// deliver posts a provider's delivery, signed as the parser of these tests has it, and gives the answer's status and body.
func (p *process) deliver(provider, body string) (int, string) {
	p.Helper()
	request, err := http.NewRequest(http.MethodPost, p.url+"/in/demo/"+provider, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte("test-secret"))
	mac.Write([]byte(body))
	request.Header.Set("X-Acme-Signature", "v0="+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(response.Body); err != nil {
		p.Fatal(err)
	}
	return response.StatusCode, answer.String()
}

// withParser is tenants.yaml with a parser that maps so.
func withParser(types, recipient string) string {
	return `tenants:
  - number: 1
    name: demo
    hosts: [links.example.com]
    inbound:
      parsers:
        - name: acmemail
          auth: {hmac: {header: X-Acme-Signature, prefix: "v0=", encoding: base64, secrets: [test-secret]}}
          type: item.event
          types: ` + types + `
          provider_message: item.mail
          recipient: ` + recipient + "\n"
}

// A delivery that does not map survives kill -9, and is an event once the mapping is mended: once.
func TestReplayOfWhatCouldNotBeMapped(t *testing.T) {
	dir := t.TempDir()
	p := startEdge(t, dir, "")
	tenants := filepath.Join(dir, "tenants.yaml")
	replace(t, tenants, withParser(`{delivered: email.delivered}`, "item.rcpt"))
	p.signal(syscall.SIGHUP)
	const good, moved, unknown = `{"event":"delivered","mail":"m-1","rcpt":"ann@example.com"}`, "{\n" + `"event":"delivered","mail":"m-2","to":"bob@example.com"}`, `{"event":"bounced","mail":"m-3","rcpt":"eve@example.com"}`
	p.waitFor(func() bool { status, _ := p.deliver("acmemail", good); return status == http.StatusOK })
	for _, body := range []string{moved, unknown, "no JSON"} {
		if status, answer := p.deliver("acmemail", body); status != http.StatusOK || answer != `{"result":"aside"}` {
			t.Fatalf("%s: %d %s", body, status, answer)
		}
	}
	if got := p.metric("waypost_edge_aside_deliveries"); got != 3 {
		t.Errorf("%g deliveries kept, want 3", got)
	}
	p.waitFor(func() bool {
		_, ready := p.get("/readyz")
		return strings.Contains(ready, "3 deliveries of providers could not be mapped")
	})
	p.signal(syscall.SIGKILL)
	p.end(-1)

	p = startAgain(t, dir, p.keys)
	listed := p.edge("in", "aside", "--tenant", "demo", "--since", "1h")
	for _, want := range []string{"recipient: line 1, column 5: the delivery has no member rcpt here", `type: "bounced" is none of the words in types`, "the body is no JSON document"} {
		if !strings.Contains(listed, want) {
			t.Errorf("not listed: %s\n%s", want, listed)
		}
	}
	if again := p.edge("in", "replay", "--admin", p.admin); !strings.HasPrefix(again, "0 done, 3 stay\n1 of demo acmemail: ") {
		t.Errorf("before it was mended: %s", again)
	}
	replace(t, tenants, withParser(`{delivered: email.delivered, bounced: email.bounced}`, "item.?rcpt.or(item.?to)"))
	p.signal(syscall.SIGHUP)
	p.waitFor(func() bool { return p.metric(`waypost_edge_reloads_total{result="done"}`) == 1 })
	var answer deliveries.Answer
	if err := json.Unmarshal([]byte(p.edge("in", "replay", "--json", "--admin", p.admin)), &answer); err != nil || answer.Done != 2 || answer.Stay != 1 {
		t.Errorf("%+v, %v", answer, err)
	}
	if again := p.edge("in", "replay", "--admin", p.admin); !strings.HasPrefix(again, "0 done, 1 stay\n") {
		t.Errorf("again: %s", again)
	}
	if kept := p.edge("in", "aside", "--json"); strings.Count(kept, "\n") != 1 || !strings.Contains(kept, `"body_base64":"`+base64.StdEncoding.EncodeToString([]byte("no JSON"))+`"`) {
		t.Errorf("kept: %s", kept)
	}
	p.signal(syscall.SIGTERM)
	p.end(0)
	all := strings.Join(p.cat(), "\n")
	for _, message := range []string{`"message":"m-1"`, `"message":"m-2"`, `"message":"m-3"`} {
		if strings.Count(all, message) != 1 {
			t.Errorf("%s stands in the journal %d times:\n%s", message, strings.Count(all, message), all)
		}
	}
	if !strings.Contains(all, `"recipient":"bob@example.com"`) {
		t.Errorf("the recipient of m-2 is missing:\n%s", all)
	}
}
