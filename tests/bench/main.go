// SPDX-License-Identifier: GPL-2.0-or-later

// Bench measures how long it takes to bring one image to N machines, ours beside others in the
// same run.
//
// Every machine is a network namespace on a bridge; its link is limited in both directions. The
// tools under test are black boxes: programs started in those namespaces, judged by the time they
// report, the CPU time and memory the kernel accounts to them, the bytes on the seed's interface,
// and a comparison of every byte they wrote. README.md says how to run it and how to read it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line's.
type options struct {
	run, with         string
	receivers         string
	size, delay       string
	quick, list, keep bool
	repeat            int
	bin, dir          string
	json, svg         string
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.run, "run", "", "scenarios to run, separated by commas (default all; see -list)")
	fs.StringVar(&o.with, "with", "", "contestants, separated by commas (default: what the scenario says)")
	fs.StringVar(&o.receivers, "n", "", "numbers of receivers, separated by commas, instead of the scenario's")
	fs.StringVar(&o.size, "size", "", "MiB of the image instead of the scenario's")
	fs.StringVar(&o.delay, "disk-delay", "20ms", "what the slow disk takes for each write")
	fs.BoolVar(&o.quick, "quick", false, "smaller images and fewer receivers: about three minutes")
	fs.BoolVar(&o.list, "list", false, "list the scenarios and contestants and stop")
	fs.BoolVar(&o.keep, "keep-logs", false, "keep the logs of every program, not only of failed rounds")
	fs.IntVar(&o.repeat, "repeat", 1, "run each round so many times and report the one in the middle")
	fs.StringVar(&o.bin, "bin", defaultBin(), "directory of ezio-seed and ezio-recv")
	fs.StringVar(&o.dir, "dir", "/dev/shm", "directory for sources and targets; in memory, so that no disk is measured")
	fs.StringVar(&o.json, "json", "", "also write the results as JSON to this file")
	fs.StringVar(&o.svg, "svg", "", "also draw the results as SVG to this file")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.repeat < 1 {
		return o, fmt.Errorf("-repeat %d: must be at least 1", o.repeat)
	}
	return o, nil
}

// defaultBin finds bin/ beside our own directory there: `make bench` builds us to bin/bench/.
func defaultBin() string {
	exe, err := os.Executable()
	if err != nil {
		return "../../bin"
	}
	return filepath.Dir(filepath.Dir(exe))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	if o.list {
		return list(stdout)
	}
	if os.Geteuid() != 0 {
		return errors.New("must be root: it makes network namespaces")
	}
	capture, others, swarms := wantsCapture(o.run)
	o.run = others
	var plans []Plan
	if swarms {
		if plans, err = selectPlans(o); err != nil {
			return err
		}
	}
	tools, err := findTools(o.bin, plans)
	if err != nil {
		return err
	}
	if err := sweep(ctx, o.dir); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, ownPrefix())
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	b := &bench{tools: tools, dir: dir, keepLogs: o.keep, repeat: o.repeat, stderr: stderr, lone: map[loneKey]float64{}}
	defer b.dropImage()
	report := Report{Date: time.Now().UTC(), Machine: describeMachine(), Command: strings.Join(append([]string{"bench"}, args...), " ")}
	if capture {
		if report.Capture, err = runCapture(ctx, o, dir, stderr); err != nil {
			return err
		}
	}
	report.Results, err = b.runAll(ctx, plans)
	// What was measured before a failure or Ctrl+C is worth its print.
	return errors.Join(err, publish(report, o, stdout), failures(report.Results))
}

// publish prints the table and writes the files asked for.
func publish(r Report, o options, stdout io.Writer) error {
	if len(r.Results) == 0 && len(r.Capture) == 0 {
		return nil
	}
	if err := r.WriteTable(stdout); err != nil {
		return err
	}
	if o.json != "" {
		if err := writeFile(o.json, r.WriteJSON); err != nil {
			return err
		}
	}
	if o.svg != "" {
		return writeFile(o.svg, r.WriteSVG)
	}
	return nil
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Close()
}

// failures makes the exit code: a round that failed, or wrote other bytes than the image's, is
// never only a line in a table.
func failures(results []Result) error {
	var errs []error
	for _, r := range results {
		if r.Error != "" {
			errs = append(errs, fmt.Errorf("%s: %s", r.Title(), r.Error))
		}
	}
	return errors.Join(errs...)
}
