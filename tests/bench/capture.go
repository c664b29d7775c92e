// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// captureName is the scenario that needs no network: how fast a disk becomes a torrent.
const captureName = "capture"

const captureAbout = "a device in the page cache to torrent.info, and 200,000 records to a torrent, beside partclone, sha1sum and libtorrent"

//go:embed libtorrent_create.py
var libtorrentCreate []byte

// CaptureResult is one program at one job: the fastest of several runs, which is the one that what else
// runs on the machine has hindered least.
type CaptureResult struct {
	Job     string  `json:"job"`
	Program string  `json:"program"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds"`
	Bytes   int64   `json:"bytes,omitempty"` // read of the device
	Ours    float64 `json:"ours"`            // how many times as fast the job's first program, ours, is
}

// captureRuns is how often each program runs when -repeat does not say.
const captureRuns = 5

// wantsCapture says whether -run asks for it, and what else it asks for; rest is false when that is
// nothing.
func wantsCapture(names string) (capture bool, others string, rest bool) {
	if names == "" {
		return true, "", true
	}
	list := strings.Split(names, ",")
	left := slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == captureName })
	return len(left) < len(list), strings.Join(left, ","), len(left) > 0
}

// A captureJob is what several programs do, each in its own way; ours comes first.
type captureJob struct {
	name     string
	bytes    int64
	programs []captureProgram
}

type captureProgram struct {
	name string
	args []string
	// clean prepares for each run; nil does nothing.
	clean func() error
	// own is set for a program that prints how long the part of it took that counts.
	own bool
}

// runCapture measures all jobs in a directory.
func runCapture(ctx context.Context, o options, dir string, stderr io.Writer) ([]CaptureResult, error) {
	s, err := o.settings()
	if err != nil {
		return nil, err
	}
	disk, err := makeDisk(ctx, dir, s.size(2048, 512), stderr)
	if err != nil {
		return nil, err
	}
	defer disk.close()
	runs := o.repeat
	if runs == 1 {
		runs = pick(s, captureRuns, 3)
	}
	jobs, err := captureJobs(ctx, o.bin, dir, disk)
	if err != nil {
		return nil, err
	}
	var results []CaptureResult
	for _, job := range jobs {
		fmt.Fprintf(stderr, "bench: capture: %s, %d programs, %d runs each\n", job.name, len(job.programs), runs)
		list, err := job.run(ctx, runs)
		if err != nil {
			return results, fmt.Errorf("capture: %w", err)
		}
		results = append(results, list...)
	}
	return results, nil
}

// captureJobs are the comparisons. The programs do what a user would type.
func captureJobs(ctx context.Context, bin, dir string, d *captureDisk) ([]captureJob, error) {
	torrent, info := filepath.Join(dir, "e.torrent"), filepath.Join(dir, "many.info")
	script := filepath.Join(dir, "libtorrent_create.py")
	err := errors.Join(writeRecords(info, 200_000), os.WriteFile(script, libtorrentCreate, 0o700))
	if err != nil {
		return nil, err
	}
	tool := func(name string) string { return filepath.Join(bin, name) }
	make := fmt.Sprintf("%s -q -s %s | %s -q -o %s", tool("ezio-btfiles"), d.dev, tool("ezio-mktorrent"), torrent)
	if out, err := exec.CommandContext(ctx, "sh", "-c", make).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", make, err, out)
	}
	parts := filepath.Join(dir, "t")
	return []captureJob{
		{"capture", d.used, []captureProgram{
			{name: "ezio-btfiles -s DEV", args: []string{tool("ezio-btfiles"), "-q", "-s", d.dev}},
			{name: "partclone.extfs -c -t -s DEV", args: []string{"partclone.extfs", "-c", "-t", "-s", d.dev, "-o", parts, "-L", "/dev/null"},
				clean: func() error { return os.RemoveAll(parts) }},
			{name: "sha1sum DEV", args: []string{"sha1sum", d.dev}},
			{name: "ezio-verify", args: []string{tool("ezio-verify"), "-q", "-t", torrent, "-d", d.dev}},
		}},
		{"make a torrent of 200,000 records", 0, []captureProgram{
			{name: "ezio-mktorrent INFO", args: []string{tool("ezio-mktorrent"), "-q", "-o", filepath.Join(dir, "m.torrent"), info}},
			{name: "libtorrent, its calls alone", args: []string{"/usr/bin/python3", script, info}, own: true},
		}},
	}, nil
}

