package live

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"waypost/sink/enrich"
)

// appendFirst appends the member of data that says of what an event was the first, in the words of the header of waypost.unique.
func appendFirst(dst []byte, anyClient, person bool) []byte {
	switch {
	case anyClient && person:
		return append(dst, `,"first":"any,person"`...)
	case anyClient:
		return append(dst, `,"first":"any"`...)
	case person:
		return append(dst, `,"first":"person"`...)
	}
	return dst
}

// appendEvent appends an event of the stream, with members at the end of the document's data. False: the document cannot be shown on a line, and dst is as it was.
func appendEvent(dst []byte, s source, e *entry) ([]byte, bool) {
	document := e.document
	if bytes.ContainsAny(document, "\r\n") { // ours never has one; another program may write to the topic
		var line bytes.Buffer
		if json.Compact(&line, document) != nil {
			return dst, false
		}
		document = line.Bytes()
	}
	end, empty, ok := enrich.EndOfData(document)
	if !ok || empty { // ours never is: members have a comma before them
		return dst, false
	}
	dst = s.cursor(append(dst, "id: "...))
	dst = append(append(dst, "\nevent: "...), e.event.Type...)
	dst = append(append(dst, "\ndata: "...), document[:end]...)
	dst = appendFirst(dst, e.any, e.person)
	return append(append(dst, document[end:]...), "\n\n"...), true
}

// appendGap appends what a reader is told where events may be missing.
func appendGap(dst []byte, s source, reason string) []byte {
	text, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	dst = s.cursor(append(dst, "id: "...))
	return append(append(append(dst, "\nevent: gap\ndata: "...), text...), "\n\n"...)
}

// appendComment appends what clients pass over.
func appendComment(dst []byte, text string) []byte {
	return append(append(append(dst, ": "...), text...), "\n\n"...)
}

// appendBegin appends what a stream begins with: when to come back, and the place at which it begins, for a reader that comes back before it was sent anything.
func appendBegin(dst []byte, s source, retry time.Duration) []byte {
	dst = strconv.AppendInt(append(dst, "retry: "...), retry.Milliseconds(), 10)
	return append(s.cursor(append(dst, "\nid: "...)), "\n\n"...)
}
