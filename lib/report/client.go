// SPDX-License-Identifier: GPL-2.0-or-later

package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

const (
	firstInterval = time.Second
	maxInterval   = 30 * time.Second
	timeout       = 5 * time.Second // of one report
	maxAnswer     = 4 << 10         // bytes
	refusedPause  = time.Minute     // a server that takes no reports is left alone for so long
)

// Config says what to report and to whom.
type Config struct {
	// Report is asked for each report.
	Report func() Report
	// URLs are where reports are taken, as known at the time. The first one that answers is told.
	URLs func() []string
	// DialContext makes connections; nil: the plain dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Client reports from time to time, and at once when told to.
type Client struct {
	cfg   Config
	http  *http.Client
	nudge chan struct{} // holds one

	mu      sync.Mutex
	news    Standing
	resting map[string]time.Time // URLs that take no reports, and when to try again
}

// A Standing is what is known of the seed by its answers.
type Standing struct {
	Answer Answer
	At     time.Time // of the last answer; zero: there was none
	Sent   State     // the state that the last answer is about
}

// NewClient makes a client; nothing is sent before Run or Last.
func NewClient(cfg Config) *Client {
	if cfg.DialContext == nil {
		cfg.DialContext = (&net.Dialer{}).DialContext
	}
	return &Client{
		cfg: cfg,
		http: &http.Client{
			Timeout:       timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				// No proxy: the seed takes our address from the connection.
				DialContext:            cfg.DialContext,
				DisableCompression:     true,
				DisableKeepAlives:      true,
				MaxResponseHeaderBytes: 16 << 10,
			},
		},
		nudge:   make(chan struct{}, 1),
		resting: map[string]time.Time{},
	}
}

// Run reports until ctx ends.
func (c *Client) Run(ctx context.Context) {
	for ctx.Err() == nil {
		c.send(ctx)
		timer := time.NewTimer(c.interval())
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-c.nudge:
		}
		timer.Stop()
	}
}

// Now has Run report at once.
func (c *Client) Now() {
	select {
	case c.nudge <- struct{}{}:
	default:
	}
}

// Last sends one report, the one that stays, unless ctx ends before.
func (c *Client) Last(ctx context.Context) { c.send(ctx) }

// Standing is what the seed has answered so far.
func (c *Client) Standing() Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.news
}

func (c *Client) interval() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := time.Duration(min(max(c.news.Answer.Interval, 0), int(maxInterval/time.Second))) * time.Second
	return max(firstInterval, asked)
}

// send tells the first server that takes the report.
func (c *Client) send(ctx context.Context) {
	var tried []string
	for _, u := range c.cfg.URLs() {
		if slices.Contains(tried, u) || c.rests(u) {
			continue
		}
		tried = append(tried, u)
		p := c.cfg.Report()
		a, err := c.post(ctx, u, p)
		if c.heard(u, p.State, a, err) {
			return
		}
	}
}

var errRefused = errors.New("it takes no reports")

func (c *Client) post(ctx context.Context, rawURL string, p Report) (a Answer, err error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return a, errRefused
	}
	body, err := json.Marshal(p)
	if err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return a, errRefused
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "ezio")
	resp, err := c.http.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500:
		return a, fmt.Errorf("the seed answers %s", resp.Status)
	case resp.StatusCode != http.StatusOK:
		return a, errRefused
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, errRefused
	}
	return a, nil
}

// heard keeps what came of a report and says whether it arrived.
func (c *Client) heard(u string, sent State, a Answer, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.news = Standing{Answer: a, At: time.Now(), Sent: sent}
	case errors.Is(err, errRefused):
		c.resting[u] = time.Now().Add(refusedPause)
	}
	return err == nil
}

func (c *Client) rests(u string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.resting[u])
}
