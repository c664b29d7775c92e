// SPDX-License-Identifier: GPL-2.0-or-later

package progress

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// decode checks that every write is one whole line that holds one object with event and time.
func decode(t *testing.T, w *writes) []map[string]any {
	t.Helper()
	var all []map[string]any
	for _, line := range w.all {
		if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
			t.Fatalf("not one line: %q", line)
		}
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		at, err := time.Parse(time.RFC3339Nano, e["time"].(string))
		if err != nil || at.Location() != time.UTC || e["event"] == "" {
			t.Fatalf("%q: time %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr writes
		r := New(Config{Mode: JSON, Quiet: true, Tool: "ezio-recv", Stdout: &stdout, Stderr: &stderr})
		j := &job{s: Sample{Total: 250 * mib, Waiting: "peers"}}
		r.Start("receiving", j.sample, Fields{"infohash": "abc", "time": "mine", "listen": ":6881"})
		j.set(Sample{Total: 250 * mib, Peers: 7})
		j.receive(2, 10*mib)
		r.Banned("10.0.0.3:6881", "bad \"piece\"\x1b")
		r.Done(Fields{"device": "/dev/sda1"})
		r.Error(errors.New("read /dev/sda1 at 0x0: input/output error"), "look at the cable")
		r.Error(errors.New("again"), "")
		r.Exit(1)
		r.Exit(0) // the first was the last
		r.Done(nil)
		compare(t, stdout.String(),
			`{"event":"start","time":"2000-01-01T00:00:00Z","phase":"receiving","total_bytes":262144000,"infohash":"abc","listen":":6881"}`,
			`{"event":"progress","time":"2000-01-01T00:00:00Z","phase":"receiving","done_bytes":0,"total_bytes":262144000,"rate":0,"rate_down":0,"rate_up":0,"peers":0,"eta_seconds":null,"waiting":"peers"}`,
			`{"event":"progress","time":"2000-01-01T00:00:01Z","phase":"receiving","done_bytes":10485760,"total_bytes":262144000,"rate":10485760,"rate_down":10485760,"rate_up":5242880,"peers":7,"eta_seconds":24}`,
			`{"event":"progress","time":"2000-01-01T00:00:02Z","phase":"receiving","done_bytes":20971520,"total_bytes":262144000,"rate":10485760,"rate_down":10485760,"rate_up":5242880,"peers":7,"eta_seconds":23}`,
			`{"event":"peer_banned","time":"2000-01-01T00:00:02Z","peer":"10.0.0.3:6881","reason":"bad \"piece\"\u001b"}`,
			`{"event":"progress","time":"2000-01-01T00:00:02Z","phase":"receiving","done_bytes":20971520,"total_bytes":262144000,"rate":10485760,"rate_down":10485760,"rate_up":5242880,"peers":7,"eta_seconds":23}`,
			`{"event":"done","time":"2000-01-01T00:00:02Z","device":"/dev/sda1"}`,
			`{"event":"error","time":"2000-01-01T00:00:02Z","message":"read /dev/sda1 at 0x0: input/output error","hint":"look at the cable"}`,
			`{"event":"error","time":"2000-01-01T00:00:02Z","message":"again"}`,
			`{"event":"exit","time":"2000-01-01T00:00:02Z","code":1}`,
		)
		decode(t, &stdout)
		if stderr.String() != "" {
			t.Errorf("on stderr: %q", stderr.String())
		}
	})
}

func TestEventsLeaveNotesOnStderr(t *testing.T) {
	var stdout, stderr writes
	r := New(Config{Mode: JSON, Tool: "ezio-seed", Stdout: &stdout, Stderr: &stderr})
	r.Printf("serving %s", "http://10.0.0.1:6969/")
	compare(t, stderr.String(), "ezio-seed: serving http://10.0.0.1:6969/")
	if stdout.String() != "" {
		t.Errorf("on stdout: %q", stdout.String())
	}
}

// A tool may hand over anything; the line stays JSON and the other fields stay readable.
func TestOddFields(t *testing.T) {
	var stdout writes
	r := New(Config{Mode: JSON, Stdout: &stdout})
	r.Done(Fields{"a": math.NaN(), "b": errors.New("oops"), "c": make(chan int), "d\n": "\xff\n", "event": "exit"})
	e := decode(t, &stdout)[0]
	if e["event"] != "done" || e["a"] != "NaN" || e["b"] != "oops" || e["d\n"] != "\ufffd\n" {
		t.Errorf("%v", e)
	}
	if c, ok := e["c"].(string); !ok || !strings.HasPrefix(c, "0x") {
		t.Errorf("c is %v", e["c"])
	}
}

// When the reader of stdout goes away, the job goes on and can ask.
func TestClosedStdout(t *testing.T) {
	rd, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer wr.Close()
	var stderr writes
	r := New(Config{Mode: JSON, Stdout: wr, Stderr: &stderr})
	r.Banned("10.0.0.3:6881", "bad piece")
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	rd.Close()
	r.Start("receiving", nil, nil)
	first := r.Err()
	if !errors.Is(first, syscall.EPIPE) || !strings.HasPrefix(first.Error(), "write event start: ") {
		t.Errorf("got %v", first)
	}
	r.Done(nil)
	r.Printf("still here")
	r.Exit(1)
	if r.Err() != first {
		t.Errorf("then %v", r.Err())
	}
	compare(t, stderr.String(), "still here")
}

// shortWriter takes a part of the first write and then works again, as a full disk may.
type shortWriter struct{ writes }

func (w *shortWriter) Write(p []byte) (int, error) {
	if len(w.all) == 0 {
		w.writes.Write(p[:5])
		return 5, syscall.ENOSPC
	}
	return w.writes.Write(p)
}

func TestNothingFollowsHalfAnEvent(t *testing.T) {
	var stdout shortWriter
	r := New(Config{Mode: JSON, Stdout: &stdout})
	r.Done(nil)
	r.Exit(0)
	if got := stdout.String(); got != `{"eve` || !errors.Is(r.Err(), syscall.ENOSPC) {
		t.Errorf("%q, %v", got, r.Err())
	}
}
