package report

import (
	"bytes"
	_ "embed" // the page
	"html/template"
	"io"
)

//go:embed page.html
var pageText string

// pageTemplate escapes whatever a file holds by where it stands. No text from a file is ever marked as safe.
var pageTemplate = template.Must(template.New("page").Parse(pageText))

// writeHTML writes one page that holds all it needs: style and pictures are in it, there is no script, and its policy forbids the browser to load anything.
func (p *page) writeHTML(w io.Writer) error {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Left says whether the i-th column of a table holds words.
func (t table) Left(i int) bool { return i < t.Words }
