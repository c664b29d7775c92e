// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scenario makes the rounds of one question. The lone stream that its other rounds are compared
// with comes first.
type scenario struct {
	name  string
	about string
	with  []string // contestants, when -with does not say
	plans func(s settings) []Plan
}

// settings are the flags that change a scenario.
type settings struct {
	quick     bool
	receivers []int // nil: the scenario's
	bytes     int64 // 0: the scenario's
	diskDelay time.Duration
}

// pick is the scenario's choice, or the one for -quick.
func pick[T any](s settings, full, quick T) T {
	if s.quick {
		return quick
	}
	return full
}

func (s settings) counts(full, quick []int) []int {
	if s.receivers != nil {
		return s.receivers
	}
	return pick(s, full, quick)
}

func (s settings) size(full, quick int64) int64 {
	if s.bytes != 0 {
		return s.bytes
	}
	return pick(s, full, quick) * mib
}

var scenarios = []scenario{
	{
		name: "links", about: "100 Mbit/s links, 256 KiB pieces, 1 to 8 receivers",
		with: []string{"ezio", "libtorrent", "udpcast", "anacrolix"},
		plans: func(s settings) []Plan {
			return swarms(s.counts([]int{1, 2, 4, 8}, []int{1, 4}), Plan{Rate: 100 * mbit, Bytes: s.size(272, 48), PieceLength: mib / 4})
		},
	},
	{
		name: "bigpieces", about: "the same in 16 MiB pieces, as partclone cuts them",
		with: []string{"ezio", "libtorrent"},
		plans: func(s settings) []Plan {
			return swarms(s.counts([]int{1, 2, 4, 8}, []int{4}), Plan{Rate: 100 * mbit, Bytes: s.size(272, 48), PieceLength: 16 * mib})
		},
	},
	{
		name: "many", about: "50 Mbit/s links, 256 KiB pieces, 16 and 32 receivers",
		with: []string{"ezio", "libtorrent", "udpcast"},
		plans: func(s settings) []Plan {
			fast := Plan{Rate: 50 * mbit, Bytes: s.size(272, 24), PieceLength: mib / 4}
			plans := swarms(s.counts([]int{16, 32}, []int{16}), fast)
			if s.receivers == nil && !s.quick {
				// 32 machines at 50 Mbit/s are more than two cores can play; at half of that they are not.
				slow := fast
				slow.Rate, slow.N, slow.Bytes = 25*mbit, 32, fast.Bytes/2
				plans = append(plans, slow)
			}
			return plans
		},
	},
	{
		name: "unlimited", about: "one receiver, no limit on the link, everything in memory",
		with: []string{"ezio", "libtorrent", "anacrolix", "bare"},
		plans: func(s settings) []Plan {
			return swarms([]int{1}, Plan{Bytes: s.size(2048, 512), PieceLength: mib})
		},
	},
	{name: "slow", about: "one of 8 has a 10 Mbit/s link, or a slow disk", with: []string{"ezio"}, plans: slowPlans},
	{name: "late", about: "one of 8 joins when the others are half done", with: []string{"ezio"}, plans: latePlans},
	{name: "vanish", about: "one of 8 is killed, or its cable pulled, half way", with: []string{"ezio"}, plans: vanishPlans},
	{name: "seedgone", about: "the seed is killed once every piece has left it; its link is twice as fast", with: []string{"ezio"}, plans: seedgonePlans},
}

func swarms(counts []int, p Plan) []Plan {
	var plans []Plan
	for _, n := range counts {
		p.N = n
		plans = append(plans, p)
	}
	return plans
}

// trouble is the ground on which the scenarios of mishaps stand: 8 machines on 100 Mbit/s.
func (s settings) trouble() Plan {
	return Plan{Rate: 100 * mbit, Bytes: s.size(128, 32), PieceLength: mib / 4, Holes: true, N: s.counts([]int{8}, []int{8})[0]}
}

