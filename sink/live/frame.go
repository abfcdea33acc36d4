package live

import (
	"bytes"
	"encoding/json"
	"time"
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
	end := endOfData(document)
	if end < 0 {
		return dst, false
	}
	dst = s.cursor(append(dst, "id: "...))
	dst = append(append(dst, "\nevent: "...), e.event.Type...)
	dst = append(append(dst, "\ndata: "...), document[:end]...)
	dst = appendFirst(dst, e.any, e.person)
	return append(append(dst, document[end:]...), "\n\n"...), true
}

// endOfData is where the object under data of a document ends; -1: there is none. The document is valid.
func endOfData(document []byte) int {
	depth, inData := 0, false
	for i := 0; i < len(document); i++ {
		switch document[i] {
		case '"':
			begin := i
			for i++; i < len(document) && document[i] != '"'; i++ {
				if document[i] == '\\' {
					i++
				}
			}
			if i >= len(document) {
				return -1
			}
			if depth == 1 && string(document[begin:i+1]) == `"data"` && opens(document[i+1:]) {
				inData = true
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 1 && inData {
				return i
			}
		}
	}
	return -1
}

// opens says whether an object that is not empty begins behind a name: members have a comma before them.
func opens(rest []byte) bool {
	rest, colon := bytes.CutPrefix(bytes.TrimLeft(rest, " \t"), []byte(":"))
	rest, object := bytes.CutPrefix(bytes.TrimLeft(rest, " \t"), []byte("{"))
	rest = bytes.TrimLeft(rest, " \t")
	return colon && object && len(rest) > 0 && rest[0] != '}'
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
	dst = append(dst, "retry: "...)
	dst = appendMillis(dst, retry)
	return append(s.cursor(append(dst, "\nid: "...)), "\n\n"...)
}
