// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/anacrolix/torrent/tracker/shared"
)

const (
	defaultWant = 50
	maxWant     = 200
	maxQuery    = 2048 // bytes; an announce needs some 350
	maxKey      = 64   // bytes
)

// query is an announce as BEP 3 defines it. The address parameters `ip`, `ipv4` and `ipv6` are
// not in it: whoever may name another's address can send a whole swarm there.
type query struct {
	infoHash, id               [20]byte
	port                       uint16
	uploaded, downloaded, left int64 // bytes
	event                      event
	key                        string
	numwant                    int
	compact                    bool // BEP 23; asked for unless refused
	noID                       bool // no peer ids in the long form
}

// parseAnnounce reads the query string of an announce. Its errors are told to the client as the
// failure reason.
func parseAnnounce(raw string) (query, error) {
	q := query{numwant: defaultWant}
	v, err := parseQuery(raw)
	if err != nil {
		return q, err
	}
	f := fields{v: v}
	q.infoHash = f.hash("info_hash")
	q.id = f.hash("peer_id")
	q.port = uint16(f.number("port", 1, 1<<16-1, nil))
	zero := int64(0)
	q.uploaded = f.number("uploaded", 0, 1<<63-1, &zero)
	q.downloaded = f.number("downloaded", 0, 1<<63-1, &zero)
	q.left = f.number("left", 0, 1<<63-1, nil)
	q.event = f.event()
	if q.event == shared.Completed {
		q.left = 0 // figures taken a moment too early
	}
	if q.key = f.one("key"); len(q.key) > maxKey {
		f.fail("key is longer than %d bytes", maxKey)
	}
	want := int64(defaultWant)
	if want = f.number("numwant", -1<<31, 1<<31-1, &want); want < 0 {
		want = defaultWant // several clients say -1 for "as you like"
	}
	q.numwant = int(min(want, maxWant))
	q.compact = f.one("compact") != "0"
	q.noID = f.one("no_peer_id") == "1"
	return q, f.err
}

func parseQuery(raw string) (url.Values, error) {
	if len(raw) > maxQuery {
		return nil, fmt.Errorf("query is longer than %d bytes", maxQuery)
	}
	v, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errors.New("malformed query")
	}
	return v, nil
}

// fields reads parameters one after another and keeps the first thing that is wrong.
type fields struct {
	v   url.Values
	err error
}

func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

// one is a parameter that may be said at most once: of two, either might be believed.
func (f *fields) one(name string) string {
	switch list := f.v[name]; len(list) {
	case 0:
		return ""
	case 1:
		return list[0]
	default:
		f.fail("%s is given more than once", name)
		return ""
	}
}

func (f *fields) hash(name string) (h [20]byte) {
	s := f.one(name)
	if s == "" {
		f.fail("missing %s", name)
	} else if len(s) != len(h) {
		f.fail("%s is %d bytes, not %d", name, len(s), len(h))
	}
	copy(h[:], s)
	return h
}

// number is a decimal within bounds; absent is its value when it is not given, nil means it must be.
func (f *fields) number(name string, low, high int64, absent *int64) int64 {
	s := f.one(name)
	if s == "" {
		if absent != nil {
			return *absent
		}
		f.fail("missing %s", name)
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || s[0] == '+' || n < low || n > high {
		f.fail("bad %s", name)
		return 0
	}
	return n
}

func (f *fields) event() event {
	switch s := f.one("event"); s {
	case "", "empty", "paused": // BEP 21's paused changes nothing here
		return shared.None
	case "started":
		return shared.Started
	case "completed":
		return shared.Completed
	case "stopped":
		return shared.Stopped
	default:
		f.fail("unknown event")
		return shared.None
	}
}
