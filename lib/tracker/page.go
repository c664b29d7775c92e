// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"time"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pagePolicy lets the page have its one style sheet and nothing else: no script, no frame, nothing
// from elsewhere, whatever a peer or a torrent manages to call itself.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

type pageData struct {
	Style              template.CSS
	Name, File         string
	Size, PieceLength  string
	Pieces             int
	InfoHash           string
	URL                string
	Rows               []pageRow
	Finished, Underway int
}

type pageRow struct {
	Addr  string
	Done  string
	State string
	Seen  string
}

// page shows what is served, the commands a client needs, and a table of the receivers.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	now := s.cfg.Now()
	d := pageData{
		Style:       template.CSS(pageStyle),
		Name:        s.cfg.Name,
		File:        fileName(s.cfg.Name),
		Size:        sizeText(s.cfg.Size),
		Pieces:      s.cfg.Pieces,
		PieceLength: sizeText(s.cfg.PieceLength),
		InfoHash:    fmt.Sprintf("%x", s.cfg.InfoHash),
		Finished:    s.Finished(),
	}
	d.URL = "http://" + host(r) + "/" + d.File
	for _, p := range s.Receivers() {
		if p.State == Joined {
			d.Underway++
		}
		d.Rows = append(d.Rows, s.row(p, now))
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, d); err != nil {
		s.cfg.Log.Error("render page", "err", err)
		http.Error(w, "cannot render the page", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes())
	}
}

func (s *Server) row(p Receiver, now time.Time) pageRow {
	row := pageRow{
		Addr:  p.Addr.String(),
		Done:  percentText(p.Left, s.cfg.Size),
		State: string(p.State),
		Seen:  now.Sub(p.LastSeen).Round(time.Second).String() + " ago",
	}
	switch {
	case p.Seed && p.Live:
		row.State = "seeding"
	case p.State == Done && !p.Live:
		row.State = "done, has left"
	}
	return row
}

// percentText rounds down: 100 % is said only of what is complete.
func percentText(left, size int64) string {
	if left == 0 {
		return "100 %"
	}
	if size <= 0 {
		return "?"
	}
	return strconv.Itoa(min(99, int(float64(size-left)/float64(size)*100))) + " %"
}

// sizeText gives a size for people and, where that rounds, for machines.
func sizeText(n int64) string {
	v, unit := float64(n), 0
	for v >= 1024 && unit < 5 {
		v, unit = v/1024, unit+1
	}
	if unit == 0 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	return fmt.Sprintf("%.4g %ciB (%d bytes)", v, "KMGTP"[unit-1], n)
}