// run takes the programs in turn, so that a change of the machine hits all of them.
func (j captureJob) run(ctx context.Context, runs int) ([]CaptureResult, error) {
	times := make([][]CaptureResult, len(j.programs))
	for range runs {
		for i, p := range j.programs {
			r, err := p.run(ctx)
			if err != nil {
				return nil, err
			}
			r.Job, r.Bytes = j.name, j.bytes
			times[i] = append(times[i], r)
		}
	}
	var results []CaptureResult
	for _, list := range times {
		slices.SortFunc(list, func(a, b CaptureResult) int {
			return int(max(-1, min(1, (a.Seconds-b.Seconds)*1e9)))
		})
		r := list[0]
		r.Ours = 1
		if len(results) > 0 {
			r.Ours = r.Seconds / results[0].Seconds
		}
		results = append(results, r)
	}
	return results, nil
}

func (p captureProgram) run(ctx context.Context) (CaptureResult, error) {
	if p.clean != nil {
		if err := p.clean(); err != nil {
			return CaptureResult{}, err
		}
	}
	cmd := exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	start := time.Now()
	out, err := cmd.Output()
	took := time.Since(start).Seconds()
	if err != nil {
		return CaptureResult{}, fmt.Errorf("%s: %w: %s", strings.Join(p.args, " "), err, stderr.String())
	}
	if p.own {
		first, _, _ := strings.Cut(string(out), " ")
		if took, err = strconv.ParseFloat(first, 64); err != nil {
			return CaptureResult{}, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	cpu := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return CaptureResult{Program: p.name, Seconds: took, CPU: cpu}, nil
}

// A captureDisk is an ext4 filesystem on a loop device, nearly full, whose every block the kernel has
// in memory.
type captureDisk struct {
	image, dev string
	used       int64
}

func makeDisk(ctx context.Context, dir string, size int64, stderr io.Writer) (*captureDisk, error) {
	fmt.Fprintf(stderr, "bench: capture: an ext4 filesystem of %d MiB\n", size/mib)
	d := &captureDisk{image: filepath.Join(dir, "e.img")}
	tree := filepath.Join(dir, "tree")
	if err := errors.Join(os.Mkdir(tree, 0o700), os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, size)); err != nil {
		return nil, err
	}
	defer os.RemoveAll(tree)
	random := rand.NewChaCha8([32]byte{7})
	for n := range int64(15) {
		f, err := os.Create(filepath.Join(tree, fmt.Sprint(n)))
		if err != nil {
			return nil, err
		}
		_, err = io.CopyN(f, random, size/16)
		d.used += size / 16
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
	mkfs := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-d", tree, d.image)
	if out, err := mkfs.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	out, err := exec.CommandContext(ctx, "losetup", "--find", "--show", "--read-only", d.image).Output()
	if err != nil {
		return nil, fmt.Errorf("losetup: %w", err)
	}
	d.dev = strings.TrimSpace(string(out))
	if err := warm(d.dev); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// warm reads a device to its end.
func warm(dev string) error {
	f, err := os.Open(dev)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

func (d *captureDisk) close() { _ = exec.Command("losetup", "-d", d.dev).Run() }

// writeRecords writes what partclone would of n MiB in runs of one.
func writeRecords(path string, n int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprintf(w, "block_size: 4096\nblocks_total: %d\n", n*257)
	for i := range n {
		fmt.Fprintf(w, "offset: %032x\nlength: %032x\n", i*(mib+4096), int64(mib))
	}
	random := rand.NewChaCha8([32]byte{8})
	var sum [20]byte
	for range (n + 15) / 16 {
		_, _ = random.Read(sum[:])
		fmt.Fprintf(w, "sha1: %x\n", sum)
	}
	return errors.Join(w.Flush(), f.Close())
}

var captureColumns = []string{"program", "seconds", "cpu s", "MiB/s", "ours is"}

// writeCapture prints the tables, one for each job.
func writeCapture(s *strings.Builder, results []CaptureResult) {
	for len(results) > 0 {
		n := 1
		for n < len(results) && results[n].Job == results[0].Job {
			n++
		}
		fmt.Fprintf(s, "\n%s\n\n", results[0].Job)
		rows := [][]string{captureColumns}
		for i, r := range results[:n] {
			speed, times := "-", "-"
			if r.Bytes > 0 {
				speed = fmt.Sprintf("%.0f", float64(r.Bytes)/mib/r.Seconds)
			}
			if i > 0 {
				times = fmt.Sprintf("%.2f x as fast", r.Ours)
			}
			rows = append(rows, []string{r.Program, fmt.Sprintf("%.2f", r.Seconds), fmt.Sprintf("%.2f", r.CPU), speed, times})
		}
		writeRows(s, rows)
		results = results[n:]
	}
}
