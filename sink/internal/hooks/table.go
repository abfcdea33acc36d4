package hooks

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"waypost/sink/dispatch/samples"
)

// table prints rows under a header, in columns.
func table(out io.Writer, header string, rows [][]string) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(out, "none")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, header) // errors come from Flush
	for _, row := range rows {
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func printEndpoints(out io.Writer, all []Endpoint) error {
	var rows [][]string
	for i := range all {
		e := &all[i]
		state := "no attempt yet"
		switch {
		case e.Disabled != nil:
			state = "disabled since " + seconds(&e.Disabled.At) + ": " + whyDisabled(e)
		case e.FailingSince != nil && e.LastFailure != nil:
			state = fmt.Sprintf("fails since %s: %s", seconds(e.FailingSince), why(e.LastFailure.Status, e.LastFailure.Reason))
		case e.LastSuccess != nil:
			state = "ok"
		}
		rows = append(rows, []string{
			cmp.Or(e.TenantName, "-"), e.ID, e.Format, strconv.FormatInt(e.Pending, 10), seconds(e.OldestDue), strconv.FormatInt(e.DeadLetters, 10), seconds(e.LastSuccess), state, e.URL,
		})
	}
	return table(out, "TENANT\tENDPOINT\tFORMAT\tPENDING\tOLDEST DUE\tDEAD\tLAST SUCCESS\tSTATE\tURL", rows)
}

func printAttempts(out io.Writer, all Attempts) error {
	var rows [][]string
	for i := range all.Attempts {
		a := &all.Attempts[i]
		next := "-"
		if a.NextMS > 0 {
			next = a.At.Add(time.Duration(a.NextMS) * time.Millisecond).Format(time.RFC3339)
		}
		rows = append(rows, []string{
			a.At.Format("2006-01-02T15:04:05.000Z"), strconv.FormatUint(uint64(a.Tenant), 10), a.Endpoint, a.WebhookID, samples.ShortName(a.Type), strconv.Itoa(a.Number), a.Outcome,
			why(a.Status, a.Reason), millis(a.TookMS), next, shown(a.Answer),
		})
	}
	if err := table(out, "AT\tTENANT\tENDPOINT\tWEBHOOK ID\tTYPE\tATTEMPT\tOUTCOME\tSTATUS\tTOOK\tNEXT\tANSWER", rows); err != nil || all.Next == "" {
		return err
	}
	_, err := fmt.Fprintln(out, "there may be more: --limit, or --until the last time shown")
	return err
}

func printSamples(out io.Writer, answer TestAnswer) error {
	var rows [][]string
	for _, s := range answer.Samples {
		word := "not accepted"
		if s.Delivered {
			word = "accepted"
		}
		rows = append(rows, []string{samples.ShortName(s.Type), s.WebhookID, word, why(s.Status, s.Reason), millis(s.TookMS), shown(s.Answer)})
	}
	return table(out, "TYPE\tWEBHOOK ID\tOUTCOME\tSTATUS\tTOOK\tANSWER", rows)
}

func printReplayed(out io.Writer, answer ReplayAnswer) error {
	var rows [][]string
	for i := range answer.Deliveries {
		r := &answer.Deliveries[i]
		rows = append(rows, []string{
			r.WebhookID, strconv.FormatUint(uint64(r.Tenant), 10), r.Endpoint, samples.ShortName(r.Type), r.Was, seconds(&r.Created), seconds(r.GivenUp), strconv.Itoa(r.Attempts), lastWhy(r.Status, r.Reason),
		})
	}
	if err := table(out, "WEBHOOK ID\tTENANT\tENDPOINT\tTYPE\tWAS\tSINCE\tGIVEN UP\tATTEMPTS\tLAST", rows); err != nil || answer.Count == len(answer.Deliveries) {
		return err
	}
	_, err := fmt.Fprintf(out, "and %d more\n", answer.Count-len(answer.Deliveries))
	return err
}

// why is a status, or why there is none.
func why(status int, reason string) string {
	switch {
	case status != 0 && reason != "":
		return fmt.Sprintf("%d %s", status, reason)
	case status != 0:
		return strconv.Itoa(status)
	case reason != "":
		return reason
	}
	return "no answer"
}

func lastWhy(status int, reason string) string {
	if status == 0 && reason == "" {
		return "-"
	}
	return why(status, reason)
}

func millis(ms float64) string { return strconv.FormatFloat(ms, 'f', 1, 64) + "ms" }

func seconds(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// mostShown is how much of an answer stands in a table.
const mostShown = 60

// shown is what others wrote, made harmless for a terminal.
func shown(answer string) string {
	if answer == "" {
		return "-"
	}
	if len(answer) > mostShown {
		return strconv.Quote(answer[:mostShown]) + "..."
	}
	return strconv.Quote(answer)
}
