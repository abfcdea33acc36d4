package soak

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"waypost/bench/receiver"
)

func hook(id string, link int) receiver.Delivery {
	return receiver.Delivery{ID: id, Body: fmt.Appendf(nil, `{"data":{"link":{"destination":%q}}}`, destination(link))}
}

// sound is a ledger of a run in which all went well: links 1 and 2 clicked and told of, 3 clicked and not answered.
func sound(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{}
	if l.enter(10) != 0 || l.enter(10) != 10 {
		t.Fatal("links are not numbered in order")
	}
	for _, link := range []int{1, 2, 2, 3} {
		l.try(link)
		l.settle(link, link != 3, "", true)
	}
	l.hear(hook("a", 1))
	l.hear(hook("b", 2))
	l.hear(hook("b", 2)) // again, under the same id
	return l
}

func TestLedger(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(l *ledger)
		want  string
	}{
		{"sound", func(*ledger) {}, ""},
		{"an unanswered click may be told of", func(l *ledger) { l.hear(hook("c", 3)) }, ""},
		{"lost", func(l *ledger) { l.try(4); l.settle(4, true, "", false) }, "a click on link 4 was answered, and no webhook told of it"},
		{"doubled", func(l *ledger) { l.hear(hook("other", 2)) }, "link 2 was told of twice"},
		{"nobody clicked", func(l *ledger) { l.hear(hook("d", 5)) }, "link 5, which nobody clicked"},
		{"no such link", func(l *ledger) { l.hear(hook("e", 20)) }, "webhook e tells of no link of ours"},
		{"another document", func(l *ledger) { l.hear(receiver.Delivery{ID: "f", Body: []byte("{}")}) }, `it leads to ""`},
		{"no document", func(l *ledger) { l.hear(receiver.Delivery{ID: "g"}) }, "unexpected end"},
		{"not answered", func(l *ledger) { l.settle(3, false, "", false) }, "was not answered while the edge was up"},
		{"answered wrongly", func(l *ledger) { l.settle(3, true, "status 404", true) }, "answered wrongly: status 404"},
	} {
		l := sound(t)
		c.spoil(l)
		l.close()
		if got := strings.Join(l.faults, "; "); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if l := sound(t); l.told != 2 || l.repeated != 1 || l.excused != 1 || l.answered != 3 || l.sent != 4 || l.missing() != 0 {
		t.Errorf("%+v", l)
	}
}

func TestSomeFirstAttemptsAreRefused(t *testing.T) {
	l := &ledger{}
	l.enter(refuseEvery + 1)
	for _, want := range []int{http.StatusServiceUnavailable, http.StatusOK} {
		l.try(refuseEvery)
		if got := l.hear(hook("a", refuseEvery)); got != want {
			t.Errorf("answered %d, want %d", got, want)
		}
	}
	if l.told != 1 || l.repeated != 0 {
		t.Errorf("told %d, repeated %d: a refused attempt tells nothing", l.told, l.repeated)
	}
}

func TestFaultsAreBounded(t *testing.T) {
	l := &ledger{}
	for range 100 {
		l.fault("again")
	}
	if len(l.faults) != maxFaults || l.count != 100 {
		t.Errorf("%d of %d", len(l.faults), l.count)
	}
}
