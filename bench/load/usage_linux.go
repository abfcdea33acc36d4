package load

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of the kernel's process times: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// usage is what a process has cost so far, and what it holds now.
type usage struct {
	user, system         time.Duration
	switches             uint64 // context switches of its threads, both kinds
	rss, anonymous, file int64  // bytes resident: all, anonymous, mapped files
	threads              int
}

// readUsage reads /proc for the process. Switches of threads that ended are lost, which Go's rarely do.
func readUsage(pid int) (usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return usage{}, fmt.Errorf("load: process %d: %w", pid, err)
	}
	var u usage
	if u.user, u.system, err = statTimes(stat); err != nil {
		return usage{}, fmt.Errorf("load: process %d: %w", pid, err)
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return usage{}, fmt.Errorf("load: process %d: %w", pid, err)
	}
	u.rss = statusNumber(status, "VmRSS") << 10
	u.anonymous = statusNumber(status, "RssAnon") << 10
	u.file = (statusNumber(status, "RssFile") + statusNumber(status, "RssShmem")) << 10
	tasks, err := filepath.Glob(dir + "/task/*/status")
	if err != nil {
		return usage{}, err
	}
	u.threads = len(tasks)
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		u.switches += uint64(statusNumber(text, "voluntary_ctxt_switches") + statusNumber(text, "nonvoluntary_ctxt_switches"))
	}
	return u, nil
}

// processTime is all CPU that a process has used, in ns: finer than readUsage's ticks.
func processTime(pid int) (int64, error) {
	const scheduled = 2 // CPUCLOCK_SCHED of the process's clocks, see clock_getcpuclockid(3)
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, fmt.Errorf("load: process %d: %w", pid, err)
	}
	return t.Nano(), nil
}

// readWaited is how long the threads of a process have stood ready to run, all together, without a core that ran them. Those of threads that ended are lost.
func readWaited(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		if fields := bytes.Fields(text); len(fields) > 1 { // time run, time waited, turns; a kernel without them gives nothing
			n, err := strconv.ParseInt(string(fields[1]), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("load: %s: %w", task, err)
			}
			sum += time.Duration(n)
		}
	}
	return sum, nil
}

// Held is what a process holds at a moment.
type Held struct {
	Resident, Anonymous int64 // bytes; resident ones are also those of mapped files
	Threads             int
}

// ReadHeld reads /proc for the process.
func ReadHeld(pid int) (Held, error) {
	u, err := readUsage(pid)
	return Held{u.rss, u.anonymous, u.threads}, err
}

// DiskUse is how many bytes the files below dir take on the disk. Files that vanish meanwhile take none.
func DiskUse(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				if stat, ok := info.Sys().(*syscall.Stat_t); ok {
					total += stat.Blocks * 512
				}
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return total, err
}

// readFamily is readUsage of a process and those that it made: a server may have its workers in processes of their own.
func readFamily(pid int) (usage, error) {
	var sum usage
	for _, member := range family(pid) {
		u, err := readUsage(member)
		if err != nil {
			return usage{}, err
		}
		sum.user += u.user
		sum.system += u.system
		sum.switches += u.switches
		sum.rss += u.rss
		sum.anonymous += u.anonymous
		sum.file += u.file
		sum.threads += u.threads
	}
	return sum, nil
}

// family is a process with its children and theirs.
func family(pid int) []int {
	all := []int{pid}
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return all
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, child := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(child); err == nil {
				all = append(all, family(n)...)
			}
		}
	}
	return all
}

// statTimes takes fields 14 and 15; the name in field 2 may hold spaces and brackets.
func statTimes(stat []byte) (user, system time.Duration, err error) {
	close := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[close+1:]))
	if close < 0 || len(fields) < 13 {
		return 0, 0, fmt.Errorf("stat not readable: %q", stat)
	}
	ticks := [2]int64{}
	for i := range ticks {
		if ticks[i], err = strconv.ParseInt(fields[11+i], 10, 64); err != nil {
			return 0, 0, err
		}
	}
	return time.Duration(ticks[0]) * tick, time.Duration(ticks[1]) * tick, nil
}

// statusNumber finds "Name:  123 kB"; 0 where there is no such line.
func statusNumber(status []byte, name string) int64 {
	for line := range bytes.Lines(status) {
		rest, ok := bytes.CutPrefix(line, []byte(name+":"))
		if !ok {
			continue
		}
		if fields := bytes.Fields(rest); len(fields) > 0 {
			n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
			return n
		}
	}
	return 0
}

// coreTimes is what a core has done since the machine's start.
type coreTimes struct{ busy, idle time.Duration }

func readCore(core int) (coreTimes, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return coreTimes{}, err
	}
	return parseCore(stat, core)
}

// parseCore tells of one core, or of everyCore together. It adds up user, nice, system, irq, softirq and steal as busy; idle and iowait as idle.
func parseCore(stat []byte, core int) (coreTimes, error) {
	name := "cpu"
	if core != everyCore {
		name += strconv.Itoa(core)
	}
	for line := range bytes.Lines(stat) {
		fields := strings.Fields(string(line))
		if len(fields) < 9 || fields[0] != name {
			continue
		}
		var t coreTimes
		for i, field := range fields[1:9] {
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return coreTimes{}, fmt.Errorf("/proc/stat: %w", err)
			}
			if i == 3 || i == 4 {
				t.idle += time.Duration(n) * tick
			} else {
				t.busy += time.Duration(n) * tick
			}
		}
		return t, nil
	}
	return coreTimes{}, fmt.Errorf("/proc/stat has no core %d", core)
}

// sub is the time between two readings.
func (t coreTimes) sub(before coreTimes) time.Duration {
	return t.busy + t.idle - before.busy - before.idle
}

// share of the core's time since before that was not idle.
func (t coreTimes) share(before coreTimes) float64 {
	all := t.sub(before)
	if all <= 0 {
		return 0
	}
	return float64(t.busy-before.busy) / float64(all)
}

// pin keeps every thread of a process on one core; threads made later inherit it from their maker.
func pin(pid, core int) error {
	var set unix.CPUSet
	set.Set(core)
	return setAffinity(pid, &set)
}

// pinSelf keeps this process on one core until restore is called.
func pinSelf(core int) (restore func(), err error) {
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("load: cores: %w", err)
	}
	if err := pin(os.Getpid(), core); err != nil {
		return nil, err
	}
	return func() { _ = setAffinity(os.Getpid(), &before) }, nil
}

// setAffinity goes over the threads until a pass finds none that differs: one begun by a thread not reached yet is caught by the next pass.
func setAffinity(pid int, set *unix.CPUSet) error {
	for range 10 {
		changed := false
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return fmt.Errorf("load: process %d: %w", pid, err)
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil {
				continue
			}
			var is unix.CPUSet
			if err := unix.SchedGetaffinity(tid, &is); err != nil || is == *set {
				continue
			}
			changed = true
			if err := unix.SchedSetaffinity(tid, set); err != nil && err != unix.ESRCH {
				return fmt.Errorf("load: process %d cannot be kept on its core: %w", pid, err)
			}
		}
		if !changed {
			return nil
		}
	}
	return nil
}

// allowedCores are the cores that this process may use.
func allowedCores() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("load: cores: %w", err)
	}
	var cores []int
	for core := range len(set) * 64 {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return cores, nil
}
