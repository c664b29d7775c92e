// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/jackpal/bencode-go"
)

func (s *Server) announce(w http.ResponseWriter, r *http.Request) {
	v, ok := viewOf(r)
	if !ok {
		http.Error(w, "no address", http.StatusInternalServerError)
		return
	}
	q, err := parseAnnounce(r.URL.RawQuery)
	m := s.room(q.infoHash)
	if err == nil && m == nil {
		err = fmt.Errorf("unknown info_hash: this tracker serves %s only", s.hashes())
	}
	var rep reply
	if err == nil {
		v.seed = uint16(m.SeedPort)
		rep, err = m.peers.announce(s.cfg.Now(), v, q)
		rep.report = s.cfg.ReportPath
	}
	if err != nil {
		s.cfg.Log.Debug("announce refused", "from", v.from, "err", err)
		s.bencoded(w, failure(err))
		return
	}
	s.cfg.Log.Debug("announce", "from", v.from, "port", q.port, "event", q.event, "left", q.left, "given", len(rep.peers))
	s.bencoded(w, rep.encode(q))
}

// hashes names what is tracked here.
func (s *Server) hashes() string {
	list := make([]string, len(s.rooms))
	for i, m := range s.rooms {
		list[i] = fmt.Sprintf("%x", m.InfoHash)
	}
	return strings.Join(list, ", ")
}

// viewOf is where the request comes from and where it arrived. Nothing a proxy might add is looked
// at: there is none between the machines of a deployment, and any client could write it.
func viewOf(r *http.Request) (view, bool) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return view{}, false
	}
	v := view{from: from.Addr().Unmap().WithZone("")}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		v.local = ipOf(a)
	}
	return v, true
}

// reportKey is our own in an announce's answer: the path on the tracker's host at which a receiver
// may report more (docs/seed-http.md).
const reportKey = "ezio report"

func failure(err error) map[string]any { return map[string]any{"failure reason": err.Error()} }

// encode is the answer's dict: two strings of compact peers, or a list of dicts.
func (r reply) encode(q query) map[string]any {
	d := map[string]any{
		"interval":     int64((r.interval + time.Second - 1) / time.Second),
		"min interval": 1,
		"complete":     r.complete,
		"incomplete":   r.incomplete,
	}
	if r.report != "" {
		d[reportKey] = r.report
	}
	if !q.compact {
		d["peers"] = r.dicts(q.noID)
		return d
	}
	var v4, v6 []byte
	for _, p := range r.peers {
		if p.addr.Addr().Is4() {
			v4 = appendCompact(v4, p.addr)
		} else {
			v6 = appendCompact(v6, p.addr)
		}
	}
	d["peers"] = string(v4)
	if len(v6) > 0 {
		d["peers6"] = string(v6)
	}
	return d
}

func (r reply) dicts(noID bool) []any {
	list := make([]any, len(r.peers))
	for i, p := range r.peers {
		d := map[string]any{"ip": p.addr.Addr().String(), "port": int64(p.addr.Port())}
		if !noID && p.id != [20]byte{} {
			d["peer id"] = string(p.id[:])
		}
		list[i] = d
	}
	return list
}

// scrape answers BEP 48: the figures of the torrents named, or of all when none is.
func (s *Server) scrape(w http.ResponseWriter, r *http.Request) {
	v, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		s.bencoded(w, failure(err))
		return
	}
	wanted := s.rooms
	if hashes := v["info_hash"]; len(hashes) > 0 {
		wanted = nil
		for _, h := range hashes {
			var hash [20]byte
			if len(h) != len(hash) {
				s.bencoded(w, failure(fmt.Errorf("info_hash is %d bytes, not %d", len(h), len(hash))))
				return
			}
			copy(hash[:], h)
			if m := s.room(hash); m != nil {
				wanted = append(wanted, m)
			}
		}
	}
	files := map[string]any{}
	for _, m := range wanted {
		c := m.peers.counts(s.cfg.Now())
		if m.SeedPort != 0 {
			c.complete++
		}
		files[string(m.InfoHash[:])] = map[string]any{
			"complete": c.complete, "incomplete": c.incomplete, "downloaded": c.finished,
		}
	}
	s.bencoded(w, map[string]any{"files": files})
}

func (s *Server) bencoded(w http.ResponseWriter, v any) {
	var b bytes.Buffer
	if err := bencode.Marshal(&b, v); err != nil {
		s.cfg.Log.Error("encode answer", "err", err)
		http.Error(w, "cannot encode the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	_, _ = w.Write(b.Bytes()) // an error here is the client's end of the line
}
