package broker

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/configs"
)

var update = flag.Bool("update", false, "write the tables of ../README.md anew")

// The README's tables are made from the contract that programs are held to.
func TestReadmeTopics(t *testing.T) {
	const file = "../README.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	topics := Topics(configs.DefaultKafka(), nil)
	got := string(text)
	for name, table := range map[string]string{"topics": topicTable(topics), "permissions": permissionTable(topics)} {
		begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
		before, rest, ok := strings.Cut(got, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no place for %s", file, name)
		}
		got = before + begin + "\n" + table + "\n" + end + after
	}
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(text), got); diff != "" && !*update {
		t.Errorf("the README is behind the contract; go test ./configs/broker -run Readme -update writes it anew (-README +contract):\n%s", diff)
	}
}

// topicTable has a line for each setting, with the topics and what each wants.
func topicTable(topics []Topic) string {
	var b strings.Builder
	b.WriteString("| topic | what | settings, beside those of all |\n|---|---|---|\n")
	all, compacted := map[string]int{}, 0 // what differs in those that are compacted only is all the others'
	for _, t := range topics {
		for _, s := range t.Settings {
			if all[s.Name+s.Want]++; s.Want == "compact" {
				compacted++
			}
		}
	}
	var every []string
	for _, t := range topics {
		var own []string
		for _, s := range t.Settings {
			line := fmt.Sprintf("`%s` %s", s.Name, s.Wanted())
			switch {
			case all[s.Name+s.Want] < len(topics)-compacted:
				own = append(own, line)
			case t.Name == topics[0].Name:
				every = append(every, line)
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", t.Name, t.Purpose, strings.Join(own, ", "))
	}
	fmt.Fprintf(&b, "| all, where nothing else is said | | %s |\n", strings.Join(every, ", "))
	return b.String()
}

func permissionTable(topics []Topic) string {
	var b strings.Builder
	b.WriteString("| topic | edge's user | sink's user |\n|---|---|---|\n")
	for _, t := range topics {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", t.Name, operations(t.Needs[Edge]), operations(t.Needs[Sink]))
	}
	return b.String()
}

func operations(all []Operation) string {
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = o.String()
	}
	return strings.Join(names, ", ")
}
