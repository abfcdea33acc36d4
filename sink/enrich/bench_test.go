package enrich_test

import (
	"fmt"
	"strings"
	"testing"

	"waypost/edge/event"
	"waypost/sink/enrich/enrichtest"
)

// What it costs to say who and where: with a user agent that is known, with one that is read, and with what a hostile client may send.
func BenchmarkOf(b *testing.B) {
	r := open(b, func(file string) { enrichtest.Write(b, file, enrichtest.Page) })
	e := click()
	b.Run("agent=known/place=none", func(b *testing.B) {
		e.Address = nil
		for b.Loop() {
			r.Of(e)
		}
	})
	e.Address = []byte("8.8.8.8")
	b.Run("agent=known/place=found", func(b *testing.B) {
		for b.Loop() {
			r.Of(e)
		}
	})
	document := event.AppendDocument(nil, e)
	b.Run("agent=known/place=found/append", func(b *testing.B) {
		var dst []byte
		for b.Loop() {
			dst = r.Append(dst[:0], document, e)
		}
	})
	e.Address = nil
	for name, text := range map[string]string{
		"usual":   pageAgent,
		"spaces":  strings.Repeat(" ", 1024),
		"letters": strings.Repeat("aA", 512),
		"digits":  strings.Repeat("1.", 512),
		"slashes": strings.Repeat("a/1.", 256),
		"words":   strings.Repeat("bot android windows mac os x cfnetwork/ darwin/ safari version/ chrome/ mobile linux ", 12),
		"almost":  strings.Repeat("Mozilla/5.0 (iPhone; CPU OS 1_ like Mac OS X CFNetwork/12 Darwin/2", 16),
		"crawler": strings.Repeat("bingbot/ Googlebot-/ favicon [Cc]harlotte spider crawler-", 18),
	} {
		b.Run("agent=new/"+name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				n++
				e.UserAgent = append(fmt.Appendf(e.UserAgent[:0:0], "%08d ", n), text...)
				r.Of(e)
			}
		})
	}
}
