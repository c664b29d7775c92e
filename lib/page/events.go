// SPDX-License-Identifier: GPL-2.0-or-later

package page

import (
	"bytes"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	maxStreams     = 64 // at a time
	maxStreamsFrom = 16 // of them, to one address
	leastPace      = time.Second
	rowsASecond    = 300              // rendered and sent for one viewer
	writeTime      = 10 * time.Second // of one event; who takes longer is cut off
)

// streams bounds the viewers.
type streams struct {
	mu    sync.Mutex
	total int
	from  map[netip.Addr]int
}

func (s *streams) enter(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= maxStreams || s.from[a] >= maxStreamsFrom {
		return false
	}
	if s.from == nil {
		s.from = map[netip.Addr]int{}
	}
	s.total++
	s.from[a]++
	return true
}

func (s *streams) leave(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.from[a]--; s.from[a] == 0 {
		delete(s.from, a)
	}
}

// events sends the body of the page again and again, as long as the viewer is there: the event
// "page", whose data is HTML. The query is the page's own, for sorting and filtering.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	if !p.streams.enter(from.Addr()) {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many viewers", http.StatusServiceUnavailable)
		return
	}
	defer p.streams.leave(from.Addr())
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	ctl := http.NewResponseController(w)
	for {
		d := p.data(r)
		html, err := render("body", d)
		if err != nil {
			p.cfg.Log.Error("render page", "err", err)
			return
		}
		// The server's limit on answers would end the stream: each event has its own.
		_ = ctl.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := w.Write(event("page", html)); err != nil || ctl.Flush() != nil {
			return
		}
		wait := time.NewTimer(max(leastPace, time.Duration(d.Rows)*time.Second/rowsASecond))
		select {
		case <-r.Context().Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// event is a server-sent event (WHATWG HTML, 9.2). The browser comes back after a second when the
// stream breaks.
func event(name string, data []byte) []byte {
	var b bytes.Buffer
	b.WriteString("retry: 1000\nevent: " + name + "\n")
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			b.WriteString("data: ")
			b.Write(line)
			b.WriteByte('\n')
		}
	}
	b.WriteByte('\n')
	return b.Bytes()
}
