package kafka

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

//go:embed pom.xml
var pom []byte

//go:embed jars.sha256
var jarSums string

// What a machine may lack. Compare with errors.Is; the text names the Debian package.
var (
	ErrNoJava  = errors.New("kafka: Java 17 or newer is missing: apt-get install openjdk-17-jre-headless")
	ErrNoMaven = errors.New("kafka: Maven is missing, and Kafka's jars are not there yet: apt-get install maven")
)

// oldestJava is the oldest that Kafka 4 runs on.
const oldestJava = 17

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// java finds a Java that is new enough.
func java(ctx context.Context) (string, error) {
	path, err := exec.LookPath("java")
	if err != nil {
		return "", ErrNoJava
	}
	text, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	found := javaVersion.FindSubmatch(text)
	if err != nil || found == nil {
		return "", ErrNoJava
	}
	if major, err := strconv.Atoi(string(found[1])); err != nil || major < oldestJava {
		return "", ErrNoJava
	}
	return path, nil
}

// ensureJars makes sure that dir holds Kafka's jars, each with its committed sum: fetches them when dir is not there.
func ensureJars(ctx context.Context, dir string, progress io.Writer) error {
	if _, err := os.Stat(dir); err == nil {
		return checkJars(dir, jarSums)
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return ErrNoMaven
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	// One process at a time: Maven's own folder does not bear two that fill it.
	unlock, err := lock(filepath.Join(parent, "fetch.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return checkJars(dir, jarSums) // another was first
	}
	work, err := os.MkdirTemp(parent, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), pom, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(progress, "kafka: fetching %d jars (44 MB) through Maven into %s, once\n", strings.Count(jarSums, "\n"), dir)
	jars := filepath.Join(work, "jars")
	if err := fetchJars(ctx, mvn, filepath.Join(work, "pom.xml"), jars); err != nil {
		return err
	}
	if err := checkJars(jars, jarSums); err != nil {
		return err
	}
	return os.Rename(jars, dir)
}

// fetchTries is how often Maven is asked: a repository may fail to answer once, and what came before then is in Maven's folder.
const fetchTries = 3

// fetchJars has Maven put the jars that the project file names into dir.
func fetchJars(ctx context.Context, mvn, project, dir string) (err error) {
	for range fetchTries {
		var text []byte
		text, err = exec.CommandContext(ctx, mvn, "-q", "-B", "-f", project, "dependency:copy-dependencies", "-DoutputDirectory="+dir).CombinedOutput()
		if err == nil || ctx.Err() != nil {
			break
		}
		err = fmt.Errorf("kafka: mvn dependency:copy-dependencies, %d times: %w\n%s", fetchTries, err, text)
	}
	return err
}

// lock waits for a file's lock. The file stays.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("kafka: %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}

// checkJars compares a directory with sums in sha256sum's form: nothing missing, nothing else, nothing changed.
func checkJars(dir, sums string) error {
	want := map[string]string{}
	for line := range strings.Lines(sums) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		want[name] = sum
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("kafka: jars: %w", err)
	}
	for _, entry := range entries {
		sum, err := fileSum(filepath.Join(dir, entry.Name()))
		if err != nil {
			return fmt.Errorf("kafka: jars: %w", err)
		}
		switch want[entry.Name()] {
		case sum:
			delete(want, entry.Name())
		case "":
			return fmt.Errorf("kafka: jars: %s is not one of Kafka's; remove %s to fetch them anew", entry.Name(), dir)
		default:
			return fmt.Errorf("kafka: jars: %s has SHA-256 %s, not the committed one; remove %s to fetch them anew", entry.Name(), sum, dir)
		}
	}
	for name := range want {
		return fmt.Errorf("kafka: jars: %s is missing; remove %s to fetch them anew", name, dir)
	}
	return nil
}

func fileSum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
