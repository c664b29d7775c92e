// SPDX-License-Identifier: GPL-2.0-or-later

package conf

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// literal is a word without its quotes. A word in which a shell would expand or execute anything is
// an error.
func literal(w *syntax.Word) (string, error) {
	if w == nil {
		return "", nil
	}
	if lit, ok := w.Parts[0].(*syntax.Lit); ok && strings.HasPrefix(lit.Value, "~") {
		return "", wrong(w.Pos(), "~ is not expanded: write the whole path, or quote it")
	}
	var b strings.Builder
	if err := unquote(&b, w.Parts, ""); err != nil {
		return "", err
	}
	return b.String(), nil
}

// unquote writes the parts of a word. special is what a backslash quotes there, "" for any character
// (XCU 2.2: outside of quotes all, within double quotes only these).
func unquote(b *strings.Builder, parts []syntax.WordPart, special string) error {
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			unescape(b, part.Value, special)
		case *syntax.SglQuoted:
			b.WriteString(part.Value)
		case *syntax.DblQuoted:
			if err := unquote(b, part.Parts, "$`\"\\\n"); err != nil {
				return err
			}
		case *syntax.ParamExp:
			return wrong(part.Pos(), "variables are not expanded: put what has a $ in single quotes")
		case *syntax.CmdSubst:
			return wrong(part.Pos(), "nothing is executed: put what has a $( or ` in single quotes")
		default:
			return wrong(part.Pos(), "only plain and quoted text is read")
		}
	}
	return nil
}

func unescape(b *strings.Builder, s, special string) {
	for {
		before, after, found := strings.Cut(s, "\\")
		b.WriteString(before)
		switch {
		case !found:
			return
		case after == "" || special != "" && !strings.Contains(special, after[:1]):
			b.WriteByte('\\')
			s = after
		default:
			if after[0] != '\n' { // a line that goes on
				b.WriteByte(after[0])
			}
			s = after[1:]
		}
	}
}
