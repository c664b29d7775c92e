// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"fmt"
	"slices"
	"strings"
)

// shells are those that completions are made for.
var shells = []string{"bash", "zsh", "fish"}

// completion is the script that makes a shell complete the tool's options and their values. It has
// everything in it: pressing Tab must not run a program on a half-typed line.
func (t Tool) completion(shell string) (string, error) {
	switch shell {
	case "bash":
		return t.bash(), nil
	case "zsh":
		return t.zsh(), nil
	case "fish":
		return t.fish(), nil
	}
	return "", Usagef("--completion %q is not one of %s", shell, strings.Join(shells, ", "))
}

// ifaces lists the network interfaces, in any shell.
const ifaces = "ls /sys/class/net 2>/dev/null"

func (t Tool) bash() string {
	var b strings.Builder
	fn := "_" + strings.ReplaceAll(t.Name, "-", "_")
	fmt.Fprintf(&b, "# %s: completion for bash, made by %s --completion bash\n%s() {\n", t.Name, t.Name, fn)
	b.WriteString("\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n\tCOMPREPLY=()\n")
	// readline takes = for a word of its own: --progress=js arrives as three.
	b.WriteString("\tif [[ $cur == = ]]; then cur=\n\telif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n")
	b.WriteString("\tcase $prev in\n")
	var words []string
	for _, o := range t.options() {
		words = append(words, "--"+o.Long)
		if o.Arg == "" {
			continue
		}
		names := "--" + o.Long
		if o.Short != "" {
			names += "|-" + o.Short
		}
		fmt.Fprintf(&b, "\t%s) %sreturn ;;\n", names, bashValues(o.Values))
	}
	b.WriteString("\tesac\n")
	fmt.Fprintf(&b, "\tif [[ $cur == -* ]]; then mapfile -t COMPREPLY < <(compgen -W %q -- \"$cur\"); return; fi\n", strings.Join(words, " "))
	if t.MaxArgs > 0 {
		b.WriteString("\tcompopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n")
	}
	fmt.Fprintf(&b, "}\ncomplete -F %s %s\n", fn, t.Name)
	return b.String()
}

func bashValues(v values) string {
	switch {
	case v.Files:
		return `compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); `
	case v.Interface:
		return `mapfile -t COMPREPLY < <(compgen -W "$(` + ifaces + `)" -- "$cur"); `
	case len(v.Words) > 0:
		return fmt.Sprintf(`mapfile -t COMPREPLY < <(compgen -W %q -- "$cur"); `, strings.Join(v.Words, " "))
	}
	return ""
}

func (t Tool) zsh() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %s\n# made by %s --completion zsh\n_arguments -s", t.Name, t.Name)
	for _, o := range t.options() {
		fmt.Fprintf(&b, " \\\n\t%s", zshSpec(o))
	}
	if t.MaxArgs > 0 {
		b.WriteString(" \\\n\t'*:file:_files'")
	}
	b.WriteString("\n")
	return b.String()
}

// zshSpec is one argument of _arguments: names that exclude each other, what it does, the value.
func zshSpec(o option) string {
	names, long := "--"+o.Long, "--"+o.Long
	if o.Arg != "" {
		long += "="
	}
	excluding := "(" + names + ")"
	if o.Short != "" {
		excluding = fmt.Sprintf("(-%s --%s)", o.Short, o.Long)
	}
	if o.Repeat {
		excluding = `\*`
	}
	rest := "[" + zshQuote(o.Text) + "]"
	if o.Arg != "" {
		rest += ":" + zshQuote(o.Arg) + ":" + zshValues(o.Values)
	}
	if o.Short == "" {
		return zshWord(excluding, long+rest)
	}
	short := "-" + o.Short
	if o.Arg != "" {
		short += "+"
	}
	return zshWord(excluding, short+rest) + " \\\n\t" + zshWord(excluding, long+rest)
}

func zshWord(excluding, spec string) string {
	if excluding == `\*` {
		excluding = "*"
	}
	return "'" + excluding + spec + "'"
}

func zshValues(v values) string {
	switch {
	case v.Files:
		return "_files"
	case v.Interface:
		return "_net_interfaces"
	case len(v.Words) > 0:
		return "(" + strings.Join(v.Words, " ") + ")"
	}
	return " "
}

func zshQuote(s string) string {
	return strings.NewReplacer(`'`, `'\''`, `[`, `\[`, `]`, `\]`, `:`, `\:`).Replace(s)
}

func (t Tool) fish() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: completion for fish, made by %s --completion fish\n", t.Name, t.Name)
	if t.MaxArgs == 0 {
		fmt.Fprintf(&b, "complete -c %s -f\n", t.Name)
	}
	for _, o := range t.options() {
		words := []string{"complete", "-c", t.Name, "-l", o.Long}
		if o.Short != "" {
			words = append(words, "-s", o.Short)
		}
		if o.Arg != "" {
			words = append(words, fishValues(o.Values)...)
		}
		words = append(words, "-d", fishQuote(o.Text))
		b.WriteString(strings.Join(words, " ") + "\n")
	}
	return b.String()
}

func fishValues(v values) []string {
	switch {
	case v.Files:
		return []string{"-r", "-F"}
	case v.Interface:
		return []string{"-x", "-a", fishQuote("(" + ifaces + ")")}
	case len(v.Words) > 0:
		return []string{"-x", "-a", fishQuote(strings.Join(slices.Clone(v.Words), " "))}
	}
	return []string{"-x"}
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
