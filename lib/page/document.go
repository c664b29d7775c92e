// SPDX-License-Identifier: GPL-2.0-or-later

package page

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"ezio/lib/progress"
	"ezio/lib/roster"
	"ezio/lib/tracker"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"size":     progress.Size,
	"rate":     progress.Rate,
	"duration": progress.Duration,
	"percent":  progress.Percent,
}).Parse(pageText))

// policy lets the page have its one style sheet, its one script, its own events and a search form;
// nothing from elsewhere, whatever a receiver or a torrent manages to call itself.
var policy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; connect-src 'self'; img-src data:; " +
	"style-src 'sha256-" + sum(pageStyle) + "'; script-src 'sha256-" + sum(pageScript) + "'"

func sum(text string) string {
	b := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(b[:])
}

// render is one of the two templates: "document", the whole, or "body", what changes in it.
func render(name string, d data) ([]byte, error) {
	var b bytes.Buffer
	err := pages.ExecuteTemplate(&b, name, d)
	return b.Bytes(), err
}

// document is the page.
func (p *Page) document(w http.ResponseWriter, r *http.Request) {
	b, err := render("document", p.data(r))
	if err != nil {
		p.cfg.Log.Error("render page", "err", err)
		http.Error(w, "cannot render the page", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(b)
	}
}

// data is what the templates show.
type data struct {
	Style    template.CSS
	Script   template.JS
	Title    string
	Host     string
	Version  string
	Time     string
	View     view
	Torrents []deployment
	Rows     int // of all torrents, before filtering
}

// A deployment is one torrent's section.
type deployment struct {
	roster.Status
	N          int // which torrent
	Percent    int
	Millionths int64 // done, for a bar that moves smoothly
	Sentence   string
	Left       string // the time left, in words
	Images     string // what the seed sent, in images
	URL        string
	Chips      []chip
	Columns    []column
	Shown      []row
	Graph      graph
	Spread     spread
	PieceText  string
}

// A chip is a state with its number, and the link that shows only that.
type chip struct {
	State   roster.State
	Label   string
	Count   int
	Link    string
	Current bool
}

// A row is a receiver with what must be worded.
type row struct {
	roster.Receiver
	Percent int
	Where   string // its address, where the title is its name
	Target  string // device and size
	Clock   string // the time left, or how long it took
	Moves   bool   // something comes in
}

func (p *Page) data(r *http.Request) data {
	s := p.state()
	d := data{
		Style: template.CSS(pageStyle), Script: template.JS(pageScript),
		Host: tracker.Host(r), Version: s.Version, Time: s.Time.Format("15:04:05"),
		View: viewOf(r.URL.Query()),
	}
	var parts []string
	for i, t := range s.Torrents {
		d.Rows += len(t.Receivers)
		e := d.View.deployment(t, d.Host)
		e.N = i
		d.Torrents = append(d.Torrents, e)
		parts = append(parts, fmt.Sprintf("%d %% %s", e.Percent, t.Name))
	}
	d.Title = strings.Join(parts, ", ") + " · EZIO"
	return d
}

func (v view) deployment(t roster.Status, host string) deployment {
	e := deployment{
		Status:    t,
		Percent:   progress.Percent(t.DoneBytes, t.Total),
		Sentence:  sentence(t.Counts),
		Left:      timeLeft(t),
		Images:    images(t),
		URL:       "http://" + host + t.File,
		Chips:     v.chips(t.Counts),
		Columns:   v.columns(),
		Graph:     drawGraph(t.History),
		Spread:    drawSpread(t),
		PieceText: fmt.Sprintf("%d of %s", t.Pieces, progress.Size(t.PieceLength)),
	}
	if t.Total > 0 {
		e.Millionths = int64(float64(t.DoneBytes) / float64(t.Total) * 1e6)
	}
	for _, r := range v.arrange(t.Receivers) {
		e.Shown = append(e.Shown, rowOf(r))
	}
	return e
}

func rowOf(r roster.Receiver) row {
	w := row{Receiver: r, Percent: progress.Percent(r.DoneBytes, r.TotalBytes), Moves: r.Rate > 0}
	if r.Name != "" {
		w.Where = r.Addr
	}
	w.Target = r.Device
	if r.DeviceSize > 0 {
		w.Target += ", " + progress.Size(r.DeviceSize)
	}
	took := progress.Elapsed(time.Duration(r.Seconds * float64(time.Second)))
	switch {
	case r.State == roster.Done:
		w.Clock = "took " + took
	case r.ETA != nil:
		w.Clock = progress.Duration(*r.ETA) + " left"
	}
	return w
}

// sentence says in words how it stands.
func sentence(c roster.Counts) string {
	switch {
	case c.All == 0:
		return "Waiting for the first receiver."
	case c.Done == c.All && c.All == 1:
		return "The receiver is done."
	case c.Done == c.All:
		return fmt.Sprintf("All %d receivers are done.", c.All)
	}
	s := fmt.Sprintf("%d of %d receivers done", c.Done, c.All)
	if c.Underway > 0 {
		s += fmt.Sprintf(", %d under way", c.Underway)
	}
	if c.Unfinished > 0 {
		s += fmt.Sprintf(", %d did not finish", c.Unfinished)
	}
	return s + "."
}

func timeLeft(t roster.Status) string {
	switch {
	case t.ETA != nil:
		return progress.Duration(*t.ETA)
	case t.Counts.Underway > 0:
		return "not known yet"
	case t.Counts.Done > 0:
		return "none"
	}
	return "–"
}

func images(t roster.Status) string {
	if t.Size <= 0 {
		return ""
	}
	return fmt.Sprintf("%.2f images", float64(t.SeedSent)/float64(t.Size))
}

// A view is how somebody wants to look at the rows.
type view struct {
	Sort  string // a column
	Down  bool   // descending
	State roster.State
	Text  string // that a row must contain
}

func viewOf(q url.Values) view {
	v := view{Sort: q.Get("sort"), Down: q.Get("down") != "", State: roster.State(q.Get("state")), Text: q.Get("q")}
	if len(v.Text) > 100 {
		v.Text = v.Text[:100]
	}
	if !slices.ContainsFunc(columns, func(c column) bool { return c.Key == v.Sort }) {
		v.Sort, v.Down = "state", false
	}
	if !slices.Contains(roster.States, v.State) {
		v.State = ""
	}
	return v
}

// query is the view as a link within the page.
func (v view) query() string {
	q := url.Values{}
	for key, value := range map[string]string{"sort": v.Sort, "state": string(v.State), "q": v.Text} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if v.Down {
		q.Set("down", "1")
	}
	return "?" + q.Encode()
}

// A column is one of the table's.
type column struct {
	Key, Label, Link string
	Aria             string // ascending or descending, if it is sorted by
	Number           bool
}

var columns = []column{
	{Key: "name", Label: "Receiver"},
	{Key: "state", Label: "State"},
	{Key: "done", Label: "Progress"},
	{Key: "rate", Label: "Rate", Number: true},
	{Key: "time", Label: "Time", Number: true},
	{Key: "device", Label: "Device"},
}

func (v view) columns() []column {
	list := slices.Clone(columns)
	for i := range list {
		c := &list[i]
		next := v
		next.Sort, next.Down = c.Key, c.Number || c.Key == "done"
		if c.Key == v.Sort {
			c.Aria, next.Down = "ascending", !v.Down
			if v.Down {
				c.Aria = "descending"
			}
		}
		c.Link = next.query()
	}
	return list
}

func (v view) chips(c roster.Counts) []chip {
	all := v
	all.State = ""
	list := []chip{{Label: "all", Count: c.All + c.By[roster.Seeding], Link: all.query(), Current: v.State == ""}}
	for _, s := range roster.States {
		if c.By[s] > 0 || v.State == s {
			one := v
			one.State = s
			list = append(list, chip{State: s, Label: string(s), Count: c.By[s], Link: one.query(), Current: v.State == s})
		}
	}
	return list
}

// arrange is the rows to show, in their order.
func (v view) arrange(rows []roster.Receiver) []roster.Receiver {
	var list []roster.Receiver
	text := strings.ToLower(v.Text)
	for _, r := range rows {
		all := strings.ToLower(strings.Join([]string{r.Name, r.Addr, r.Device, string(r.State), r.Reason}, " "))
		if (v.State == "" || r.State == v.State) && strings.Contains(all, text) {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b roster.Receiver) int {
		n := roster.Compare(v.Sort, a, b)
		if v.Down {
			n = -n
		}
		return cmp.Or(n, roster.Compare("name", a, b))
	})
	return list
}
