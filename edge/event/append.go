package event

import (
	"encoding/binary"
	"strconv"
	"unsafe"
)

// Source is the CloudEvents attribute of every event that an edge wrote.
const Source = "/waypost/edge"

// encoder carries what one document needs while it is written.
type encoder struct {
	*limits
	cut  cuts
	raws bool // the report's raw stands in the document
}

// AppendRecord appends what the journal keeps of e: its Kafka key and its JSON document (see SplitRecord). The sequence is not known
// yet: sixteen zeros stand for it at each offset in sequenceAt (from the start of the record, which is at len(dst)). e.ID.Run must be set.
// Strings from outside are cut to their limits and flagged. It allocates nothing when dst has room.
func AppendRecord(dst []byte, e *Event) (record []byte, sequenceAt [2]int) {
	id := ID{Run: e.ID.Run}
	record, sequenceAt = appendRecord(dst, e, id, &usualLimits)
	if len(record)-len(dst) > MaxRecord {
		record, sequenceAt = appendRecord(dst, e, id, &tightLimits)
	}
	return record, sequenceAt
}

// AppendDocument appends e's JSON document alone, with the sequence in e.ID.
func AppendDocument(dst []byte, e *Event) []byte {
	document, _ := appendDocument(dst, e, e.ID, &usualLimits)
	if len(document)-len(dst) > MaxRecord {
		document, _ = appendDocument(dst, e, e.ID, &tightLimits)
	}
	return document
}

func appendRecord(dst []byte, e *Event, id ID, l *limits) (record []byte, sequenceAt [2]int) {
	start := len(dst)
	dst = appendKey(append(dst, 0, 0), e, l)
	binary.BigEndian.PutUint16(dst[start:], uint16(len(dst)-start-2))
	dst, at := appendDocument(dst, e, id, l)
	return dst, [2]int{at[0] - start, at[1] - start}
}

// SplitRecord gives the two parts of a journal's payload: the Kafka key and the CloudEvent's JSON. Both point into payload.
func SplitRecord(payload []byte) (key, document []byte, err error) {
	if len(payload) < 2 {
		return nil, nil, ErrRecord
	}
	n := int(binary.BigEndian.Uint16(payload))
	if n > len(payload)-2 {
		return nil, nil, ErrRecord
	}
	return payload[2 : 2+n : 2+n], payload[2+n:], nil
}

// appendDocument gives the offsets of the sequence's digits in what it returns.
func appendDocument(dst []byte, e *Event, id ID, l *limits) (document []byte, sequenceAt [2]int) {
	w := encoder{limits: l}
	for _, name := range e.Cut {
		w.cut |= parseCut(bytesOf(name))
	}
	dst = append(dst, `{"specversion":"1.0","id":"`...)
	run := len(dst)
	dst = appendRun(dst, id.Run)
	dst = append(dst, '-')
	sequenceAt[0] = len(dst)
	if id.Sequence == 0 { // the journal's business
		dst = append(dst, "0000000000000000"...)
	} else {
		dst = appendSequence(dst, id.Sequence)
	}
	dst = append(dst, `","source":"`+Source+`","type":"`...)
	dst = appendText(dst, cutTo(bytesOf(string(e.Type)), l.word))
	dst = append(dst, `","time":"`...)
	dst = appendTime(dst, e.Time)
	dst = append(dst, `","datacontenttype":"application/json","run":"`...)
	dst = append(dst, dst[run:run+RunDigits]...)
	dst = append(dst, `","sequence":"`...)
	sequenceAt[1] = len(dst)
	dst = append(dst, dst[sequenceAt[0]:sequenceAt[0]+SequenceDigits]...)
	dst = append(dst, `","data":{"tenant":`...)
	dst = strconv.AppendUint(dst, uint64(e.Tenant), 10)
	dst = w.text(dst, `,"tenant_name":"`, bytesOf(e.TenantName), l.short, cutTenantName)
	dst = w.text(dst, `,"message":"`, e.Message, l.id, cutMessage)
	dst = w.text(dst, `,"prospect":"`, e.Prospect, l.id, cutProspect)
	dst = w.text(dst, `,"user":"`, e.User, l.id, cutUser)
	dst = w.text(dst, `,"recipient":"`, e.Recipient, l.id, cutRecipient)
	dst = w.link(dst, e)
	dst = w.text(dst, `,"stream":"`, e.Stream, l.short, cutStream)
	dst = w.text(dst, `,"tag":"`, e.Tag, l.short, cutTag)
	dst = w.metadata(dst, e.Metadata)
	dst = append(dst, `,"retention_days":`...)
	dst = strconv.AppendUint(dst, uint64(e.RetentionDays), 10)
	if e.UniqueAny {
		dst = append(dst, `,"unique":"any"`...)
	} else {
		dst = append(dst, `,"unique":"person"`...)
	}
	dst = w.request(dst, e)
	if e.Report != nil {
		dst = w.report(dst, e.Report)
	}
	return append(dst, '}', '}'), sequenceAt
}

