package link

import (
	"os"
	"os/exec"
	"testing"
)

// A decoder written from the comments alone, in another language, agrees on every vector.
func TestDecoderInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no python3: the decoder in testdata/decode.py was not run")
		}
		t.Skip("NOT RUN: no python3 for the decoder in testdata/decode.py")
	}
	output, err := exec.Command(python, "testdata/decode.py", vectorFile, "internal/urlcode/model1.bin").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	t.Logf("%s", output)
}
