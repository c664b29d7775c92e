// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// failureReason is a tracker's refusal in its own words.
type failureReason string

func (f failureReason) Error() string { return string(f) }

// Bounds on what an answer can make us do.
const (
	minInterval    = time.Second
	maxInterval    = 30 * time.Minute
	maxAnswerPeers = 2000 // the rest is not looked at
	maxReportPath  = 256  // bytes
)

// answer is what a tracker said, checked and bounded.
type answer struct {
	interval    time.Duration // 0: not said
	minInterval time.Duration // 0: not said
	seeds       int           // -1: not said
	leeches     int           // -1: not said
	peers       []netip.AddrPort
	report      string // the path for reports, of our own tracker; "": none
}

// lonely says that the tracker knows of nobody but us.
func (a answer) lonely() bool {
	return len(a.peers) == 0 || a.seeds >= 0 && a.leeches >= 0 && a.seeds+a.leeches <= 1
}

// parseAnswer reads an HTTP tracker's answer: BEP 3's list of peers, BEP 23's string, BEP 7's
// peers6. What it does not know it passes over, and a peer that cannot be used as well.
func parseAnswer(b []byte) (answer, error) {
	d := decoder{b: b}
	v, err := d.value(0)
	if err != nil {
		return answer{}, fmt.Errorf("not a tracker's answer: %w", err)
	}
	root, ok := v.(map[string]any)
	if !ok {
		return answer{}, errors.New("not a tracker's answer: no dict")
	}
	if why, ok := root["failure reason"]; ok {
		s, _ := why.(string)
		return answer{}, failureReason(s)
	}
	a := answer{
		interval:    seconds(number(root, "interval", 0)),
		minInterval: seconds(number(root, "min interval", 0)),
		seeds:       int(max(-1, number(root, "complete", -1))),
		leeches:     int(max(-1, number(root, "incomplete", -1))),
	}
	if path, _ := root[reportKey].(string); strings.HasPrefix(path, "/") && len(path) <= maxReportPath {
		a.report = path
	}
	switch p := root["peers"].(type) {
	case nil:
	case string:
		a.peers, err = parseCompact([]byte(p), 4)
	case []any:
		a.peers = listed(p)
	default:
		err = errors.New("peers are neither a string nor a list")
	}
	if err != nil {
		return answer{}, err
	}
	if p, ok := root["peers6"].(string); ok {
		v6, err := parseCompact([]byte(p), 16)
		if err != nil {
			return answer{}, err
		}
		a.peers = append(a.peers, v6[:min(len(v6), maxAnswerPeers-len(a.peers))]...)
	}
	return a, nil
}

// listed reads the long form. An ip that is a name is not looked up: that would be one more thing
// for a tracker to make us do.
func listed(list []any) []netip.AddrPort {
	var peers []netip.AddrPort
	for _, v := range list {
		d, _ := v.(map[string]any)
		text, _ := d["ip"].(string)
		ip, err := netip.ParseAddr(text)
		if err != nil {
			continue
		}
		if p, ok := dialable(ip, number(d, "port", 0)); ok && len(peers) < maxAnswerPeers {
			peers = append(peers, p)
		}
	}
	return peers
}

func number(d map[string]any, key string, absent int64) int64 {
	if n, ok := d[key].(int64); ok {
		return n
	}
	return absent
}

// seconds is a tracker's figure as a duration, bounded so that it cannot overflow one.
func seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), int64(maxInterval/time.Second))) * time.Second
}

// decoder reads bencode that strangers wrote. The libraries allocate what a length promises and
// recurse as deep as they are led; here nothing is larger than the input, and maxDepth holds.
type decoder struct {
	b   []byte
	pos int
}

const maxDepth = 8 // an answer needs three

var errCut = errors.New("it is cut short")

// value decodes one value: int64, string, []any or map[string]any.
func (d *decoder) value(depth int) (any, error) {
	if d.pos >= len(d.b) {
		return nil, errCut
	}
	if depth > maxDepth {
		return nil, errors.New("nested too deep")
	}
	switch c := d.b[d.pos]; c {
	case 'i':
		d.pos++
		return d.integer('e')
	case 'l':
		list := []any{}
		err := d.items(func() error {
			v, err := d.value(depth + 1)
			list = append(list, v)
			return err
		})
		return list, err
	case 'd':
		dict := map[string]any{}
		err := d.items(func() error {
			key, err := d.text()
			if err != nil {
				return err
			}
			dict[key], err = d.value(depth + 1)
			return err
		})
		return dict, err
	default:
		return d.text()
	}
}

// items calls item until the list or dict at hand ends.
func (d *decoder) items(item func() error) error {
	for d.pos++; ; {
		if d.pos >= len(d.b) {
			return errCut
		}
		if d.b[d.pos] == 'e' {
			d.pos++
			return nil
		}
		if err := item(); err != nil {
			return err
		}
	}
}

func (d *decoder) integer(end byte) (int64, error) {
	rest := d.b[d.pos:min(len(d.b), d.pos+21)]
	i := strings.IndexByte(string(rest), end)
	if i < 0 {
		return 0, fmt.Errorf("bad number at byte %d", d.pos)
	}
	n, err := strconv.ParseInt(string(rest[:i]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("bad number at byte %d", d.pos)
	}
	d.pos += i + 1
	return n, nil
}

func (d *decoder) text() (string, error) {
	n, err := d.integer(':')
	if err != nil {
		return "", err
	}
	if n < 0 || n > int64(len(d.b)-d.pos) {
		return "", errCut
	}
	s := string(d.b[d.pos : d.pos+int(n)])
	d.pos += int(n)
	return s, nil
}
