// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anacrolix/torrent/tracker/shared"
)

// script is a tracker that answers by the test's rules and keeps what it was sent, with the time
// of it. It runs in a synctest bubble, where time jumps from one wait to the next.
type script struct {
	start  time.Time
	reply  func(n int, r request) (answer, error) // n counts from 0
	block  bool                                   // answers never
	mu     sync.Mutex
	events []string
}

func (s *script) send(ctx context.Context, _ *url.URL, r request) (answer, error) {
	s.mu.Lock()
	n := len(s.events)
	s.events = append(s.events, fmt.Sprintf("%v %s left=%d", time.Since(s.start), name(r.event), r.stats.Left))
	s.mu.Unlock()
	if s.block {
		<-ctx.Done()
		return answer{}, ctx.Err()
	}
	return s.reply(n, r)
}

func name(e event) string {
	if e == shared.None {
		return "regular"
	}
	return e.String()
}

func (s *script) want(t *testing.T, events ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.events, events) {
		t.Errorf("the tracker was sent\n  %s\nwant\n  %s", strings.Join(s.events, "\n  "), strings.Join(events, "\n  "))
	}
}

// scripted runs a client against scripts; do is called when it has started.
func scripted(t *testing.T, cfg ClientConfig, scripts []*script, do func(c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		for i := range scripts {
			cfg.Trackers = append(cfg.Trackers, fmt.Sprintf("http://%d/announce", i))
			scripts[i].start = time.Now()
		}
		if cfg.Jitter == nil {
			cfg.Jitter = func() float64 { return 0 }
		}
		c := NewClient(cfg)
		for i, s := range scripts {
			c.trackers[i].send = s.send
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()
		synctest.Wait()
		do(c)
		cancel()
		<-done
	})
}

func steady(interval time.Duration) func(int, request) (answer, error) {
	return func(int, request) (answer, error) {
		return answer{interval: interval, seeds: 1, leeches: 1, peers: []netip.AddrPort{addr("10.0.0.1:1")}}, nil
	}
}

func leftIs(n int64) func() Stats { return func() Stats { return Stats{Left: n} } }

func TestClientKeepsToTheInterval(t *testing.T) {
	s := &script{reply: steady(30 * time.Second)}
	scripted(t, ClientConfig{Stats: leftIs(7)}, []*script{s}, func(*Client) { time.Sleep(70 * time.Second) })
	s.want(t, "0s started left=7", "30s regular left=7", "1m0s regular left=7", "1m10s stopped left=7")
}

func TestClientBoundsTheInterval(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{
		0:             unknownInterval,
		time.Minute:   time.Minute,
		1:             minInterval,
		9 * time.Hour: maxInterval,
	} {
		a := newAnnouncer(NewClient(ClientConfig{Jitter: func() float64 { return 0 }}), &url.URL{}, nil)
		if got := a.pace(answer{interval: given, seeds: 5, leeches: 5, peers: make([]netip.AddrPort, 1)}, 1); got != want {
			t.Errorf("interval %v: waits %v, want %v", given, got, want)
		}
	}
}

func TestClientBacksOffAndRecovers(t *testing.T) {
	s := &script{}
	s.reply = func(n int, r request) (answer, error) {
		if n < 7 {
			return answer{}, errors.New("down")
		}
		return steady(30*time.Second)(n, r)
	}
	half := func() float64 { return 1 } // waits of full length, intervals a tenth longer
	scripted(t, ClientConfig{Jitter: half}, []*script{s}, func(c *Client) {
		if st := c.Status()[0]; st.LastError != "down" || !st.LastOK.IsZero() {
			t.Errorf("status %+v", st)
		}
		time.Sleep(90 * time.Second)
		if st := c.Status()[0]; st.LastError != "" || st.LastOK.IsZero() || st.Peers != 1 {
			t.Errorf("status %+v", st)
		}
	})
	s.want(t, "0s started left=0", "1s started left=0", "3s started left=0", "7s started left=0", "15s started left=0",
		"30s started left=0", "45s started left=0", "1m0s started left=0", "1m30s stopped left=0")
	low := newAnnouncer(NewClient(ClientConfig{Jitter: func() float64 { return 0 }}), &url.URL{}, nil)
	if d := low.failed(errors.New("down")); d != 750*time.Millisecond {
		t.Errorf("jitter shortens a second to %v", d)
	}
}

func TestClientForgetsFailuresOnceItSucceeds(t *testing.T) {
	s := &script{reply: func(n int, r request) (answer, error) {
		if n != 2 {
			return answer{}, errors.New("down")
		}
		return steady(30*time.Second)(n, r)
	}}
	scripted(t, ClientConfig{}, []*script{s}, func(*Client) { time.Sleep(33500 * time.Millisecond) })
	s.want(t, "0s started left=0", "750ms started left=0", "2.25s started left=0", "32.25s regular left=0",
		"33s regular left=0", "33.5s stopped left=0")
}

func TestClientNeverReachedSaysNoGoodbye(t *testing.T) {
	s := &script{reply: func(int, request) (answer, error) { return answer{}, errors.New("down") }}
	scripted(t, ClientConfig{}, []*script{s}, func(*Client) { time.Sleep(500 * time.Millisecond) })
	s.want(t, "0s started left=0")
}

