// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// slowestLink is the rate in bytes a second below which fetching the .torrent is given up.
const slowestLink = 64 << 10

// torrentCache keeps the .torrent as last built. A badly fragmented disk's is tens of MiB, and a
// whole classroom fetches it at once, by the same name.
type torrentCache struct {
	mu  sync.Mutex // held while building, so that one is built at a time
	url string
	b   []byte
}

func (c *torrentCache) get(url string, build func(announceURL string) ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.url == url {
		return c.b, nil
	}
	b, err := build(url)
	if err != nil {
		return nil, err
	}
	c.url, c.b = url, b
	return b, nil
}

// torrent serves the .torrent with the announce URL set to this server as the client knows it, so
// that the operator configures no address.
func (s *Server) torrent(w http.ResponseWriter, r *http.Request) {
	h, m := Host(r), s.named(strings.TrimPrefix(r.URL.Path, "/"))
	if m == nil || m.Torrent == nil || h == "" {
		http.NotFound(w, r)
		return
	}
	b, err := m.built.get("http://"+h+"/announce", m.Torrent)
	if err != nil {
		s.cfg.Log.Error("build torrent", "err", err)
		http.Error(w, "cannot build the torrent", http.StatusInternalServerError)
		return
	}
	// The server's own limit is for answers of a few KiB. Where it cannot be moved, it holds.
	limit := s.writeTimeout + time.Duration(len(b)/slowestLink)*time.Second
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit))
	w.Header().Set("Content-Type", "application/x-bittorrent")
	w.Header().Set("Cache-Control", "no-store") // it depends on Host
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(b)
	}
}

// named is the torrent of that name; a lone one has every name.
func (s *Server) named(file string) *room {
	if len(s.rooms) == 1 {
		return s.rooms[0]
	}
	for _, m := range s.rooms {
		if m.file == file {
			return m
		}
	}
	return nil
}
