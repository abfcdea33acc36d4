package soak

import "slices"

// unit is how a figure is printed.
type unit uint8

const (
	megabytes unit = iota
	number
)

// limit is one figure of a program, and how much it may be above the second quarter in the last: the greater of an absolute amount and a share.
type limit struct {
	what     string
	unit     unit
	of       func(Sample) float64
	absolute float64
	share    float64
}

// limits of every program. Memory: Go's heap breathes by some megabytes between collections, and by a share of its size. At 2,000 clicks a second and lives of minutes 16 MiB are some
// hundred bytes a click. The resident memory is in the report only: it follows the pages of journal and store that happen to be mapped. Descriptors and goroutines stand still but for
// connections and attempts under way.
var limits = []limit{
	{"anonymous memory", megabytes, func(s Sample) float64 { return float64(s.Anonymous) }, 16 << 20, 0.10},
	{"descriptors", number, func(s Sample) float64 { return float64(s.Descriptors) }, 10, 0.10},
	{"goroutines", number, func(s Sample) float64 { return float64(s.Goroutines) }, 10, 0.10},
	{"threads", number, func(s Sample) float64 { return float64(s.Threads) }, 10, 0},
}

// sinkMemory is what the sink may fill before growth counts: three tables in memory of 32 MiB each, its cache of 160 MiB, and 32 MiB that it starts with. At the default rate the tables are full
// after two minutes; the cache takes as long as the store takes to hold so much.
const sinkMemory = 288 << 20

// allowed gives what a figure of a program may rise by, from the level of the second quarter.
func (l limit) allowed(program string) func(level float64) float64 {
	return func(level float64) float64 {
		amount := max(l.absolute, l.share*level)
		if program == "sink" && l.unit == megabytes {
			amount = max(amount, sinkMemory-level)
		}
		return amount
	}
}

// The journal's files. Small segments are used again within seconds. The files may fill up to what is kept, and beyond it by the segments that are written, prepared and free.
const (
	segmentBytes  = 1 << 20
	keepBytes     = 8 << 20
	journalBudget = 1 << 30
	attemptsBytes = 8 << 20 // of the log of attempts, so that it is full before the second quarter
	journalSlack  = 8 * segmentBytes
)

// The store's files. A key takes 59 bytes before compression, 23 at rest; written ones stand twice until they are compacted. The slack is Pebble's logs, of one table in memory each, three of them at most.
const (
	storePerKey = 100
	storeSlack  = 96 << 20
)

// logSlack is for the logs: the programs say something at each start, and nothing of each click.
const logSlack = 1 << 20

// flat allows a fixed amount.
func flat(amount float64) func(float64) float64 { return func(float64) float64 { return amount } }

// growths judges every life of every program, and the files.
func growths(samples []Sample, disk []DiskSample) (all []Growth) {
	type life struct {
		program string
		number  int
	}
	var order []life
	lives := map[life][]Sample{}
	for _, s := range samples {
		at := life{s.Program, s.Life}
		if lives[at] == nil {
			order = append(order, at)
		}
		lives[at] = append(lives[at], s)
	}
	slices.SortStableFunc(order, func(a, b life) int { return programOrder(a.program) - programOrder(b.program) })
	for _, at := range order {
		for _, l := range limits {
			var points []point
			for _, s := range lives[at] {
				points = append(points, point{s.Second, l.of(s)})
			}
			g := judge(points, l.allowed(at.program))
			g.Where, g.What, g.unit = lifeName(at.program, at.number), l.what, l.unit
			all = append(all, g)
		}
	}
	return append(all, diskGrowths(disk)...)
}

func diskGrowths(disk []DiskSample) []Growth {
	var journal, logs []point
	for _, d := range disk {
		journal = append(journal, point{d.Second, float64(d.Journal)})
		logs = append(logs, point{d.Second, float64(d.Logs)})
	}
	all := []Growth{judge(journal, func(level float64) float64 { return max(journalSlack, keepBytes+journalSlack-level) }), perKey(disk), judge(logs, flat(logSlack))}
	for i, what := range []string{"journal", "store", "logs"} {
		all[i].Where, all[i].What = "files", what
	}
	all[1].Expected = "grows with the keys"
	return all
}
