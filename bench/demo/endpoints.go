package demo

import (
	"waypost/bench/receiver"
	"waypost/bench/stack"
	"waypost/configs"
)

// What the demo's webhooks are signed with. None of it is a secret: it signs what goes from this machine to this machine.
const (
	WebhookSecret    = "whsec_d2F5cG9zdCBkZW1vOiBub3QgYSBzZWNyZXQgYXQgYWxs" // Standard Webhooks' headers, which ride beside each format
	PostmarkUser     = "postmark"
	PostmarkPassword = "demo-password"
	MailerooSecret   = "maileroo-demo"
	NexoMailerSecret = "nexomailer-demo"
)

// tenantKeys are what Maileroo's receivers tell domains and accounts by.
var tenantKeys = stack.Keys{"domain_id": 774, "user_id": 323}

// ReceiverEndpoints are a receiver's paths, one for each format under its name, and what they demand.
func ReceiverEndpoints() []receiver.Endpoint {
	return []receiver.Endpoint{
		{Path: "/standard", Secret: WebhookSecret},
		{Path: "/postmark", Secret: WebhookSecret, User: PostmarkUser, Password: PostmarkPassword},
		{Path: "/maileroo", Secret: WebhookSecret, HexHeader: "x-maileroo-signature", HexSecret: MailerooSecret},
		{Path: "/nexomailer", Secret: WebhookSecret, HexHeader: "X-NexoMailer-Signature", HexSecret: NexoMailerSecret},
	}
}

// Endpoints are a tenant's endpoints at such a receiver: one for each format, under its name.
func Endpoints(receiverURL string) (all []stack.Endpoint) {
	for _, format := range configs.Formats {
		e := stack.Endpoint{ID: format, URL: receiverURL + "/" + format, Format: format, StandardSecrets: []string{WebhookSecret}}
		switch format {
		case "standard":
			e.Secret, e.StandardSecrets = WebhookSecret, nil
		case "postmark":
			e.User, e.Password = PostmarkUser, PostmarkPassword
		case "maileroo":
			e.Secret = MailerooSecret
		case "nexomailer":
			e.Secret = NexoMailerSecret
		}
		all = append(all, e)
	}
	return all
}
