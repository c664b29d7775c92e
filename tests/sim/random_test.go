// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"flag"
	"slices"
	"testing"
)

var (
	seeds = flag.Int("seeds", 40, "random deployments to simulate")
	first = flag.Uint64("first", 1, "the first seed")
)

// Whatever happens, everybody who stays and is honest finishes and no invariant is broken. What it
// costs is within what somebody could explain: half of the deployments take no longer, but for what the
// dead cost, than the slowest machine's own link, disk or absence makes them take.
func TestRandomDeployments(t *testing.T) {
	var ratios []float64
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		cfg := Random(seed)
		res, err := Run(cfg)
		if err != nil {
			t.Errorf("seed %d: %v (N=%d P=%d of %d)", seed, err, cfg.Receivers, cfg.Layout.Count(), cfg.Layout.Length)
			continue
		}
		var last, bound float64
		for i, done := range res.Done {
			if cfg.Waited(i + 1) {
				last, bound = max(last, done.Seconds()), max(bound, cfg.Bound(i+1).Seconds())
			}
		}
		ratios = append(ratios, (last-deadTime)/bound)
	}
	slices.Sort(ratios)
	if len(ratios) == 0 {
		t.Fatal("none was run to its end")
	}
	median, worst := ratios[len(ratios)/2], ratios[len(ratios)-1]
	t.Logf("%d seeds: median %.2f, the worst %.2f", len(ratios), median, worst)
	if len(ratios) >= 40 && median > 0.95 {
		t.Errorf("the median deployment takes %.2f of the time of its slowest machine alone", median)
	}
}

// deadTime is what the dead may cost, in seconds: their peers notice after three.
const deadTime = 5

// Deployments that once did not end, or starved somebody.
func TestSeedsThatFailed(t *testing.T) {
	for seed, why := range map[uint64]string{
		332:  "a seed whose only other peer claimed everything showed nothing more, and was told not to",
		194:  "a foreign client waited for a silent one: not ours to answer for",
		282:  "blocks of 0.05 s instead of 0.1 s of an offered piece starved a machine",
		871:  "a machine that waits for its own disk does not starve",
		476:  "a machine on a slow link changed its source for every offer, and a liar had a part in each piece",
		925:  "the same, with a foreign client that took the last pieces from everybody",
		9419: "a piece that was still on its way over a slow link was taken for lost, and then for another's",
		7516: "a foreign client that nobody could give the rest of a piece asked nobody who had it later",
		81:   "a seed left everything to a machine that claimed to have it",
	} {
		if _, err := Run(Random(seed)); err != nil {
			t.Errorf("seed %d (%s): %v", seed, why, err)
		}
	}
}
