// SPDX-License-Identifier: GPL-2.0-or-later

package page

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ezio/lib/roster"
)

// collector gives Prometheus the figures of the moment. Every metric has the label torrent, the
// image's name, and infohash, as two images may be called the same.
type collector struct {
	p *Page

	size, receivers, finished, done, total, rate, sent, seedRate, connected, rarest *prometheus.Desc
	rowDone, rowRate, rowState                                                      *prometheus.Desc
}

func newMetrics(p *Page) http.Handler {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("ezio_"+name, help, append([]string{"torrent", "infohash"}, labels...), nil)
	}
	c := &collector{
		p:         p,
		size:      desc("image_bytes", "Size of the image."),
		receivers: desc("receivers", "Receivers in each state.", "state"),
		finished:  desc("receivers_finished", "Receivers that have the whole image."),
		done:      desc("receivers_done_bytes", "Bytes of the image that all receivers under way or done have."),
		total:     desc("receivers_total_bytes", "Bytes of the image that all receivers under way or done shall have."),
		rate:      desc("receive_bytes_per_second", "What all receivers together receive."),
		sent:      desc("seed_sent_bytes_total", "Bytes of pieces that the seed has sent."),
		seedRate:  desc("seed_bytes_per_second", "What the seed sends."),
		connected: desc("seed_connections", "Peers connected to the seed."),
		rarest:    desc("rarest_piece_copies", "Copies of the rarest piece among the connected receivers."),
		rowDone:   desc("receiver_done_bytes", "Bytes of the image that a receiver has.", "receiver", "address"),
		rowRate:   desc("receiver_bytes_per_second", "What a receiver receives.", "receiver", "address"),
		rowState:  desc("receiver_state", "1 for the state that a receiver is in.", "receiver", "address", "state"),
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// Describe says nothing, so that what is collected may vary.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

func (c *collector) Collect(out chan<- prometheus.Metric) {
	for _, t := range c.p.state().Torrents {
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{t.Name, t.InfoHash}, labels...)...)
		}
		gauge(c.size, float64(t.Size))
		for _, s := range roster.States {
			gauge(c.receivers, float64(t.Counts.By[s]), string(s))
		}
		gauge(c.finished, float64(t.Counts.Done))
		gauge(c.done, float64(t.DoneBytes))
		gauge(c.total, float64(t.Total))
		gauge(c.rate, float64(t.Rate))
		gauge(c.seedRate, float64(t.SeedRate))
		gauge(c.connected, float64(t.Peers))
		gauge(c.rarest, float64(rarest(t.Availability)))
		out <- prometheus.MustNewConstMetric(c.sent, prometheus.CounterValue, float64(t.SeedSent), t.Name, t.InfoHash)
		c.rows(t, gauge)
	}
}

// rows are the receivers. Two that call themselves the same, at one address, are told apart by a
// number: metrics that collide would void the whole answer.
func (c *collector) rows(t roster.Status, gauge func(*prometheus.Desc, float64, ...string)) {
	taken := map[string]bool{}
	for _, r := range t.Receivers {
		name := r.Title()
		for taken[name+"\x00"+r.Addr] {
			name += "'"
		}
		taken[name+"\x00"+r.Addr] = true
		gauge(c.rowDone, float64(r.DoneBytes), name, r.Addr)
		gauge(c.rowRate, float64(r.Rate), name, r.Addr)
		gauge(c.rowState, 1, name, r.Addr, string(r.State))
	}
}

func rarest(list []int) int {
	if len(list) == 0 {
		return 0
	}
	least := list[0]
	for _, n := range list {
		least = min(least, n)
	}
	return least
}
