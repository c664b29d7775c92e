// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"fmt"
	"slices"
	"strings"
)

// A Section is a part of the manual page that --help leaves out.
type Section struct {
	Title string // in capitals: FILES, ENVIRONMENT
	Text  string // paragraphs as in Tool.Text
}

// manualSection is where pages for the administrator are.
const manualSection = 8

// suite are the tools that the pages refer to, and of other people's what ours work with.
var (
	suite  = []string{"ezio-btfiles", "ezio-mktorrent", "ezio-seed", "ezio-recv", "ezio-verify"}
	others = []string{"partclone"}
)

// manual is the tool's page in the man macros of troff.
func (t Tool) manual() string {
	var p page
	p.macro(".TH", strings.ToUpper(t.Name), fmt.Sprint(manualSection), Date, "EZIO "+Version, "EZIO")
	p.heading("NAME")
	p.line(t.Name + " - " + t.Usage)
	p.heading("SYNOPSIS")
	p.raw(".B " + escape(t.Name))
	p.line(t.synopsis())
	p.heading("DESCRIPTION")
	p.text(t.Text)
	p.heading("OPTIONS")
	for _, o := range t.options() {
		p.tagged(bold(o), strings.ToUpper(o.Text[:1])+o.sentence()[1:]+".")
	}
	p.heading("EXIT STATUS")
	for _, c := range exitCodes {
		p.tagged(`\fB`+fmt.Sprint(c.code)+`\fR`, c.meaning+".")
	}
	for _, s := range t.sections() {
		p.heading(s.Title)
		p.text(s.Text)
	}
	p.heading("SEE ALSO")
	var refs []string
	for _, name := range append(append([]string(nil), suite...), others...) {
		if name != t.Name {
			refs = append(refs, fmt.Sprintf(`\fB%s\fR(%d)`, escape(name), manualSection))
		}
	}
	p.raw(strings.Join(refs, ",\n"))
	return p.b.String()
}

// sections are the tool's own and, after them, those that hold for all; what both have goes together.
func (t Tool) sections() []Section {
	list := slices.Clone(t.More)
	for _, s := range commonSections(t.Name) {
		i := slices.IndexFunc(list, func(own Section) bool { return own.Title == s.Title })
		if i < 0 {
			list = append(list, s)
			continue
		}
		list[i].Text += "\n\n" + s.Text
	}
	return list
}

// commonSections hold for every tool.
func commonSections(tool string) []Section {
	return []Section{
		{"DIAGNOSTICS", "An error is one line on standard error, beginning with the program's name; where something " +
			"can be done about it, a second line begins with hint:. Standard output has nothing but the product, " +
			"or the events of --progress json.\n\n  " + tool + ": write /dev/sda1 at 0x8000000: input/output error"},
		{"ENVIRONMENT", "GOMEMLIMIT bounds the memory that garbage may take; without it, three quarters of what the " +
			"machine or its control group allows. http_proxy, https_proxy and no_proxy hold for a torrent's URL."},
	}
}

// A page is troff source under construction.
type page struct{ b strings.Builder }

func (p *page) raw(s string)         { p.b.WriteString(s + "\n") }
func (p *page) line(s string)        { p.raw(escape(s)) }
func (p *page) heading(title string) { p.macro(".SH", title) }
func (p *page) tagged(tag, s string) { p.raw(".TP"); p.raw(tag); p.line(s) }
func (p *page) macro(args ...string) { p.raw(args[0] + quote(args[1:])) }
func (p *page) example(lines []string) {
	p.raw(".PP")
	p.raw(".RS 4")
	p.raw(".EX")
	for _, l := range lines {
		p.line(l)
	}
	p.raw(".EE")
	p.raw(".RE")
}

// text sets paragraphs: they are separated by empty lines, and one whose lines are indented is an
// example, which keeps its lines.
func (p *page) text(s string) {
	for i, block := range blocks(s) {
		switch {
		case block.example:
			p.example(block.lines)
		default:
			if i > 0 {
				p.raw(".PP")
			}
			for _, l := range block.lines {
				p.line(l)
			}
		}
	}
}

// A block is a paragraph or an example.
type block struct {
	example bool
	lines   []string
}

func blocks(s string) []block {
	var list []block
	for _, par := range strings.Split(strings.TrimSpace(s), "\n\n") {
		for _, l := range strings.Split(par, "\n") {
			example := strings.HasPrefix(l, "  ")
			if n := len(list); n == 0 || list[n-1].example != example || l == par || strings.HasPrefix(par, l+"\n") {
				list = append(list, block{example: example})
			}
			b := &list[len(list)-1]
			b.lines = append(b.lines, strings.TrimPrefix(l, "  "))
		}
	}
	return list
}

// escape makes text that troff prints as it is: hyphens that can be copied to a command line, and no
// line that is taken for a request.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `…`, `...`, `^`, `\(ha`, `~`, `\(ti`, "`", `\(ga`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

func quote(args []string) string {
	var s string
	for _, a := range args {
		s += ` "` + strings.NewReplacer(`\`, `\e`, `"`, `\(dq`).Replace(a) + `"`
	}
	return s
}

// bold is an option's synopsis as a tag: its names bold, its value in italics.
func bold(o option) string {
	s := `\fB` + escape("--"+o.Long) + `\fR`
	if o.Short != "" {
		s = `\fB` + escape("-"+o.Short) + `\fR, ` + s
	}
	if o.Arg != "" {
		s += ` \fI` + escape(o.Arg) + `\fR`
	}
	return s
}
