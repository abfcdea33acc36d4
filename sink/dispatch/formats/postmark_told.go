package formats

import (
	"cmp"
	"strconv"
	"strings"

	"waypost/edge/event"
)

// postmarkDelivery has the members of Postmark's Delivery in the order of its documentation.
type postmarkDelivery struct {
	RecordType    string
	ServerID      uint32
	MessageStream string
	MessageID     string
	Recipient     string
	Tag           string
	DeliveredAt   string
	Details       string
	Metadata      map[string]string
}

func newPostmarkDelivery(in *Input) *postmarkDelivery {
	e := in.Event
	return &postmarkDelivery{
		RecordType:    "Delivery",
		ServerID:      e.Tenant,
		MessageStream: Stream(in),
		MessageID:     messageUUID(e),
		Recipient:     string(e.Recipient),
		Tag:           string(e.Tag),
		DeliveredAt:   postmarkTime(e),
		Details:       string(report(e).Reason),
		Metadata:      metadata(e),
	}
}

// postmarkBounce has the members of Postmark's Bounce and SpamComplaint in the order of its documentation.
type postmarkBounce struct {
	RecordType    string
	MessageStream string
	ID            int64
	Type          string
	TypeCode      int32
	Name          string
	Tag           string
	MessageID     string
	Metadata      map[string]string
	ServerID      uint32
	Description   string
	Details       string
	Email         string
	From          string
	BouncedAt     string
	DumpAvailable bool
	Inactive      bool
	CanActivate   bool
	Subject       string
}

func newPostmarkBounce(in *Input) *postmarkBounce {
	e, r := in.Event, report(in.Event)
	kind, record := bounceType(e), "Bounce"
	if e.Type == event.Complained {
		record = "SpamComplaint"
	}
	return &postmarkBounce{
		RecordType:    record,
		MessageStream: Stream(in),
		ID:            bounceID(e),
		Type:          kind.name,
		TypeCode:      kind.code,
		Name:          cmp.Or(string(r.Bounce.Name), kind.title),
		Tag:           string(e.Tag),
		MessageID:     messageUUID(e),
		Metadata:      metadata(e),
		ServerID:      e.Tenant,
		Description:   string(r.Bounce.Description),
		Details:       cmp.Or(string(r.Bounce.Details), string(r.Reason)),
		Email:         string(e.Recipient),
		From:          string(r.From),
		BouncedAt:     postmarkTime(e),
		Inactive:      r.Bounce.Inactive,
		CanActivate:   r.Bounce.CanActivate,
		Subject:       string(r.Subject),
	}
}

// bounceID is the provider's own number where it has one, as Postmark does.
func bounceID(e *event.Event) int64 {
	if n, err := strconv.ParseInt(string(report(e).ProviderEvent), 10, 64); err == nil && n > 0 && n < 1<<53 {
		return n
	}
	return eventNumber(e.ID)
}

// postmarkBounceType is one of Postmark's bounce types.
type postmarkBounceType struct {
	name  string
	code  int32
	title string
}

var (
	hardBounce    = postmarkBounceType{"HardBounce", 1, "Hard bounce"}
	transient     = postmarkBounceType{"Transient", 2, "Message delayed"}
	unknownBounce = postmarkBounceType{"Unknown", 2048, "Unknown"}
	softBounce    = postmarkBounceType{"SoftBounce", 4096, "Soft bounce"}
	spamComplaint = postmarkBounceType{"SpamComplaint", 100001, "Spam complaint"}
)

var postmarkBounceTypes = []postmarkBounceType{
	hardBounce, transient, softBounce, unknownBounce, spamComplaint,
	{"Unsubscribe", 16, "Unsubscribe request"},
	{"Subscribe", 32, "Subscribe request"},
	{"AutoResponder", 64, "Auto responder"},
	{"AddressChange", 128, "Address change"},
	{"DnsError", 256, "DNS error"},
	{"SpamNotification", 512, "Spam notification"},
	{"OpenRelayTest", 1024, "Open relay test"},
	{"VirusNotification", 8192, "Virus notification"},
	{"ChallengeVerification", 16384, "Spam challenge verification"},
	{"BadEmailAddress", 100000, "Invalid email address"},
	{"ManuallyDeactivated", 100002, "Manually deactivated"},
	{"Unconfirmed", 100003, "Registration not confirmed"},
	{"Blocked", 100006, "ISP block"},
	{"SMTPApiError", 100007, "SMTP API error"},
	{"InboundError", 100008, "Processing failed"},
	{"DMARCPolicy", 100009, "DMARC policy"},
	{"TemplateRenderingFailed", 100010, "Template rendering failed"},
}

// bounceType is Postmark's type of a bounce: the one that the provider named by code or name, else what comes nearest.
func bounceType(e *event.Event) postmarkBounceType {
	if e.Type == event.Complained {
		return spamComplaint
	}
	b := &report(e).Bounce
	named := func(name string) bool { return strings.EqualFold(string(b.Type), name) }
	for _, t := range postmarkBounceTypes {
		if t.code == b.Code {
			return t
		}
	}
	switch { // Resend's words, which are Amazon's
	case named("Transient") && e.Type == event.Bounced:
		return softBounce
	case named("Undetermined"):
		return unknownBounce
	}
	for _, t := range postmarkBounceTypes {
		if named(t.name) {
			return t
		}
	}
	if e.Type == event.Deferred {
		return transient
	}
	return hardBounce
}
