package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
)

// fuzzHeader is the fixed identity under which fuzzed bytes are read.
var fuzzHeader = header{run: 0x1122334455667788, number: 7, ordinal: 2, size: minSegmentBytes, begun: 1}

// fuzzSegment is a valid segment with a record, a hole, a record and an end.
func fuzzSegment(end kind) []byte {
	mem := make([]byte, minSegmentBytes)
	h := fuzzHeader
	h.put(mem)
	off := int64(headerPage)
	for _, p := range []string{"first", "", "a longer one of some bytes"} {
		length := lengthWord(kindRecord, int64(len(p)))
		commit := commitWord(h.seed(), h.base()+uint64(off/alignment), length)
		binary.LittleEndian.PutUint32(mem[off:], length)
		copy(mem[off+recordHeader:], p)
		binary.LittleEndian.PutUint32(mem[off+4:], checksum(commit, []byte(p)))
		binary.LittleEndian.PutUint64(mem[off+8:], commit)
		off += aligned(len(p))
		putMark(mem, off, off+64, kindSkipped, h.seed(), h.base())
		off += 64
	}
	putMark(mem, off, h.size, end, h.seed(), h.base())
	return mem[:off+recordHeader]
}

// TestFormatIsPinned: files of version 1 must stay readable, so its bytes must not change.
func TestFormatIsPinned(t *testing.T) {
	got := sha256.Sum256(fuzzSegment(kindEndOfRun))
	if want := "26eb0438438bdb8373a98aba06813f7d0267ee10c44b9a99a3c44ba1b7f9705f"; hex.EncodeToString(got[:]) != want {
		t.Errorf("the bytes of a segment changed: %x, want %s", got, want)
	}
}

// FuzzReader gives a reader a segment of arbitrary bytes, alone and followed by another run, from its beginning and from a place within.
// Nothing may panic, and every record must prove itself against the bytes by a check of its own.
func FuzzReader(f *testing.F) {
	whole := fuzzSegment(kindEndOfRun)
	head, body := whole[:endAt+8], whole[headerPage:]
	f.Add([]byte(nil), body, uint16(0), false)
	f.Add(head, fuzzSegment(kindEndOfSegment)[headerPage:], uint16(0), true)
	f.Add([]byte("no header"), body, uint16(513), true)
	f.Add(head, body[:40], uint16(520), true)
	f.Add([]byte(nil), append(append([]byte(nil), body[:100]...), 0xff, 0xff, 0xff, 0xff), uint16(600), true)
	f.Fuzz(func(t *testing.T, head, body []byte, resume uint16, followed bool) {
		dir := t.TempDir()
		mem := make([]byte, minSegmentBytes)
		copy(mem, whole[:endAt])
		copy(mem[minSegmentBytes-headerBytes:], whole[:headerBytes])
		copy(mem, head)
		copy(mem[headerPage:], body)
		if err := os.WriteFile(segmentPath(dir, fuzzHeader.number), mem, 0o600); err != nil {
			t.Fatal(err)
		}
		if followed {
			next := fuzzHeader
			next.run, next.number, next.ordinal = 9, 8, 0
			page := make([]byte, minSegmentBytes)
			next.put(page)
			if err := os.WriteFile(segmentPath(dir, 8), page, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := NewReader(ReaderOptions{Dir: dir, Resume: func(Run) uint64 { return fuzzHeader.base() + uint64(resume) }})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for n := 0; ; n++ {
			rec, err := r.Next()
			if err != nil {
				break
			}
			if n > minSegmentBytes/recordHeader {
				t.Fatal("more records than fit")
			}
			proveRecord(t, mem, rec)
		}
	})
}

// proveRecord holds a record against the drawing in doc.go, without the package's own checks.
func proveRecord(t *testing.T, mem []byte, rec Record) {
	t.Helper()
	off := (rec.Sequence - fuzzHeader.base()) * 8
	le := binary.LittleEndian
	length := le.Uint32(mem[off:])
	commit := le.Uint64(mem[off+8:])
	scramble := func(x uint64) uint64 {
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		return x ^ x>>31
	}
	seed := scramble(uint64(rec.Run) ^ scramble(8))
	want := scramble(seed + rec.Sequence*0x9e3779b97f4a7c15 + uint64(length)*0xd6e8feb86659fd93)
	payload := mem[off+16 : off+16+uint64(length)]
	if commit != want || string(rec.Payload) != string(payload) {
		t.Fatalf("record at %d is not what stands there", off)
	}
	sum := crc32.Update(uint32(commit^commit>>32), crc32.MakeTable(crc32.Castagnoli), payload)
	if le.Uint32(mem[off+4:]) != sum {
		t.Fatalf("record at %d fails its checksum", off)
	}
}

// FuzzOpen lets a writer take over a directory with an arbitrary segment in it, cut anywhere, append, and a reader read it all.
func FuzzOpen(f *testing.F) {
	whole := fuzzSegment(kindEndOfRun)
	f.Add(whole[headerPage:], uint16(minSegmentBytes-1))
	f.Add(fuzzSegment(kindEndOfSegment)[headerPage:], uint16(minSegmentBytes-1))
	f.Add(whole[headerPage:][:120], uint16(headerPage+100))
	f.Add([]byte(nil), uint16(0))
	f.Fuzz(func(t *testing.T, body []byte, cut uint16) {
		dir := filepath.Join(t.TempDir(), "journal")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		mem := make([]byte, minSegmentBytes)
		copy(mem, whole[:endAt])
		copy(mem[headerPage:], body)
		if err := os.WriteFile(segmentPath(dir, fuzzHeader.number), mem[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		o := Options{Dir: dir, SegmentBytes: minSegmentBytes, Budget: 1 << 20, Sync: -1, Logger: quiet()}
		w := mustOpen(t, o)
		mustAppend(t, w, "mine")
		mustClose(t, w)
		got := readAll(t, dir)
		if n := len(got.payloads); n == 0 || got.payloads[n-1] != "mine" {
			t.Fatalf("the new record is not the last: %q", got.payloads)
		}
		if got.Position().Run != w.Run() {
			t.Fatalf("ended in run %v", got.Position().Run)
		}
	})
}