func slowPlans(s settings) []Plan {
	without := s.trouble()
	without.Variant, without.N = "without it", without.N-1
	link := s.trouble()
	link.Variant, link.SlowLink = "link", map[int]Rate{link.N: 10 * mbit}
	disk := s.trouble()
	disk.Variant, disk.SlowDisk = "disk", map[int]time.Duration{disk.N: s.diskDelay}
	return []Plan{without, link, disk}
}

func latePlans(s settings) []Plan {
	p := s.trouble()
	p.Late = map[int]float64{p.N: 0.5}
	return []Plan{p}
}

func vanishPlans(s settings) []Plan {
	all := s.trouble()
	all.Variant = "nobody"
	kill := s.trouble()
	kill.Variant, kill.Kill = "killed", map[int]float64{kill.N: 0.5}
	cable := s.trouble()
	cable.Variant, cable.Unplug = "unplugged", map[int]float64{cable.N: 0.5}
	both := s.trouble()
	both.Variant, both.Kill, both.Unplug = "both", map[int]float64{both.N: 0.5}, map[int]float64{both.N - 1: 0.5}
	return []Plan{all, kill, cable, both}
}

// On equal links the last byte leaves the seed only when the time is nearly up, so the seed of
// this scenario has a link twice as fast.
func seedgonePlans(s settings) []Plan {
	p := s.trouble()
	p.SeedUp, p.KillSeed = 2*p.Rate, 0.7
	return []Plan{p}
}

// selectPlans turns the flags into rounds.
func selectPlans(o options) ([]Plan, error) {
	s, err := o.settings()
	if err != nil {
		return nil, err
	}
	chosen, err := chooseScenarios(o.run)
	if err != nil {
		return nil, err
	}
	var plans []Plan
	haveLone := map[loneKey]bool{}
	for _, sc := range chosen {
		names := sc.with
		if o.with != "" {
			names = strings.Split(o.with, ",")
		}
		for _, p := range sc.plans(s) {
			if p.N < 1 || !slices.ContainsFunc(numbers(p.N), p.ordinary) {
				return nil, fmt.Errorf("-n: too few receivers for the scenario %s", sc.name)
			}
			p.Scenario = sc.name
			if key := (loneKey{p.Rate, p.Bytes}); !haveLone[key] {
				haveLone[key] = true
				plans = append(plans, lonePlan(p))
			}
			for _, name := range names {
				c, err := contestantByName(name)
				if err != nil {
					return nil, err
				}
				if name == "lone" || (c.OneToOne && p.N > 1) {
					continue
				}
				p.Contestant = c
				plans = append(plans, p)
			}
		}
	}
	return plans, nil
}

// numbers are the receivers' from 1.
func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

// lonePlan is the lone stream that a plan's times are compared with.
func lonePlan(p Plan) Plan {
	lone, err := contestantByName("lone")
	if err != nil {
		panic(err) // it is in our own table
	}
	return Plan{Scenario: p.Scenario, Contestant: lone, N: 1, Rate: p.Rate, Bytes: p.Bytes, PieceLength: p.PieceLength}
}

func chooseScenarios(names string) ([]scenario, error) {
	if names == "" {
		return scenarios, nil
	}
	var chosen []scenario
	for _, name := range strings.Split(names, ",") {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no scenario %q; see -list", name)
		}
		chosen = append(chosen, scenarios[i])
	}
	return chosen, nil
}

func (o options) settings() (settings, error) {
	s := settings{quick: o.quick}
	var err error
	if s.diskDelay, err = time.ParseDuration(o.delay); err != nil {
		return s, fmt.Errorf("-disk-delay: %w", err)
	}
	if o.size != "" {
		n, err := strconv.ParseInt(o.size, 10, 32)
		if err != nil || n < 1 {
			return s, fmt.Errorf("-size %s: must be a number of MiB", o.size)
		}
		s.bytes = n * mib
	}
	if o.receivers != "" {
		for _, field := range strings.Split(o.receivers, ",") {
			n, err := strconv.Atoi(field)
			if err != nil || n < 1 || n > 1000 {
				return s, fmt.Errorf("-n %s: must be numbers of receivers from 1 to 1000", o.receivers)
			}
			s.receivers = append(s.receivers, n)
		}
	}
	return s, nil
}
