// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

//go:embed libtorrent_peer.py
var libtorrentPy []byte

// tools are the programs under test and beside it.
type tools struct {
	ezioSeed, ezioRecv string
	stream, anacrolix  string
	libtorrentPy       string
}

// findTools looks for what the plans need, and says all at once what is missing.
func findTools(bin string, plans []Plan) (tools, error) {
	own := "."
	if exe, err := os.Executable(); err == nil {
		own = filepath.Dir(exe)
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		return tools{}, err
	}
	t := tools{
		ezioSeed: filepath.Join(bin, "ezio-seed"), ezioRecv: filepath.Join(bin, "ezio-recv"),
		stream: filepath.Join(own, "stream"), anacrolix: filepath.Join(own, "anacrolix"),
	}
	needs := []string{"ip", "tc", "sysctl", t.stream}
	libtorrent := false
	for _, p := range plans {
		needs = append(needs, p.Needs(t)...)
		libtorrent = libtorrent || p.Contestant.Name == "libtorrent"
		if len(p.SlowDisk) > 0 {
			needs = append(needs, "strace")
		}
	}
	slices.Sort(needs)
	var errs []error
	for _, name := range slices.Compact(needs) {
		if _, err := exec.LookPath(name); err != nil {
			errs = append(errs, fmt.Errorf("missing program: %w", err))
		}
	}
	if libtorrent && exec.Command("/usr/bin/python3", "-c", "import libtorrent").Run() != nil {
		errs = append(errs, errors.New("missing Debian package: python3-libtorrent"))
	}
	return t, errors.Join(errs...)
}

// bench runs plans one after the other and keeps what they share.
type bench struct {
	tools    tools
	dir      string
	keepLogs bool
	repeat   int
	stderr   io.Writer

	image  *Image // the last one made; rounds of a scenario share it
	lone   map[loneKey]float64
	rounds int
}

// loneKey is what the time of a lone stream depends on.
type loneKey struct {
	rate  Rate
	bytes int64
}

// runAll stops at an interruption only; a round that fails is a result.
func (b *bench) runAll(ctx context.Context, plans []Plan) ([]Result, error) {
	b.tools.libtorrentPy = filepath.Join(b.dir, "libtorrent_peer.py")
	if err := os.WriteFile(b.tools.libtorrentPy, libtorrentPy, 0o644); err != nil {
		return nil, err
	}
	var results []Result
	defer func() { b.compareWithLone(results) }()
	for i, p := range plans {
		fmt.Fprintf(b.stderr, "bench: %d of %d: %s\n", i+1, len(plans), newResult(p).Title())
		res, err := b.runOne(ctx, p)
		if err != nil {
			return results, err
		}
		if p.Contestant.Name == "lone" && res.Error == "" {
			b.lone[loneKey{p.Rate, p.Bytes}] = res.Last
			b.checkRate(res)
		}
		results = append(results, res)
	}
	return results, nil
}

// compareWithLone fills in the ratios that need another round's time.
func (b *bench) compareWithLone(results []Result) {
	for i := range results {
		r := &results[i]
		if lone := b.lone[loneKey{r.Rate, r.Bytes}]; lone > 0 {
			r.Lone = r.Last / lone
			r.LateLone = r.Late / lone
		}
	}
}

// checkRate warns when the links are not what they claim: then nothing measured on them counts.
func (b *bench) checkRate(r Result) {
	// A full packet has 1448 bytes of payload in 1514; the rest is connecting and the first window.
	if r.Rate > 0 && (r.Ideal < 1.02 || r.Ideal > 1.10) {
		fmt.Fprintf(b.stderr, "bench: warning: a lone stream took %.3f times bytes/rate, 1.05 expected: is the machine busy?\n", r.Ideal)
	}
}

// runOne runs a plan as often as asked and returns the run in the middle.
func (b *bench) runOne(ctx context.Context, p Plan) (Result, error) {
	var all []Result
	for range b.repeat {
		res, err := b.runLogged(ctx, p)
		if ctx.Err() != nil {
			return res, ctx.Err()
		}
		if err != nil {
			res = newResult(p)
			res.Error = err.Error()
			fmt.Fprintf(b.stderr, "bench: %s: %v\n", res.Title(), err)
			return res, nil
		}
		fmt.Fprintf(b.stderr, "bench:   %s\n", res.Summary())
		all = append(all, res)
	}
	slices.SortFunc(all, func(x, y Result) int { return int(1e6 * (x.Last - y.Last)) })
	return all[len(all)/2], nil
}

// runLogged gives a round its directory, and keeps the logs of one that failed.
func (b *bench) runLogged(ctx context.Context, p Plan) (Result, error) {
	if err := b.wantImage(p); err != nil {
		return Result{}, err
	}
	b.rounds++
	dir := filepath.Join(b.dir, fmt.Sprintf("round%d", b.rounds))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	res, err := runRound(ctx, p, b.tools, b.image, dir)
	if (err != nil && ctx.Err() == nil) || b.keepLogs {
		kept, keepErr := saveLogs(dir, newResult(p).Title())
		fmt.Fprintf(b.stderr, "bench:   logs in %s\n", kept)
		err = errors.Join(err, keepErr)
	}
	return res, err
}

// wantImage makes sure that the image has the plan's size and that its copies will fit.
func (b *bench) wantImage(p Plan) error {
	if b.image == nil || b.image.Size != p.Bytes {
		if err := b.dropImage(); err != nil {
			return err
		}
		if err := b.room(p.Bytes * int64(p.N+2)); err != nil {
			return err
		}
		var err error
		if b.image, err = NewImage(b.dir, p.Bytes); err != nil {
			return err
		}
	}
	return b.room(p.Bytes * int64(p.N))
}

func (b *bench) dropImage() error {
	if b.image == nil {
		return nil
	}
	im := b.image
	b.image = nil
	return im.Remove()
}

// room refuses a round whose targets would not fit: on a tmpfs that is memory, of which the
// programs need some too.
func (b *bench) room(bytes int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(b.dir, &fs); err != nil {
		return err
	}
	free := int64(fs.Bavail) * fs.Bsize
	if fs.Type == unix.TMPFS_MAGIC {
		free = min(free, memAvailable()-2*gib)
	}
	if free < bytes {
		return fmt.Errorf("%s: %d MiB needed, %d MiB left", b.dir, bytes/mib, free/mib)
	}
	return nil
}

// saveLogs copies a round's logs out of the directory that is about to go.
func saveLogs(dir, title string) (string, error) {
	kept, err := os.MkdirTemp("", "ezio-bench-logs-")
	if err != nil {
		return "", err
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return kept, err
	}
	errs := []error{os.WriteFile(filepath.Join(kept, "round"), []byte(title+"\n"), 0o644)}
	for _, path := range logs {
		data, err := os.ReadFile(path)
		errs = append(errs, err, os.WriteFile(filepath.Join(kept, filepath.Base(path)), data, 0o644))
	}
	return kept, errors.Join(errs...)
}

// list prints what -run and -with take.
func list(w io.Writer) error {
	var s strings.Builder
	s.WriteString("scenarios:\n")
	for _, sc := range scenarios {
		fmt.Fprintf(&s, "  %-10s %s\n", sc.name, sc.about)
	}
	fmt.Fprintf(&s, "  %-10s %s\n", captureName, captureAbout)
	s.WriteString("contestants:\n")
	for _, c := range contestants {
		fmt.Fprintf(&s, "  %-10s %s\n", c.Name, c.About)
	}
	_, err := io.WriteString(w, s.String())
	return err
}