func TestClientNudged(t *testing.T) {
	s := &script{reply: func(n int, r request) (answer, error) {
		a, err := steady(30*time.Second)(n, r)
		if n >= 3 {
			a.minInterval = 10 * time.Second
		}
		return a, err
	}}
	scripted(t, ClientConfig{}, []*script{s}, func(c *Client) {
		for range 5 {
			c.Announce() // at 0 s: not within the second
		}
		time.Sleep(1500 * time.Millisecond)
		c.Announce() // at 1.5 s: due at 2 s
		time.Sleep(5 * time.Second)
		c.Announce() // at 6.5 s: at once, and is told to leave ten seconds
		time.Sleep(time.Second)
		c.Announce() // at 7.5 s
		time.Sleep(20 * time.Second)
	})
	s.want(t, "0s started left=0", "1s regular left=0", "2s regular left=0", "6.5s regular left=0", "16.5s regular left=0",
		"27.5s stopped left=0")
}

// Alone and in need, it does not wait half an hour; with nothing to fetch, or told of others, it does.
func TestClientThatIsAloneAsksAgain(t *testing.T) {
	alone := func(int, request) (answer, error) {
		return answer{interval: 30 * time.Minute, seeds: 0, leeches: 1, peers: []netip.AddrPort{addr("10.0.0.1:1")}}, nil
	}
	s := &script{reply: alone}
	scripted(t, ClientConfig{Stats: leftIs(1)}, []*script{s}, func(*Client) { time.Sleep(140 * time.Second) })
	s.want(t, "0s started left=1", "5s regular left=1", "15s regular left=1", "35s regular left=1", "1m15s regular left=1",
		"2m15s regular left=1", "2m20s stopped left=1")
	s = &script{reply: alone}
	scripted(t, ClientConfig{}, []*script{s}, func(*Client) { time.Sleep(time.Minute) })
	s.want(t, "0s started left=0", "1m0s stopped left=0")
	s = &script{reply: func(n int, r request) (answer, error) {
		a, _ := alone(n, r)
		a.minInterval = 2 * time.Minute
		return a, nil
	}}
	scripted(t, ClientConfig{Stats: leftIs(1)}, []*script{s}, func(*Client) { time.Sleep(130 * time.Second) })
	s.want(t, "0s started left=1", "2m0s regular left=1", "2m10s stopped left=1")
}

func TestClientRefusedStartsAnew(t *testing.T) {
	s := &script{reply: func(n int, r request) (answer, error) {
		if n == 1 {
			return answer{}, failureReason("who are you?")
		}
		return steady(10*time.Second)(n, r)
	}}
	scripted(t, ClientConfig{}, []*script{s}, func(c *Client) { time.Sleep(12 * time.Second) })
	s.want(t, "0s started left=0", "10s regular left=0", "10.75s started left=0", "12s stopped left=0")
}

func TestClientPassesOnPeersOneAtATime(t *testing.T) {
	var inside, got int
	cfg := ClientConfig{Peers: func(list []netip.AddrPort) {
		inside++ // the race detector watches this too
		runtime.Gosched()
		if got += len(list); inside != 1 {
			t.Errorf("%d at once", inside)
		}
		inside--
	}}
	var scripts []*script
	for range 5 {
		scripts = append(scripts, &script{reply: steady(30 * time.Second)})
	}
	scripted(t, cfg, scripts, func(*Client) { time.Sleep(10 * time.Second) })
	if got != 5 {
		t.Errorf("%d peers, want 5: those of a goodbye are none", got)
	}
}

func TestClientSortsOutItsTrackers(t *testing.T) {
	list := []string{
		"http://seed:6969/announce", "http://SEED:6969/announce", "HTTP://seed:6969/announce", " http://seed:6969/announce\n",
		"http://seed:6969/announce?passkey=1", "https://seed:6969/announce", "udp://seed:6969", "udp://seed:6969/announce",
		"wss://tracker/", "wss://tracker/", "udp://seed", "http:///announce", "http://%zz/", "", "\x1b[31m:",
	}
	c := NewClient(ClientConfig{Trackers: list})
	var got []string
	for _, s := range c.Status() {
		got = append(got, strings.TrimSpace(s.URL+" "+s.LastError))
	}
	want := []string{
		"http://seed:6969/announce", "http://seed:6969/announce?passkey=1", "https://seed:6969/announce",
		"udp://seed:6969", "udp://seed:6969/announce",
		"wss://tracker/ unsupported kind of tracker", "udp://seed URL without a port", "http:///announce URL without a host",
		"http://%zz/ not a URL", "unsupported kind of tracker", "[31m: not a URL",
	}
	if !slices.Equal(got, want) {
		t.Errorf("trackers\n%q, want\n%q", got, want)
	}
	list = nil
	for i := range 100 {
		list = append(list, fmt.Sprintf("udp://t%d:1", i))
	}
	c = NewClient(ClientConfig{Trackers: list})
	if st := c.Status(); len(c.trackers) != maxTrackers || st[len(st)-1].LastError != "too many trackers" {
		t.Errorf("%d trackers, last %+v", len(c.trackers), st[len(st)-1])
	}
}

func TestClientWithoutTrackersWaits(t *testing.T) {
	scripted(t, ClientConfig{Trackers: []string{"wss://x/"}}, nil, func(c *Client) {
		c.Announce()
		c.Completed()
		time.Sleep(time.Hour)
	})
}
