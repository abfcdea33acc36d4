package event

import "time"

// Widths of times in the document: the event's with microseconds, the minting time with seconds.
const (
	timeBytes   = len("2006-01-02T15:04:05.000000Z")
	mintedBytes = len("2006-01-02T15:04:05Z")
)

// Bounds of what RFC 3339 can write; a clock beyond them is written as the bound.
var (
	firstSecond = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastSecond  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// appendSecond appends 2006-01-02T15:04:05. It computes the date by hand: time.AppendFormat takes five times as long, and a cache of the
// last second, shared by all cores, was no faster than this arithmetic.
func appendSecond(dst []byte, unix int64) []byte {
	unix = min(max(unix, firstSecond), lastSecond)
	days := (unix - firstSecond) / 86400
	second := int((unix - firstSecond) % 86400)
	year, month, day := civil(int(days))
	dst = append(dst, "0000-00-00T00:00:00"...)
	text := dst[len(dst)-len("0000-00-00T00:00:00"):]
	putPair(text[0:], year/100)
	putPair(text[2:], year%100)
	putPair(text[5:], month)
	putPair(text[8:], day)
	putPair(text[11:], second/3600)
	putPair(text[14:], second/60%60)
	putPair(text[17:], second%60)
	return dst
}

const pairs = "00010203040506070809" + "10111213141516171819" + "20212223242526272829" + "30313233343536373839" +
	"40414243444546474849" + "50515253545556575859" + "60616263646566676869" + "70717273747576777879" +
	"80818283848586878889" + "90919293949596979899"

// putPair writes the two decimal digits of n.
func putPair(text []byte, n int) { copy(text[:2], pairs[2*n:2*n+2]) }

// civil turns days since 0000-01-01 into a Gregorian date. Years begin in March here, so that the leap day is a year's last.
func civil(days int) (year, month, day int) {
	days += 146097 - 60 // from the first of March of the year -400, a whole cycle before that of the year 0
	cycle, d := days/146097, days%146097
	y := (d - d/1460 + d/36524 - d/146096) / 365
	d -= 365*y + y/4 - y/100
	m := (5*d + 2) / 153
	day = d - (153*m+2)/5 + 1
	year = cycle*400 + y - 400
	month = m + 3
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

func appendTime(dst []byte, t time.Time) []byte {
	dst = appendSecond(dst, t.Unix())
	micros := t.Nanosecond() / 1000
	dst = append(dst, ".000000Z"...)
	text := dst[len(dst)-len("000000Z"):]
	putPair(text[0:], micros/10000)
	putPair(text[2:], micros/100%100)
	putPair(text[4:], micros%100)
	return dst
}

func appendMinted(dst []byte, t time.Time) []byte {
	return append(appendSecond(dst, t.Unix()), 'Z')
}

// parseTime reads the two forms above and nothing else; other RFC 3339 texts are the general parser's work.
func parseTime(text []byte) (t time.Time, ok bool) {
	nanos := uint64(0)
	switch len(text) {
	case timeBytes:
		if nanos, ok = parseDigits(text[20:26]); !ok || text[19] != '.' || text[26] != 'Z' {
			return time.Time{}, false
		}
	case mintedBytes:
		if text[19] != 'Z' {
			return time.Time{}, false
		}
	default:
		return time.Time{}, false
	}
	if text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' {
		return time.Time{}, false
	}
	var n [6]uint64
	for i, at := range [...][2]int{{0, 4}, {5, 7}, {8, 10}, {11, 13}, {14, 16}, {17, 19}} {
		if n[i], ok = parseDigits(text[at[0]:at[1]]); !ok {
			return time.Time{}, false
		}
	}
	year, month, day, hour, minute, second := n[0], n[1], n[2], n[3], n[4], n[5]
	if month < 1 || month > 12 || day < 1 || day > 28 && day > monthDays(year, month) || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	return time.Date(int(year), time.Month(month), int(day), int(hour), int(minute), int(second), int(nanos)*1000, time.UTC), true
}

func monthDays(year, month uint64) uint64 {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}
