// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"ezio/lib/cli"
	"ezio/lib/progress"
	"ezio/lib/roster"
)

// sumUp tells who has received what, as the event summary and as a table, and returns an error when
// a receiver did not finish.
func (s *session) sumUp(now time.Time) error {
	var all []roster.Status
	var missing []string
	receivers := 0
	for i, im := range s.images {
		st := im.roster.Status(now)
		st.History = nil
		if s.meet.server != nil {
			st.File = s.meet.server.File(i)
		}
		all = append(all, st)
		receivers += st.Counts.All
		for _, v := range st.Receivers {
			if v.State.Underway() || v.State.Unfinished() {
				missing = append(missing, v.Title())
			}
		}
	}
	if receivers == 0 {
		s.r.Tell("summary", progress.Fields{"torrents": all}, "")
		return nil
	}
	s.r.Tell("summary", progress.Fields{"torrents": all}, table(all))
	if len(missing) == 0 {
		return nil
	}
	return cli.Failf("%d of %d receivers did not finish: %s", len(missing), receivers, listed(missing))
}

// listed is names in a row, not too many.
func listed(names []string) string {
	const most = 8
	if n := len(names) - most; n > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(names, ", ")
}

// table is the summary for people: for each image a line, and one for each receiver.
func table(all []roster.Status) string {
	var b strings.Builder
	for i, t := range all {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s to %d of %d receivers in %s; the seed sent %s", t.Name, progress.Size(t.Size), t.Counts.Done, t.Counts.All,
			progress.Elapsed(seconds(t.Seconds)), progress.Size(t.SeedSent))
		if t.Size > 0 {
			fmt.Fprintf(&b, ", %.2f times the image", float64(t.SeedSent)/float64(t.Size))
		}
		if len(t.Receivers) > 0 {
			b.WriteByte('\n')
			b.WriteString(rows(t.Receivers))
		}
	}
	return b.String()
}

func rows(list []roster.Receiver) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b roster.Receiver) int {
		return cmp.Or(roster.Compare("state", a, b), roster.Compare("name", a, b))
	})
	fmt.Fprintln(w, "  receiver\taddress\tstate\ttime\trate\tdevice\t")
	for _, v := range list {
		rate := ""
		if v.Seconds > 0 && v.State == roster.Done {
			rate = progress.Rate(int64(float64(v.DoneBytes) / v.Seconds))
		}
		state := string(v.State)
		if v.State != roster.Done && v.State != roster.Seeding {
			state += fmt.Sprintf(" (%d%%)", progress.Percent(v.DoneBytes, v.TotalBytes))
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.Title(), v.Addr, state, progress.Elapsed(seconds(v.Seconds)), rate, v.Device, v.Reason)
	}
	_ = w.Flush()
	var trimmed []string
	for line := range strings.Lines(b.String()) {
		trimmed = append(trimmed, strings.TrimRight(line, " \t\n"))
	}
	return strings.Join(trimmed, "\n")
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func hexID(id [20]byte) string { return hex.EncodeToString(id[:]) }
