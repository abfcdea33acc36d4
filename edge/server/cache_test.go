package server

import (
	"fmt"
	"testing"

	"waypost/edge/journal"
	"waypost/mint/link"
)

func TestCacheTakesWhatIsHot(t *testing.T) {
	r := newRig(t, nil)
	uri := "/" + r.token(demoLink())
	for i := range uint64(3 * keepAfter) {
		r.do(request{uri: uri})
		r.cache.links.Wait()
		c, hits := r.Counts(), uint64(max(int(i)+1-keepAfter, 0))
		if c.CacheHits != hits || c.CacheMisses != i+1-hits {
			t.Errorf("after %d requests %d hits, %d misses; want %d hits", i+1, c.CacheHits, c.CacheMisses, hits)
		}
		if kept := c.CacheBytes > 0; kept != (i+1 >= keepAfter) {
			t.Errorf("after %d requests %d bytes", i+1, c.CacheBytes)
		}
	}
}

// What the cache does not keep is offered again now and then, not each time.
func TestHotTokensAreOfferedNowAndThen(t *testing.T) {
	r := newRig(t, nil)
	const hash = 0xfedcba9876543210
	for sight := 1; sight <= 5*keepAfter; sight++ {
		if enter := r.cache.note(hash); enter != (sight%keepAfter == 0) {
			t.Errorf("sight %d: enter %v", sight, enter)
		}
		if hot := r.cache.hot(hash); hot != (sight >= keepAfter) {
			t.Errorf("sight %d: hot %v", sight, hot)
		}
	}
	other := uint64(hash ^ 1<<63) // the same place
	if r.cache.hot(other) {
		t.Error("another token is hot")
	}
	if r.cache.note(other); r.cache.hot(hash) || r.cache.hot(other) {
		t.Error("a token that was overwritten stays hot")
	}
}

func TestRefusedTokensStayOutOfTheCache(t *testing.T) {
	r := newRig(t, nil)
	token := []byte(r.token(demoLink()))
	token[20] ^= 1
	for range 2 * keepAfter {
		r.do(request{uri: "/" + string(token)})
		r.cache.links.Wait()
	}
	if c := r.Counts(); c.CacheBytes != 0 || c.CacheHits != 0 || c.CacheMisses != 0 {
		t.Errorf("%+v", c)
	}
}

// A hash that meets another token's entry is no hit: the whole token counts.
func TestCacheComparesTheWholeToken(t *testing.T) {
	r := newRig(t, nil)
	first, second := demoLink(), demoLink()
	second.Number = 2
	tokens := [2]string{r.token(first), r.token(second)}
	r.cache.keep(4711, []byte(tokens[0]), r.keys)
	r.cache.links.Wait()
	if o := r.cache.get(4711, r.keys, []byte(tokens[0])); o == nil || o.link.Number != 1 || string(o.prospect) != "456" {
		t.Errorf("the kept link: %+v", o)
	}
	if o := r.cache.get(4711, r.keys, []byte(tokens[1])); o != nil {
		t.Errorf("another token of the same hash got %s", o.link.Destination)
	}
}

func TestCacheIsBounded(t *testing.T) {
	const limit = 1 << 16
	r := newRig(t, func(o *Options, _ *journal.Options) { o.CacheBytes = limit })
	for i := range 1000 {
		l := demoLink()
		l.Prospect = link.ParseID(fmt.Append(nil, i))
		token := []byte(r.token(l))
		r.cache.keep(hashToken(token), token, r.keys)
		r.cache.links.Wait()
		if n := r.Counts().CacheBytes; n > limit {
			t.Fatalf("after %d links %d bytes", i+1, n)
		}
	}
	if n := r.Counts().CacheBytes; n < limit/2 {
		t.Errorf("only %d of %d bytes in use", n, limit)
	}
}

func TestWithoutCache(t *testing.T) {
	r := newRig(t, func(o *Options, _ *journal.Options) { o.CacheBytes = 0 })
	uri := "/" + r.token(demoLink())
	for range 3 {
		if a := r.do(request{uri: uri}); a.StatusCode() != 302 {
			t.Fatal(a.StatusCode())
		}
	}
	if c := r.Counts(); c.CacheHits+c.CacheMisses != 0 || c.Requests["redirect"] != 3 {
		t.Errorf("%+v", c)
	}
	if a := r.do(request{uri: uri + "x"}); a.StatusCode() != 404 {
		t.Error(a.StatusCode())
	}
}
