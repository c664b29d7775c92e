// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"time"

	"ezio/lib/cli"
	"ezio/lib/progress"
	"ezio/lib/roster"
	"ezio/lib/screen"
)

// behind has what the tool says for people go behind the screen that --ui asks for. Without a
// terminal there is none, and lines are written as ever.
func behind(c *cli.Call) (*cli.Call, *screen.Remarks, error) {
	if !c.Bool("ui") {
		return c, nil, nil
	}
	if c.String("progress") == string(progress.JSON) && cli.IsTerminal(c.Stdout) {
		return nil, nil, cli.Usagef("--ui and the events of --progress json want the same terminal").WithHint("send the events elsewhere: > FILE")
	}
	if !cli.IsTerminal(c.Stderr) {
		return c, nil, nil
	}
	if c.String("progress") != string(progress.JSON) {
		if err := c.Context.Set("progress", string(progress.None)); err != nil { // the screen is the progress
			return nil, nil, err
		}
	}
	remarks := screen.NewRemarks(c.Stderr)
	with := *c
	with.Stderr = remarks
	return &with, remarks, nil
}

// show has the terminal for the screen until the session ends. The function that it returns waits for
// that; quit is called when the user ends it.
func (s *session) show(ctx context.Context, quit func()) (end func()) {
	if s.remarks == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	s.remarks.Hold()
	go func() {
		defer close(over)
		asked, err := screen.Show(ctx, screen.Config{Status: s.status, Remarks: s.remarks})
		s.remarks.Release()
		if err != nil {
			s.r.Printf("no screen: %v", err)
		}
		if asked {
			quit()
		}
	}()
	return func() {
		cancel()
		<-over
	}
}

// status is what the screen shows.
func (s *session) status() []roster.Status {
	list := make([]roster.Status, len(s.images))
	for i, im := range s.images {
		list[i] = im.roster.Status(time.Now())
	}
	return list
}
