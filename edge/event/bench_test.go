package event

import "testing"

func BenchmarkAppendRecord(b *testing.B) {
	e := example()
	buffer := make([]byte, 0, 2048)
	b.SetBytes(int64(len(exampleRecord)))
	b.ReportAllocs()
	for b.Loop() {
		AppendRecord(buffer, e)
	}
}

func BenchmarkDecode(b *testing.B) {
	_, document, _ := SplitRecord([]byte(exampleRecord))
	var d Decoder
	var e Event
	b.SetBytes(int64(len(document)))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Decode(&e, document); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeGeneral(b *testing.B) {
	_, document, _ := SplitRecord([]byte(exampleRecord))
	document = append(document, ' ')
	var d Decoder
	var e Event
	b.SetBytes(int64(len(document)))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Decode(&e, document); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnique(b *testing.B) {
	e := example()
	b.ReportAllocs()
	for b.Loop() {
		e.Unique()
	}
}
