// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestClientReportsCompletionAtOnce(t *testing.T) {
	s := &script{reply: steady(30 * time.Second)}
	scripted(t, ClientConfig{Stats: leftIs(3)}, []*script{s}, func(c *Client) {
		time.Sleep(5 * time.Second)
		c.Completed()
		c.Completed()
		time.Sleep(31 * time.Second)
	})
	s.want(t, "0s started left=3", "5s completed left=0", "35s regular left=3", "36s stopped left=3")
}

// A tracker that is down when the download ends learns of it when it is back, and before it
// learns that we stopped.
func TestClientInsistsOnCompletion(t *testing.T) {
	later := &script{}
	later.reply = func(n int, r request) (answer, error) {
		if n == 1 || n == 2 {
			return answer{}, errors.New("down")
		}
		return steady(30*time.Second)(n, r)
	}
	never := &script{reply: func(n int, r request) (answer, error) {
		if n > 0 {
			return answer{}, errors.New("down")
		}
		return steady(30*time.Second)(n, r)
	}}
	scripted(t, ClientConfig{}, []*script{later, never}, func(c *Client) {
		time.Sleep(time.Second)
		c.Completed()
		time.Sleep(4 * time.Second)
	})
	later.want(t, "0s started left=0", "1s completed left=0", "1.75s completed left=0", "3.25s completed left=0", "5s stopped left=0")
	never.want(t, "0s started left=0", "1s completed left=0", "1.75s completed left=0", "3.25s completed left=0",
		"5s completed left=0", "5s stopped left=0")
}

func TestClientThatEndsAsItCompletes(t *testing.T) {
	s := &script{reply: steady(30 * time.Second)}
	down := &script{reply: func(n int, r request) (answer, error) {
		if n == 0 {
			return answer{}, errors.New("down")
		}
		return steady(30*time.Second)(n, r)
	}}
	scripted(t, ClientConfig{}, []*script{s, down}, func(c *Client) {
		c.Completed() // and cancelled before anything else can happen
	})
	s.want(t, "0s started left=0", "0s completed left=0", "0s stopped left=0")
	down.want(t, "0s started left=0", "0s completed left=0", "0s stopped left=0")
}

func TestClientEndsWithinItsDeadline(t *testing.T) {
	s := &script{reply: steady(30 * time.Second)}
	dead := &script{block: true}
	var took time.Duration
	scripted(t, ClientConfig{}, []*script{s, dead}, func(c *Client) {
		time.Sleep(25 * time.Second)
		if st := c.Status()[1]; st.LastError != "timeout" {
			t.Errorf("status %+v", st)
		}
		s.mu.Lock()
		s.block = true
		s.mu.Unlock()
		c.Completed()
		synctest.Wait()
		begin := time.Now()
		defer func() { took = time.Since(begin) }()
	})
	// Completed blocks too; after that goodbye has what is left of two seconds.
	s.want(t, "0s started left=0", "25s completed left=0", "25s completed left=0", "27s stopped left=0")
	if took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	dead.want(t, "0s started left=0", "10.75s started left=0", "22.25s started left=0", "25s completed left=0", "27s stopped left=0")
}
