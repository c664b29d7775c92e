// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"

	"ezio/lib/progress"
)

// Log is what -v asks for: without it nothing, since what matters reaches the user as errors and
// remarks; -v tells what goes on, -vv every connection and announce. A record is a line on standard
// error like any other of the tool's, so that a bar stays whole:
//
//	ezio-recv: announce failed tracker=http://10.0.0.1:6969/announce reason="connection refused"
func (c *Call) Log(r *progress.Reporter) *slog.Logger {
	switch n := c.Count("verbose"); {
	case n == 0:
		return slog.New(slog.DiscardHandler)
	case n == 1:
		return newLog(r.Printf, slog.LevelInfo)
	}
	return newLog(r.Printf, slog.LevelDebug)
}

func newLog(printf func(string, ...any), least slog.Level) *slog.Logger {
	h := &lines{printf: printf}
	h.text = slog.NewTextHandler(&h.buf, &slog.HandlerOptions{Level: least, ReplaceAttr: h.replace})
	h.root = h
	return slog.New(h)
}

// lines is a slog.Handler that prints each record as one line: level unless it is info, message,
// attributes. slog's text form of the attributes is kept; time, level and message are taken out.
type lines struct {
	root   *lines // has the lock, the buffer and printf
	text   slog.Handler
	mu     sync.Mutex
	buf    bytes.Buffer
	printf func(string, ...any)
}

func (h *lines) replace(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return a
}

func (h *lines) Enabled(ctx context.Context, l slog.Level) bool { return h.text.Enabled(ctx, l) }

func (h *lines) Handle(ctx context.Context, rec slog.Record) error {
	h.root.mu.Lock()
	h.root.buf.Reset()
	err := h.text.Handle(ctx, rec)
	attrs := strings.TrimSpace(h.root.buf.String())
	h.root.mu.Unlock()
	line := strings.TrimSpace(rec.Message + " " + attrs)
	if rec.Level != slog.LevelInfo {
		line = strings.ToLower(rec.Level.String()) + ": " + line
	}
	h.root.printf("%s", line)
	return err
}

func (h *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &lines{root: h.root, text: h.text.WithAttrs(attrs)}
}

func (h *lines) WithGroup(name string) slog.Handler {
	return &lines{root: h.root, text: h.text.WithGroup(name)}
}
