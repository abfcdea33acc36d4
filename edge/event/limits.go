package event

import "math"

// MaxRecord bounds what AppendRecord appends, key and document together.
const MaxRecord = 64 << 10

// limits are the most bytes, as they came from outside, that a record takes of each string.
type limits struct {
	id        int // message, prospect, user, recipient
	url       int // destination, original
	short     int // tenant's name, stream, tag, language
	metadata  int // keys and values together
	userAgent int
	referrer  int
	word      int // method, address, type
	reason    int // reason, a bounce's description and details
	raw       int // a provider's document
}

// usualLimits hold for every event. tightLimits hold for the one in a billion whose record would pass MaxRecord all the same, because its
// bytes grow sixfold by escaping or its sender writes books into links: with them it cannot.
var (
	usualLimits = limits{id: 1024, url: 16 << 10, short: 1024, metadata: 8 << 10, userAgent: 1024, referrer: 2048, word: 64, reason: 2048, raw: 16 << 10}
	tightLimits = limits{id: 256, url: 2560, short: 192, metadata: 1024, userAgent: 512, referrer: 512, word: 16, reason: 96}
)

// decodedLimits cut nothing: what comes from a document was cut when it was written.
var decodedLimits = limits{id: math.MaxInt}

// maxMetadata is how many pairs a record keeps.
const maxMetadata = 64

// cuts is a set of the fields that were cut.
type cuts uint32

const (
	cutTenantName cuts = 1 << iota
	cutMessage
	cutProspect
	cutUser
	cutRecipient
	cutDestination
	cutOriginal
	cutStream
	cutTag
	cutMetadata
	cutMethod
	cutUserAgent
	cutAddress
	cutReferrer
	cutLanguage
	cutProvider
	cutProviderEvent
	cutProviderType
	cutReason
	cutBounce
	cutFrom
	cutSubject
	cutRaw
)

// cutNames are the names in data.cut, in the order of the bits.
var cutNames = [...]string{"tenant_name", "message", "prospect", "user", "recipient", "destination", "original", "stream", "tag", "metadata",
	"method", "user_agent", "address", "referrer", "language", "provider", "provider_event", "provider_type", "reason", "bounce", "from", "subject", "raw"}

func parseCut(name []byte) cuts {
	for i := range cutNames {
		if cutNames[i] == string(name) {
			return 1 << i
		}
	}
	return 0
}
