// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"ezio/lib/piece"
	"ezio/tests/sim"
)

const (
	rack       = 32
	mostRacked = 512 // machines; more take very long
	mostPlain  = 256 // their clients cost far more to simulate
	pieceBytes = 256 << 10
)

// A row is what came of one deployment.
type row struct {
	kind      string
	receivers int
	pieces    int
	last      float64 // of the limit of any schedule
	alone     float64 // of the time that one receiver's link needs
	seed      float64 // images that the seed sent
	cross     float64 // images that came into the rack that took most
	peers     float64 // connections of a node
	memory    float64 // KiB of a node at most: with the simulator's own, and garbage
	deciding  float64 // microseconds of a decision
	cpu       float64 // milliseconds of decisions of a node
	took      time.Duration
}

// config is a deployment on links of so many Mbit/s, as in `make bench`.
func config(kind string, receivers, pieces int, rate float64) sim.Config {
	cfg := sim.Config{
		Receivers: receivers,
		Layout:    piece.Layout{Length: pieceBytes, Size: int64(pieces) * pieceBytes},
		Block:     pieceBytes,
		Rate:      rate * 1e6 / 8,
		Latency:   500 * time.Microsecond,
		Write:     5 * time.Millisecond,
		Budget:    (64 << 20) / pieceBytes,
		Think:     time.Millisecond,
		Limit:     time.Hour,
		Plain:     kind == "plain",
		Measure:   true,
	}
	if kind == "racks" {
		cfg.Rack, cfg.RackUplink = rack, rack*cfg.Rate/10
	}
	return cfg
}

// limit is that of any schedule of whole pieces on equal links, over the time for one receiver
// (Mundinger, Weber and Weiss 2008).
func limit(receivers, pieces int) float64 {
	return 1 + math.Floor(math.Log2(float64(receivers)))/float64(pieces)
}

func table(o options, out io.Writer) (rows []row, err error) {
	fmt.Fprintln(out, "| network | receivers | pieces | last / limit | last / one alone | seed sent | into a rack | connections | KiB a node | us a decision | ms CPU a node | simulated in |")
	fmt.Fprintln(out, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	for _, kind := range o.kinds {
		for _, n := range o.machines {
			if kind == "racks" && (n <= rack || n > mostRacked) || kind == "plain" && n > mostPlain {
				continue
			}
			r, e := measure(kind, n, o.pieces, o.rate)
			if e != nil {
				err = errors.Join(err, fmt.Errorf("%s, %d receivers: %w", kind, n, e))
				continue
			}
			rows = append(rows, r)
			fmt.Fprintf(out, "| %s | %d | %d | %.3f | %.3f | %.2f | %s | %.0f | %.0f | %.1f | %.0f | %v |\n", r.kind, r.receivers, r.pieces, r.last, r.alone,
				r.seed, crossed(r), r.peers, r.memory, r.deciding, r.cpu, r.took.Round(100*time.Millisecond))
		}
	}
	return rows, err
}

// read takes what the drawing needs from a table.
func read(name string) (rows []row, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		var r row
		if n, _ := fmt.Sscanf(strings.ReplaceAll(line, "|", " "), "%s %d %d %f %f", &r.kind, &r.receivers, &r.pieces, &r.last, &r.alone); n == 5 {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s: no rows of a table", name)
	}
	return rows, nil
}

func crossed(r row) string {
	if r.kind != "racks" {
		return ""
	}
	return fmt.Sprintf("%.2f", r.cross)
}

func measure(kind string, receivers, pieces int, rate float64) (row, error) {
	cfg := config(kind, receivers, pieces, rate)
	var after runtime.MemStats
	runtime.GC()
	began := time.Now()
	res, err := sim.Run(cfg)
	if err != nil {
		return row{}, err
	}
	runtime.ReadMemStats(&after)
	image, nodes := float64(cfg.Layout.Size), float64(receivers+1)
	r := row{
		kind: kind, receivers: receivers, pieces: pieces,
		alone:    res.Last.Seconds() * cfg.Rate / image,
		seed:     float64(res.SeedSent) / image,
		peers:    float64(res.Peers) / nodes,
		memory:   float64(after.HeapInuse) / 1024 / nodes,
		deciding: float64(res.Deciding.Nanoseconds()) / 1000 / float64(res.Acts),
		cpu:      res.Deciding.Seconds() * 1000 / nodes,
		took:     time.Since(began),
	}
	r.last = r.alone / limit(receivers, pieces)
	for _, n := range res.Racks {
		r.cross = max(r.cross, float64(n)/image)
	}
	return r, nil
}

// troubles runs random deployments and each again without its troubles.
func troubles(o options, out io.Writer) error {
	var ratios []float64
	var errs []error
	for seed := o.first; seed < o.first+uint64(o.faults); seed++ {
		cfg := sim.Random(seed)
		bad, err := last(cfg)
		if err != nil {
			errs = append(errs, fmt.Errorf("seed %d: %w", seed, err))
			continue
		}
		cfg.Node = nil
		good, err := last(cfg)
		if err != nil {
			errs = append(errs, fmt.Errorf("seed %d without its troubles: %w", seed, err))
			continue
		}
		ratios = append(ratios, bad/good)
	}
	if len(ratios) > 0 {
		slices.Sort(ratios)
		at := func(q float64) float64 { return ratios[int(q*float64(len(ratios)-1))] }
		fmt.Fprintf(out, "%d deployments: with troubles the machines without any take %.2f of the time without (median; a tenth over %.2f, the worst %.2f)\n",
			len(ratios), at(0.5), at(0.9), at(1))
	}
	return errors.Join(errs...)
}

// last is when the last of the machines is done that have no trouble of their own, in seconds; of all
// if each has.
func last(cfg sim.Config) (float64, error) {
	res, err := sim.Run(cfg)
	var well, all time.Duration
	for i, done := range res.Done {
		if cfg.Well(i + 1) {
			well = max(well, done)
		}
		if cfg.Waited(i + 1) {
			all = max(all, done)
		}
	}
	if well == 0 {
		well = all
	}
	return well.Seconds(), err
}
