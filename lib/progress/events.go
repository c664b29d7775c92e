// SPDX-License-Identifier: GPL-2.0-or-later

package progress

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"
)

// Fields are what a tool adds to an event. They cannot replace the event's own.
type Fields map[string]any

// A field is one of an event's own, in the order in which they are written.
type field struct {
	name  string
	value any
}

// events writes one JSON object per line. Sending to a nil *events does nothing.
type events struct {
	out    *output
	stderr io.Writer // for notes
	name   []field   // which of several jobs it is, in each of its events
}

// An output is where events go, of one job or of several.
type output struct {
	w   io.Writer
	err error // of the first write that failed
}

func (e *events) update(f figures) { e.send("progress", progressFields(f), nil) }
func (e *events) finish(f figures) { e.update(f) }
func (e *events) note(line string) { io.WriteString(e.stderr, line+"\n") }

func (e *events) start(f figures, more Fields) {
	e.send("start", []field{{"phase", f.phase}, {"total_bytes", f.Total}}, more)
}

// progressFields are the fields of a progress event: rates in whole bytes per second, rate that
// of done_bytes, eta_seconds null when there is no telling.
func progressFields(f figures) []field {
	var eta any
	if f.eta >= 0 {
		eta = f.eta
	}
	whole := func(rate float64) int64 { return int64(math.Round(rate)) }
	list := []field{
		{"phase", f.phase},
		{"done_bytes", f.Done},
		{"total_bytes", f.Total},
		{"rate", whole(f.now.done)},
		{"rate_down", whole(f.now.down)},
		{"rate_up", whole(f.now.up)},
		{"peers", f.Peers},
		{"eta_seconds", eta},
	}
	if f.Waiting != "" {
		list = append(list, field{"waiting", f.Waiting})
	}
	return list
}

// send writes an event. After a failed write a line may be half there, so nothing may follow it.
func (e *events) send(event string, own []field, more Fields) {
	if e == nil || e.out.err != nil {
		return
	}
	if _, err := e.out.w.Write(encode(event, time.Now(), slices.Concat(own, e.name), more)); err != nil {
		e.out.err = fmt.Errorf("write event %s: %w", event, err)
	}
}

// encode makes an event's line: event and time, its own fields, then the tool's by name.
func encode(event string, now time.Time, own []field, more Fields) []byte {
	all := append([]field{{"event", event}, {"time", now.UTC().Format(time.RFC3339Nano)}}, own...)
	for _, name := range slices.Sorted(maps.Keys(more)) {
		if !slices.ContainsFunc(all, func(f field) bool { return f.name == name }) {
			all = append(all, field{name, more[name]})
		}
	}
	var b bytes.Buffer
	for i, f := range all {
		b.WriteByte("{,"[min(i, 1)])
		b.Write(encodeValue(f.name))
		b.WriteByte(':')
		b.Write(encodeValue(f.value))
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// encodeValue prints a value in JSON, and as a string what JSON has no form for, such as NaN: an
// event that is odd in one place serves better than none.
func encodeValue(v any) []byte {
	if err, ok := v.(error); ok { // most errors would be {}
		v = err.Error()
	}
	out, err := json.Marshal(v)
	if err != nil {
		out, _ = json.Marshal(fmt.Sprint(v))
	}
	return out
}
