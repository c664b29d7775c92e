// SPDX-License-Identifier: GPL-2.0-or-later

// Package docs holds the pages to what is there: links lead somewhere, flags exist, and what
// docs/troubleshooting.md says that the programs say, they can say.
package docs

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// pages are README.md, CHANGELOG.md and what is in docs.
func pages(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	for _, p := range append(paths, filepath.Join(root, "README.md"), filepath.Join(root, "CHANGELOG.md")) {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		list[p] = string(b)
	}
	if len(list) < 10 {
		t.Fatalf("only %d pages", len(list))
	}
	return list
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchor is what GitHub makes of a heading.
func anchor(h string) string {
	return strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(h)), ""), " ", "-")
}

func anchors(page string) (list []string) {
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		list = append(list, anchor(m[1]))
	}
	return list
}

func TestLinks(t *testing.T) {
	all, n := pages(t), 0
	for from, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			to, place, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, "://") {
				continue
			}
			n++
			target := from
			if to != "" {
				target = filepath.Join(filepath.Dir(from), to)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere", from, m[1])
			} else if place != "" && !slices.Contains(anchors(all[target]), place) {
				t.Errorf("%s: %s: there is no such heading", from, m[1])
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d links found", n)
	}
}

var (
	command = regexp.MustCompile(`ezio-(btfiles|mktorrent|seed|recv|verify)\b([^|` + "`" + `>\n]*)`)
	flag    = regexp.MustCompile(`(?:^|\s)(--?[a-z][a-z-]*)`)
)

// Every flag in a command line or remark of the pages is one of that tool's.
func TestFlags(t *testing.T) {
	help, n := map[string]string{}, 0
	for _, tool := range []string{"btfiles", "mktorrent", "seed", "recv", "verify"} {
		out, err := exec.Command("go", "run", "ezio/cmd/ezio-"+tool, "--help").CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", tool, err, out)
		}
		help[tool] = string(out)
	}
	for page, text := range pages(t) {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			arguments, _, _ := strings.Cut(m[2], " #")
			for _, f := range flag.FindAllStringSubmatch(arguments, -1) {
				n++
				known := regexp.MustCompile(`(?m)^  (-\w, )?` + f[1] + `[ ,\n]|^  ` + f[1] + `, `)
				if !known.MatchString(help[m[1]]) {
					t.Errorf("%s: ezio-%s has no %s (%s)", page, m[1], f[1], strings.TrimSpace(m[0]))
				}
			}
		}
	}
	if n < 60 {
		t.Errorf("only %d flags found", n)
	}
}

// The map in docs/architecture.md has every package.
func TestPackages(t *testing.T) {
	text := pages(t)[filepath.Join(root, "docs", "architecture.md")]
	dirs, err := os.ReadDir(filepath.Join(root, "lib"))
	if err != nil || len(dirs) < 20 {
		t.Fatalf("%d packages, %v", len(dirs), err)
	}
	for _, d := range dirs {
		if !strings.Contains(text, "`"+d.Name()+"`") {
			t.Errorf("lib/%s is not on the map", d.Name())
		}
	}
}

// sources is every Go file that is no test.
func sources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range []string{"lib", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
				return err
			}
			text, err := os.ReadFile(p)
			b.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

var (
	symptom = regexp.MustCompile("(?m)^### `(.+)`$|^- `(.+?)`(?:, `(.+?)`)?[,:]")
	system  = []string{"input/output error", "address already in use", "exit status"} // not our words
)

// Each message in docs/troubleshooting.md is in the code, but for what varies in it.
func TestMessages(t *testing.T) {
	text, n := sources(t), 0
	for _, m := range symptom.FindAllStringSubmatch(pages(t)[filepath.Join(root, "docs", "troubleshooting.md")], -1) {
		for _, message := range m[1:] {
			for part := range strings.SplitSeq(message, "…") {
				part = strings.Trim(part, " :")
				if part == "" || slices.ContainsFunc(system, func(s string) bool { return strings.HasPrefix(part, s) }) {
					continue
				}
				n++
				if !strings.Contains(text, part) {
					t.Errorf("nothing says %q", part)
				}
			}
		}
	}
	if n < 40 {
		t.Errorf("only %d messages found", n)
	}
}
