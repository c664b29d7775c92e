// SPDX-License-Identifier: GPL-2.0-or-later

// Package fetch reads a small document from where the user says it is: a file, standard input, or
// a server of HTTP or TFTP. What comes over the network is bounded in size, time and redirects: on a deployment
// network anybody may answer.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ezio/lib/tftp"
)

// Bounds on a server's behaviour.
const (
	dialTimeout  = 5 * time.Second
	replyTimeout = 10 * time.Second // until the header is there
	totalTimeout = 60 * time.Second // until the last byte is there
	maxRedirects = 5
)

// IsURL says whether arg names a document of a server (http, https or tftp) rather than a file.
func IsURL(arg string) bool {
	lower := strings.ToLower(arg)
	return strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://") || isTFTP(arg)
}

func isTFTP(arg string) bool { return strings.HasPrefix(strings.ToLower(arg), "tftp://") }

// Beside is where arg is when it is named in the document at base: a file in the same directory, a
// document of the same server, or arg itself if it is a URL, an absolute path or "-".
func Beside(base, arg string) string {
	switch {
	case IsURL(arg) || arg == "-" || arg == "" || base == "-":
		return arg
	case !IsURL(base) && filepath.IsAbs(arg):
		return arg
	case !IsURL(base):
		return filepath.Join(filepath.Dir(base), arg)
	}
	u, err := url.Parse(base)
	if err != nil {
		return arg
	}
	return u.ResolveReference(&url.URL{Path: arg}).String()
}

// Bytes reads the document: arg is "-" for stdin, a URL, or a file name. More than limit bytes are
// an error.
func Bytes(ctx context.Context, arg string, stdin io.Reader, limit int64) ([]byte, error) {
	return BytesVia(ctx, new(net.Dialer).DialContext, arg, stdin, limit)
}

// A Dial makes connections, as net.Dialer's DialContext does.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// BytesVia is Bytes with HTTP over connections that dial makes.
func BytesVia(ctx context.Context, dial Dial, arg string, stdin io.Reader, limit int64) ([]byte, error) {
	switch {
	case arg == "-":
		b, err := readAll(stdin, limit)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return b, nil
	case isTFTP(arg):
		return getTFTP(ctx, arg, limit)
	case IsURL(arg):
		return get(ctx, dial, arg, limit)
	}
	f, err := os.Open(arg)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.IsDir() {
		return nil, fmt.Errorf("read %s: it is a directory", arg)
	}
	b, err := readAll(f, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", arg, err)
	}
	return b, nil
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			return nil, pe.Err
		}
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("longer than %d bytes", limit)
	}
	return b, nil
}

func get(ctx context.Context, dial Dial, rawURL string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, totalTimeout, fmt.Errorf("no whole answer within %v", totalTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", rawURL, err)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			return dial(ctx, network, addr)
		},
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  replyTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives:      true,
	}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: sameHost}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", rawURL, reason(ctx, err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: the server answers %s", rawURL, resp.Status)
	}
	b, err := readAll(resp.Body, limit)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", rawURL, reason(ctx, err))
	}
	return b, nil
}

// getTFTP reads tftp://HOST/FILE (RFC 3617). The slash after the host is not of the file's name.
func getTFTP(ctx context.Context, rawURL string, limit int64) ([]byte, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", rawURL, reason(ctx, err))
	}
	name := strings.TrimPrefix(u.Path, "/")
	if u.Host == "" || name == "" || strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("get %s: it is not tftp://HOST/FILE", rawURL)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, totalTimeout, fmt.Errorf("no whole answer within %v", totalTimeout))
	defer cancel()
	b, err := tftp.Get(ctx, u.Host, name, limit)
	if errors.Is(err, tftp.ErrTooLong) {
		err = fmt.Errorf("longer than %d bytes", limit)
	}
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", rawURL, reason(ctx, err))
	}
	return b, nil
}

// sameHost follows redirects only where they stay on the server the user named.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if first := via[0].URL.Hostname(); req.URL.Hostname() != first {
		return fmt.Errorf("redirected away from %s to %s", first, req.URL.Hostname())
	}
	return nil
}

// reason is the cause without the method and URL that net/http repeats.
func reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
