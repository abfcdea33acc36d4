package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// writeMarkdown writes everything but the figures, whose numbers stand in the tables.
func (p *page) writeMarkdown(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# Results\n")
	for _, s := range p.Sections {
		s.writeMarkdown(&b)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (s *section) writeMarkdown(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n## %s: %s\n\n", escape(s.Title), escape(s.File))
	for _, text := range s.Outcome {
		fmt.Fprintf(b, "- %s\n", escape(text))
	}
	if len(s.Outcome) > 0 {
		b.WriteString("\n")
	}
	b.WriteString("| | |\n|---|---|\n")
	for _, f := range s.Facts {
		text := escape(f.Text)
		if f.Code {
			text = code(f.Text)
		}
		fmt.Fprintf(b, "| %s | %s |\n", escape(f.Name), text)
	}
	for _, p := range s.Parts {
		fmt.Fprintf(b, "\n### %s\n", escape(p.Title))
		for _, t := range p.Tables {
			t.writeMarkdown(b)
		}
		for i, note := range p.Notes {
			if i == 0 {
				b.WriteString("\n")
			}
			fmt.Fprintf(b, "- %s\n", escape(note))
		}
	}
}

func (t *table) writeMarkdown(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n%s:\n\n", escape(t.Caption))
	row := func(cells []string) {
		b.WriteString("|")
		for _, cell := range cells {
			b.WriteString(strings.TrimRight(" "+escape(cell), " ") + " |")
		}
		b.WriteString("\n")
	}
	row(t.Head)
	b.WriteString("|")
	for i := range t.Head {
		if i < t.Words {
			b.WriteString("---|")
		} else {
			b.WriteString("--:|")
		}
	}
	b.WriteString("\n")
	for _, cells := range t.Rows {
		row(cells)
	}
}

// special is what Markdown, or the HTML in it, would read as more than itself.
const special = "\\`*_[]<>|&#~!$"

// escape makes text mean itself in Markdown, in one line, whatever it is. An underscore between letters and digits means itself already.
func escape(text string) string {
	var b strings.Builder
	runes := []rune(oneLine(text))
	for i, r := range runes {
		inWord := r == '_' && i > 0 && i+1 < len(runes) && alphanumeric(runes[i-1]) && alphanumeric(runes[i+1])
		if strings.ContainsRune(special, r) && !inWord {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func alphanumeric(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// code is text as it is, between backticks: more of them than it holds in a row itself.
func code(text string) string {
	text = strings.ReplaceAll(oneLine(text), "|", `\|`)
	if text == "" {
		return ""
	}
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		text = " " + text + " "
	}
	return fence + text + fence
}

// oneLine has blanks for what ends a line and for what cannot be seen.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Cf) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}
