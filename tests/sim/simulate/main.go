// SPDX-License-Identifier: GPL-2.0-or-later

// Simulate prints and draws how deployments of many machines go, in virtual time with the real
// scheduler (tests/sim):
//
//	simulate                              the table of docs/simulation.md: 1 to 1,000 machines
//	simulate -n 10000 -pieces 100         one row of it
//	simulate -svg docs/simulation.svg     and the drawing
//	simulate -from table.md -svg f.svg    draw a table that was printed before
//	simulate -faults 1000                 random troubles, against the same without
//	simulate -first 4711 -faults 1        one of them again
//
// It exits with 1 when a run did not finish or an invariant was broken.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

type options struct {
	machines []int
	pieces   int
	rate     float64 // of a link, in Mbit/s
	kinds    []string
	svg      string
	faults   int
	first    uint64
}

func run(args []string, out io.Writer) error {
	o := options{}
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	n := flags.String("n", "1,2,4,8,16,32,64,128,256,512,1000,10000", "numbers of receivers")
	kinds := flags.String("with", "flat,racks,plain", "networks: flat, racks of 32 behind a tenth; plain: rarest-first clients, flat")
	flags.IntVar(&o.pieces, "pieces", 1000, "pieces of 256 KiB")
	flags.Float64Var(&o.rate, "rate", 100, "links in Mbit/s")
	flags.StringVar(&o.svg, "svg", "", "draw into this `file`")
	from := flags.String("from", "", "read the table from this `file`")
	flags.IntVar(&o.faults, "faults", 0, "so many random troubles instead")
	flags.Uint64Var(&o.first, "first", 1, "the first of their seeds")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, s := range strings.Split(*n, ",") {
		k, err := strconv.Atoi(s)
		if err != nil || k < 1 {
			return fmt.Errorf("-n: %q is no number of receivers", s)
		}
		o.machines = append(o.machines, k)
	}
	o.kinds = strings.Split(*kinds, ",")
	if o.faults > 0 {
		return troubles(o, out)
	}
	var rows []row
	var err error
	if *from != "" {
		rows, err = read(*from)
	} else {
		rows, err = table(o, out)
	}
	if o.svg != "" {
		err = errors.Join(err, os.WriteFile(o.svg, draw(rows), 0o644))
	}
	return err
}