// link appends the object of what a link carries. An open has a minting time and no destination.
func (w *encoder) link(dst []byte, e *Event) []byte {
	if len(e.Destination) == 0 && e.Minted.IsZero() {
		return dst
	}
	dst = append(dst, `,"link":{"number":`...)
	dst = strconv.AppendUint(dst, uint64(e.LinkNumber), 10)
	switch e.Place {
	case "html":
		dst = append(dst, `,"place":"html"`...)
	case "text":
		dst = append(dst, `,"place":"text"`...)
	}
	dst = w.url(dst, `,"destination":"`, e.Destination, w.limits.url, cutDestination)
	if string(e.Original) != string(e.Destination) {
		dst = w.url(dst, `,"original":"`, e.Original, w.limits.url, cutOriginal)
	}
	dst = append(dst, `,"minted":"`...)
	dst = appendMinted(dst, e.Minted)
	return append(dst, '"', '}')
}

// request appends what came with the hit itself.
func (w *encoder) request(dst []byte, e *Event) []byte {
	dst = w.text(dst, `,"method":"`, e.Method, w.word, cutMethod)
	dst = w.text(dst, `,"user_agent":"`, e.UserAgent, w.userAgent, cutUserAgent)
	dst = w.text(dst, `,"address":"`, e.Address, w.word, cutAddress)
	dst = w.url(dst, `,"referrer":"`, e.Referrer, w.referrer, cutReferrer)
	dst = w.text(dst, `,"language":"`, e.Language, w.short, cutLanguage)
	dst = appendLabels(dst, e.Labels)
	if e.Report != nil {
		w.cutReport(e.Report)
	}
	if w.cut == 0 {
		return dst
	}
	dst = append(dst, `,"cut":[`...)
	for i := range cutNames {
		if w.cut&(1<<i) != 0 {
			dst = append(dst, '"')
			dst = append(dst, cutNames[i]...)
			dst = append(dst, '"', ',')
		}
	}
	dst[len(dst)-1] = ']'
	return dst
}

func (w *encoder) text(dst []byte, member string, value []byte, limit int, field cuts) []byte {
	return w.member(dst, member, value, limit, field, false)
}

func (w *encoder) url(dst []byte, member string, value []byte, limit int, field cuts) []byte {
	return w.member(dst, member, value, limit, field, true)
}

// member appends an optional string member; member holds its comma, name and opening quote.
func (w *encoder) member(dst []byte, member string, value []byte, limit int, field cuts, url bool) []byte {
	if len(value) == 0 {
		return dst
	}
	if len(value) > limit {
		value = cutTo(value, limit)
		w.cut |= field
	}
	dst = append(dst, member...)
	if plainPrefix(value) == len(value) {
		return append(append(dst, value...), '"')
	}
	return append(appendEscaped(dst, value, url), '"')
}

// metadata appends the pairs in their order. A key that is there already (as it is written, so after the repair of its bytes) is left out
// with its value: members of a JSON object have distinct names.
func (w *encoder) metadata(dst []byte, pairs [][2]string) []byte {
	if len(pairs) == 0 {
		return dst
	}
	var keys [maxMetadata][2]int
	n, left, whole := 0, w.limits.metadata, len(dst)
	dst = append(dst, `,"metadata":{`...)
	for i := range pairs {
		key, value := bytesOf(pairs[i][0]), bytesOf(pairs[i][1])
		if n == maxMetadata || len(key)+len(value) > left {
			w.cut |= cutMetadata
			continue
		}
		before := len(dst)
		dst = appendText(append(dst, '"'), key)
		keys[n] = [2]int{before + 1, len(dst)}
		if keyRepeats(dst, keys[:n+1]) {
			dst = dst[:before]
			w.cut |= cutMetadata
			continue
		}
		dst = append(dst, '"', ':', '"')
		dst = append(appendText(dst, value), '"', ',')
		left -= len(key) + len(value)
		n++
	}
	if n == 0 {
		return dst[:whole]
	}
	dst[len(dst)-1] = '}'
	return dst
}

func keyRepeats(dst []byte, keys [][2]int) bool {
	last := keys[len(keys)-1]
	for _, k := range keys[:len(keys)-1] {
		if string(dst[k[0]:k[1]]) == string(dst[last[0]:last[1]]) {
			return true
		}
	}
	return false
}

// LabelNames are the names in data.labels, in the order of the bits of Labels.
var LabelNames = [...]string{"head", "prefetch", "machine", "repaired", "proxy"}

func appendLabels(dst []byte, labels Labels) []byte {
	if labels&allLabels == 0 {
		return dst
	}
	dst = append(dst, `,"labels":[`...)
	for i := range LabelNames {
		if labels&(1<<i) != 0 {
			dst = append(dst, '"')
			dst = append(dst, LabelNames[i]...)
			dst = append(dst, '"', ',')
		}
	}
	dst[len(dst)-1] = ']'
	return dst
}

// bytesOf views a string's bytes; they are only read.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
