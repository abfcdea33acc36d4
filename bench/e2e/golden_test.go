package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/txtar"
)

// told is an event as the journal holds it, with what the test wants of it.
type told struct {
	ID, Run, Sequence, Type, Time string
	Data                          struct {
		Link     struct{ Minted string }
		Occurred string
	}

	document []byte
	at       time.Time
	occurred time.Time // what a provider says; zero: the edge saw it itself
}

func parseTold(t *testing.T, document []byte) told {
	t.Helper()
	e := told{document: document}
	err := json.Unmarshal(document, &e)
	if err == nil {
		e.at, err = time.Parse(time.RFC3339Nano, e.Time)
	}
	if err == nil && e.Data.Occurred != "" {
		e.occurred, err = time.Parse(time.RFC3339Nano, e.Data.Occurred)
	}
	if err != nil {
		t.Fatalf("%v in %s", err, document)
	}
	return e
}

func (e told) String() string { return string(e.document) }

var (
	eventID = regexp.MustCompile(`^[0-9a-f]{16}-[0-9]{16}$`)
	micros  = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`)
	seconds = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
)

// check holds to their forms and to the clock what the golden documents take from the event.
func (e *told) check(t *testing.T, began time.Time) {
	t.Helper()
	if !eventID.MatchString(e.ID) || e.ID != e.Run+"-"+e.Sequence || !micros.MatchString(e.Time) || !seconds.MatchString(e.Data.Link.Minted) {
		t.Errorf("id, run, sequence, time, minted: %q %q %q %q %q", e.ID, e.Run, e.Sequence, e.Time, e.Data.Link.Minted)
	}
	if e.at.Before(began.Truncate(time.Microsecond)) || e.at.After(time.Now()) {
		t.Errorf("%s happened at %s, the test began at %s", e.Type, e.Time, began)
	}
	if !e.occurred.IsZero() && !e.occurred.Equal(providersTime(began)) {
		t.Errorf("%s occurred at %s, the provider said %s", e.Type, e.occurred, providersTime(began))
	}
}

// providersTime is what the providers' documents of a test say that began then: such as all of their forms can hold.
func providersTime(began time.Time) time.Time { return began.UTC().Truncate(time.Second) }

// ofProvider are the forms in which golden documents name a provider's time.
func ofProvider(t time.Time) []string {
	return []string{
		"${occurred}", t.Format("2006-01-02T15:04:05.000000Z"),
		"${occurred with seven digits}", sevenDigits(t),
		"${occurred with three digits}", millis(t),
		"${occurred in unix time}", strconv.FormatInt(t.Unix(), 10),
	}
}

// values are what a golden document names in ${}: of its event, of a clock, or derived from the event's id as edge/event/README.md says.
func (e *told) values(t *testing.T, body []byte) *strings.Replacer {
	t.Helper()
	sum, bits := sha256.Sum256([]byte("maileroo:"+e.ID)), sha256.Sum256([]byte("postmark:"+e.ID))
	named := uuid.NewSHA1(uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:waypost:event")), []byte(e.ID))
	return strings.NewReplacer(append(ofProvider(e.occurred),
		"${id}", e.ID, "${run}", e.Run, "${sequence}", e.Sequence, "${time}", e.Time, "${minted}", e.Data.Link.Minted,
		"${time with seven digits}", sevenDigits(e.at),
		"${time with three digits}", millis(e.at),
		"${unix time}", strconv.FormatInt(e.at.Unix(), 10),
		"${48 hex digits}", hex.EncodeToString(sum[:24]),
		"${uuid}", named.String(),
		"${due}", e.due(t, body),
		"${53 bits}", strconv.FormatUint(binary.BigEndian.Uint64(bits[:])>>11, 10),
	)...)
}

var dueAt = regexp.MustCompile(`"timestamp":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"}$`)

// due is when NexoMailer's document says that it was made. Nothing else tells that, so only its form and the clock are checked.
func (e *told) due(t *testing.T, body []byte) string {
	t.Helper()
	m := dueAt.FindSubmatch(body)
	if m == nil {
		return "none"
	}
	if due := string(m[1]); due < millis(e.at) || due > millis(time.Now()) {
		t.Errorf("told of at %s, happened at %s", due, e.Time)
	}
	return string(m[1])
}

func sevenDigits(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

func millis(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// goldens are the documents of testdata/journey, by format (and journal) and step, with names in ${} where a run determines the value.
type goldens map[string]map[string]string

func readGoldens(t *testing.T) goldens {
	t.Helper()
	files, err := filepath.Glob("testdata/journey/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	all := goldens{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		steps := map[string]string{}
		for _, section := range txtar.Parse(data).Files {
			steps[section.Name] = string(section.Data)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".txtar")] = steps
	}
	return all
}

func (g goldens) has(format, step string) bool { _, ok := g[format][step]; return ok }

// compare holds a document to the golden one, byte for byte: names, their order, types and values.
func (g goldens) compare(t *testing.T, format, step string, e *told, body []byte) {
	t.Helper()
	var want, got bytes.Buffer
	if err := json.Compact(&want, []byte(e.values(t, body).Replace(g[format][step]))); err != nil {
		t.Errorf("%s, %s: the golden document: %v; came %s", format, step, err, body)
		return
	}
	if bytes.Equal(want.Bytes(), body) {
		return
	}
	if err := json.Indent(&got, body, "", "  "); err != nil {
		t.Errorf("%s, %s: %v in %s", format, step, err, body)
		return
	}
	text := want.String()
	want.Reset()
	if err := json.Indent(&want, []byte(text), "", "  "); err != nil {
		t.Fatal(err)
	}
	t.Errorf("%s, %s (-want +got):\n%s", format, step, cmp.Diff(want.String(), got.String()))
}

// allOf checks that no golden document is of a step that does not happen.
func (g goldens) allOf(t *testing.T, steps []step) {
	t.Helper()
	for format, documents := range g {
		if format == "providers" {
			continue // what they tell, not what is told of it
		}
		for name := range documents {
			if !slices.ContainsFunc(steps, func(s step) bool { return s.name == name }) {
				t.Errorf("%s.txtar has a document of %q, which does not happen", format, name)
			}
		}
	}
}
