package journal

// Report is what Verify found.
type Report struct {
	Runs     []RunReport // in the order in which they were begun
	Segments int
	Records  uint64
	Bytes    uint64 // of payloads
	Holes    uint64 // marked as skipped by a writer: reserved, never acknowledged
	Damages  int
}

// RunReport is one run of a Report.
type RunReport struct {
	Run         Run
	First, Last uint64 // sequences of the first and the last record; both 0 when there is none
	Segments    int
	Records     uint64
	Bytes       uint64
	Finished    bool // it has an end; else it is living, or a crash left it open and the next writer will close it
}

// Verify reads everything in the journal in dir, checks each record, and says what it found. Each damage is also given to onDamage, and each
// good record to visit, as soon as it is met; the record is valid until visit returns. It changes nothing, and may run beside a living writer; then it sees
// what was published when it got there.
func Verify(dir string, onDamage func(Damage), visit func(Record)) (Report, error) {
	var report Report
	r, err := NewReader(ReaderOptions{Dir: dir, OnDamage: func(d Damage) {
		report.Damages++
		onDamage(d)
	}})
	if err != nil {
		return report, err
	}
	defer r.Close()
	list, err := listSegments(dir)
	if err != nil {
		return report, err
	}
	report.Segments = len(list)
	at := map[Run]int{}
	for _, e := range list {
		if e.bad {
			continue
		}
		if _, ok := at[e.run]; !ok {
			at[e.run] = len(report.Runs)
			report.Runs = append(report.Runs, RunReport{Run: e.run})
		}
		report.Runs[at[e.run]].Segments++
	}
	for {
		rec, err := r.Next()
		if err == ErrWait {
			break
		}
		if err != nil {
			return report, err
		}
		i, ok := at[rec.Run]
		if !ok { // begun since
			i = len(report.Runs)
			at[rec.Run] = i
			report.Runs = append(report.Runs, RunReport{Run: rec.Run})
		}
		report.Runs[i].add(rec)
		report.Records++
		report.Bytes += uint64(len(rec.Payload))
		visit(rec)
	}
	report.Holes = r.Stats().Holes
	for i := range report.Runs {
		report.Runs[i].Finished = r.over[report.Runs[i].Run]
	}
	return report, nil
}

func (r *RunReport) add(rec Record) {
	if r.Records == 0 {
		r.First = rec.Sequence
	}
	r.Last = rec.Sequence
	r.Records++
	r.Bytes += uint64(len(rec.Payload))
}
