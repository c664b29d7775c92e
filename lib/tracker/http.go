// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/anacrolix/torrent/tracker/shared"
)

// Caps on what a tracker's answer may cost us. Two hundred peers in the longest form are 20 KiB.
const (
	maxAnswer    = 256 << 10 // bytes of body
	maxHeader    = 16 << 10  // bytes
	maxRedirects = 3
)

// httpTracker announces over HTTP. The library's own client is not used for it: it reads bodies
// and unpacks gzip without end, follows redirects anywhere, accepts any certificate, and panics
// on a list of peers that holds something else.
type httpTracker struct{ client *http.Client }

func newHTTP(cfg *ClientConfig) httpTracker {
	return httpTracker{&http.Client{
		CheckRedirect: sameHost,
		Transport: &http.Transport{
			// No proxy: the tracker takes our address from the connection.
			DialContext:            cfg.DialContext,
			TLSClientConfig:        cfg.TLS,
			DisableCompression:     true, // a few bytes could become gigabytes
			DisableKeepAlives:      true, // an idle connection a receiver is a descriptor each at the seed
			MaxResponseHeaderBytes: maxHeader,
		},
	}}
}

var (
	errRedirects = errors.New("redirected too often")
	errElsewhere = errors.New("redirected to another host")
	errTooLong   = fmt.Errorf("answer is longer than %d KiB", maxAnswer>>10)
)

// sameHost lets a tracker redirect within itself, as from http to https or to another path. It
// must not send the machines of a network to knock elsewhere.
func sameHost(r *http.Request, via []*http.Request) error {
	switch first := via[0].URL; {
	case len(via) > maxRedirects:
		return errRedirects
	case !strings.EqualFold(r.URL.Hostname(), first.Hostname()), first.Scheme == "https" && r.URL.Scheme != "https":
		return errElsewhere
	}
	return nil
}

func (t httpTracker) announce(ctx context.Context, u *url.URL, r request) (answer, error) {
	full := *u
	full.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+r.query(), "&")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, full.String(), nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("User-Agent", r.userAgent)
	resp, err := t.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return answer{}, err
	}
	if len(body) > maxAnswer {
		return answer{}, errTooLong
	}
	a, err := parseAnswer(body)
	if resp.StatusCode != http.StatusOK && !errors.As(err, new(failureReason)) {
		return answer{}, fmt.Errorf("HTTP status %s", strings.TrimSpace(printable(resp.Status)))
	}
	return a, err
}

// query is the announce as BEP 3 has it. Spaces are %20: not every tracker takes a plus for one.
func (r request) query() string {
	q := url.Values{
		"info_hash":  {string(r.infoHash[:])},
		"peer_id":    {string(r.id[:])},
		"port":       {strconv.Itoa(int(r.port))},
		"uploaded":   {strconv.FormatInt(r.stats.Uploaded, 10)},
		"downloaded": {strconv.FormatInt(r.stats.Downloaded, 10)},
		"left":       {strconv.FormatInt(r.stats.Left, 10)},
		"key":        {fmt.Sprintf("%08x", r.key)},
		"compact":    {"1"},
	}
	if r.event != shared.None {
		q.Set("event", r.event.String())
	}
	if r.event == shared.Stopped {
		q.Set("numwant", "0")
	}
	return strings.ReplaceAll(q.Encode(), "+", "%20")
}
