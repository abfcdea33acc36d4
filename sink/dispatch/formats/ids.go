package formats

import (
	"crypto/sha1"
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

// messageUUID is the event's MessageID as text.
func messageUUID(e *event.Event) string { return MessageID(e.Tenant, e.Message).String() }

// MessageID is how the postmark format names a tenant's message: by the sender's id where that is a UUID, else by one derived from it.
func MessageID(tenant uint32, message []byte) uuid.UUID {
	if len(message) == 36 {
		if id, err := uuid.ParseBytes(message); err == nil {
			return id
		}
	}
	// uuid.NewSHA1(messageSpace, name), which allocates four times: kept events are named by this too.
	var room [128]byte
	name := strconv.AppendUint(append(room[:0], messageSpace[:]...), uint64(tenant), 10)
	sum := sha1.Sum(append(append(name, '/'), message...))
	id := uuid.UUID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80 // version 5, and RFC 4122's variant
	return id
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
