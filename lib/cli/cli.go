// SPDX-License-Identifier: GPL-2.0-or-later

// Package cli is what the five tools have in common on their outside: flags, exit codes, signals,
// and the contract of the three streams.
//
// A tool is a function run(ctx, args, stdin, stdout, stderr) error and a main that hands it to
// Main. Only this package and cmd/ see os.Exit, the global streams and the flag library. The
// product goes to stdout, everything for people to stderr, errors as one line:
//
//	ezio-recv: write /dev/sda1 at 0x8000000: input/output error
//	hint: …
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/urfave/cli/v2"

	"ezio/lib/limits"
)

// Version and Date (of the commit, 2006-01-02) are set by the Makefile from git.
var (
	Version = "dev"
	Date    = ""
)

// A RunFunc is a whole tool. args[0] is the program's name.
type RunFunc func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error

// Main runs a tool on the process's streams and ends the process with the exit code that Code
// gives its error. SIGINT, SIGTERM and SIGHUP cancel the context; a second one ends the process
// at once.
func Main(run RunFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// Without this a closed pipe on stdout would end the process silently, with files half done.
	signal.Ignore(syscall.SIGPIPE)
	// Garbage is collected sooner where memory is short, rather than the process killed.
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limits.Memory() / 4 * 3)
	}
	var interrupted atomic.Bool
	sig := make(chan os.Signal, 2)
	signal.Notify(sig, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-sig
		interrupted.Store(true)
		cancel()
		<-sig
		os.Exit(Interrupted)
	}()
	err := run(ctx, os.Args, &stdin{f: os.Stdin, ctx: ctx}, os.Stdout, os.Stderr)
	code := Code(err)
	// Whatever a cancelled part calls its failure, the cause was the signal; but a finished tool
	// has finished.
	if err != nil && interrupted.Load() {
		code = Interrupted
		err = ErrInterrupted
	}
	Report(os.Stderr, filepath.Base(os.Args[0]), err)
	os.Exit(code)
}

// Report prints an error as the contract has it: one line, and a hint where there is one.
func Report(stderr io.Writer, tool string, err error) {
	if err == nil || Silent(err) {
		return
	}
	fmt.Fprintf(stderr, "%s: %s\n", tool, oneLine(err.Error()))
	if h := Hint(err); h != "" {
		fmt.Fprintf(stderr, "hint: %s\n", oneLine(h))
	}
}

// A Tool describes one program to the flag library.
type Tool struct {
	Name    string
	Usage   string    // one line: what it does
	Args    string    // synopsis of what follows the name
	Text    string    // the manual: what it reads and writes, and indented examples
	More    []Section // what only the manual page has
	MaxArgs int       // how many positional arguments it takes
	Flags   []cli.Flag
	Action  func(*Call) error
}

// A Call is one run of a Tool with its flags parsed.
type Call struct {
	*cli.Context
	Tool   string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Run parses args and runs the tool's action.
func (t Tool) Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := t.flags()
	app := &cli.App{
		Name:            t.Name,
		HelpName:        t.Name,
		Usage:           t.Usage,
		UsageText:       t.Name + " " + t.synopsis(),
		Description:     t.Text,
		Version:         Version,
		HideHelpCommand: true,
		// A path may hold a comma.
		DisableSliceFlagSeparator: true,

		HideVersion:    true, // our own flag: the library's takes -v
		Flags:          flags,
		Reader:         stdin,
		Writer:         stdout,
		ErrWriter:      stderr,
		ExitErrHandler: func(*cli.Context, error) {}, // Main alone ends the process
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return t.wrongUsage(err)
		},
		CustomAppHelpTemplate: helpTemplate,
		Action: func(c *cli.Context) error {
			if done, err := t.about(c, stdout); done {
				return err
			}
			if c.NArg() > t.MaxArgs {
				return Usagef("unexpected argument %q", c.Args().Get(t.MaxArgs)).WithHint("%s --help", t.Name)
			}
			if c.Bool("quiet") && c.Bool("verbose") {
				return Usagef("--quiet and --verbose exclude each other")
			}
			call := &Call{Context: c, Tool: t.Name, Stdin: stdin, Stdout: stdout, Stderr: stderr}
			if err := call.setPriority(); err != nil {
				return err
			}
			return t.Action(call)
		},
	}
	return app.RunContext(ctx, flagsFirst(app.Flags, args))
}

// about answers questions about the tool itself, if the command line asks one.
func (t Tool) about(c *cli.Context, stdout io.Writer) (asked bool, err error) {
	var text string
	switch {
	case c.Bool("version"):
		text = t.Name + " " + Version + "\n"
	case c.Bool("man"):
		text = t.manual()
	case c.IsSet("completion"):
		if text, err = t.completion(c.String("completion")); err != nil {
			return true, err
		}
	default:
		return false, nil
	}
	return true, Emit(stdout, []byte(text), false)
}

// synopsis is what follows the name on a command line.
func (t Tool) synopsis() string {
	if strings.Contains(t.Args, "OPTION") {
		return t.Args
	}
	return t.Args + " [OPTION]..."
}

func (t Tool) flags() []cli.Flag { return append(slices.Clone(t.Flags), commonFlags()...) }

const helpTemplate = `{{.Name}} - {{.Usage}}

Usage:
  {{.UsageText}}

{{.Description}}

Options:
{{range .VisibleFlags}}  {{.}}
{{end}}
` + "Exit codes: 0 done, 1 failed while working, 2 usage, 3 data does not match,\n" +
	"4 target or source refused, 130 interrupted.\n"
