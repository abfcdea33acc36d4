package crash

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// evidence is all that the oracle judges by.
type evidence struct {
	clicks     []*click   // by number
	logs       [][]record // the copy of each journal, in its order
	decisions  []decision // what the sink's store holds
	keeps      bool       // on one machine it also keeps what was told:
	kept       []record
	deliveries []delivery // what the receiver got, each (path, id) once
	paths      []string   // the endpoints: each must get every unique click
	lives      []life     // of the sink
	again      []int      // with Kafka: deliveries that came again between each kill of a sink and the next
	mostAgain  int        // of a life's deliveries that may come again; 0: nobody counts them
	retention  [][]int    // by edge and life: the retention in force, days
	// unheard is how often an edge died between journal and answer: as many unanswered clicks at least must stand in the log.
	unheard    int
	complaints []string // what other parts saw and should not have seen
}

// record is one event of the log, as its JSON says.
type record struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	Time     time.Time `json:"time"`
	Run      string    `json:"run"`
	Sequence string    `json:"sequence"`
	Data     struct {
		Message   string `json:"message"`
		Prospect  string `json:"prospect"`
		Recipient string `json:"recipient"`
		Link      struct {
			Destination string    `json:"destination"`
			Original    string    `json:"original"`
			Minted      time.Time `json:"minted"`
		} `json:"link"`
		Method        string   `json:"method"`
		UserAgent     string   `json:"user_agent"`
		Labels        []string `json:"labels"`
		RetentionDays int      `json:"retention_days"`
	} `json:"data"`

	number int // of the click
}

// decision is one unique key of the sink's store: the ids of its two firsts; empty where there is none.
type decision struct {
	any, person string
}

// delivery is what the receiver got under one id on one path.
type delivery struct {
	path, id string
	body     []byte
	accepted int // how often it was answered with 200
	life     int // the last one of the sink from which it came, of those that were answered with 200
	bodies   int // how many different bodies came
}

// readLog reads a copy: one JSON document a line.
func readLog(path string) ([]record, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var log []record
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, len(log)+1, err)
		}
		if r.number, err = clickNumber(r.Data.UserAgent); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, len(log)+1, err)
		}
		if r.Data.Link.Original == "" { // left out where it is the destination
			r.Data.Link.Original = r.Data.Link.Destination
		}
		log = append(log, r)
	}
	return log, lines.Err()
}

// readKept reads what `sink store kept` printed: one event a line.
func readKept(text []byte) ([]record, error) {
	var all []record
	for line := range bytes.Lines(text) {
		var r record
		err := json.Unmarshal(line, &r)
		if err == nil {
			r.number, err = clickNumber(r.Data.UserAgent)
		}
		if err != nil {
			return nil, fmt.Errorf("sink store kept, line %d: %w", len(all)+1, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// readDecisions reads what `sink store cat` printed: one JSON object a line.
func readDecisions(text []byte) ([]decision, error) {
	var all []decision
	for line := range bytes.Lines(text) {
		var d struct {
			Any    string `json:"first_any"`
			Person string `json:"first_person"`
		}
		if err := json.Unmarshal(line, &d); err != nil {
			return nil, fmt.Errorf("sink store cat, line %d: %w", len(all)+1, err)
		}
		all = append(all, decision{d.Any, d.Person})
	}
	return all, nil
}
