package formats

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"waypost/edge/event"
)

// The name spaces of the ids that we derive. They never change: receivers group by message, and drop events whose id they have seen.
var (
	messageSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:waypost:message"))
	eventSpace   = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:waypost:event"))
)

// messageUUID is the sender's message id where that is a UUID, as Postmark's are; else one derived from tenant and message.
func messageUUID(e *event.Event) string {
	if len(e.Message) == 36 {
		if id, err := uuid.ParseBytes(e.Message); err == nil {
			return id.String()
		}
	}
	name := strconv.AppendUint(nil, uint64(e.Tenant), 10)
	name = append(append(name, '/'), e.Message...)
	return uuid.NewSHA1(messageSpace, name).String()
}

// messageReference is messageUUID as Maileroo writes its reference ids: 32 hex digits.
func messageReference(e *event.Event) string { return strings.ReplaceAll(messageUUID(e), "-", "") }

// eventUUID is the event's id as a UUID.
func eventUUID(id event.ID) string { return uuid.NewSHA1(eventSpace, id.AppendTo(nil)).String() }

// eventNumber is the event's id as a number that every JSON reader takes whole: 53 bits.
func eventNumber(id event.ID) int64 {
	sum := sha256.Sum256(id.AppendTo([]byte("postmark:")))
	return int64(binary.BigEndian.Uint64(sum[:]) >> 11)
}

// eventHex is the event's id as Maileroo writes its own: 48 hex digits.
func eventHex(id event.ID) string {
	sum := sha256.Sum256(id.AppendTo([]byte("maileroo:")))
	return hex.EncodeToString(sum[:24])
}
