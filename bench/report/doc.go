// Package report is `bench report`: it reads the JSON files that bench's commands write, and makes them readable, as Markdown and as one HTML page.
//
// A file goes three steps, each of which knows nothing of those beside it:
//
//	read.go       a file's bytes become a run: the head, and the body by the type of the tool that wrote it
//	race.go ...   a run becomes a section: facts, tables and figures, the same for both outputs
//	markdown.go   a section becomes text; figures are left out
//	html.go       a section becomes part of a page; figures are drawn by draw.go, at two widths
//
// The files are bytes from outside. Keys that are not known are passed over, because a newer bench may write more of them under the same format; another format is refused, because its
// keys mean something else. What they say reaches the page through html/template only, and Markdown through escape. Numbers may be anything that JSON can hold, so every scale is
// bounded, whatever lies on it.
//
// The same files give the same bytes: no time, no path and no order of a map enters.
package report
