// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

var answerSeeds = []string{
	"d8:intervali30e5:peers6:\x0a\x00\x00\x01\x1a\xe1e",
	"d8:completei2e10:incompletei1e8:intervali1800e12:min intervali60e5:peers0:6:peers618:" + strings.Repeat("\x20", 18) + "e",
	"d8:intervali30e5:peersld2:ip8:10.0.0.17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti6881eeee",
	"d14:failure reason9:go\x1b[1maway",
	"d14:failure reason4:gonee",
	"d5:peersld2:ipi3eeee", "d5:peers5:abcdee", "d5:peersi1ee", "le", "", "d", "i1", "5:ab", "99999999999999999999:",
	strings.Repeat("l", 1000), strings.Repeat("d1:a", 1000), "-1:", "d1:ai--1ee",
}

func TestParseAnswer(t *testing.T) {
	six := "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01\x1a\xe1"
	mapped := strings.Repeat("\x00", 10) + "\xff\xff\x0a\x00\x00\x09\x1a\xe1"
	tests := []struct {
		name, body string
		want       string // of the answer or its error
	}{
		{"compact", answerSeeds[0], "30s 0s -1 -1 [10.0.0.1:6881]"},
		{"both families", "d8:completei2e10:incompletei1e8:intervali1800e12:min intervali60e5:peers6:\x0a\x00\x00\x01\x1a\xe16:peers636:" + six + mapped + "e",
			"30m0s 1m0s 2 1 [10.0.0.1:6881 [2001:db8::1]:6881 10.0.0.9:6881]"},
		{"long form", answerSeeds[2], "30s 0s -1 -1 [10.0.0.1:6881]"},
		{"what cannot be used is left out",
			"d5:peersl" + "d2:ipi3e4:porti1ee" + "i5e" + "d2:ip4:host4:porti1ee" + "d2:ip8:10.0.0.14:porti0ee" +
				"d2:ip8:10.0.0.14:porti65536ee" + "d2:ip7:0.0.0.04:porti5ee" + "d2:ip9:224.0.0.14:porti5ee" + "d2:ip11:fe80::1%lo04:porti5ee" + "ee",
			"0s 0s -1 -1 [[fe80::1]:5]"},
		{"unknown keys", "d1:ad1:bleee", "0s 0s -1 -1 []"},
		{"huge figures", "d8:completei-5e8:intervali9223372036854775807e12:min intervali-9e5:peers0:e", "30m0s 0s -1 -1 []"},
		{"bytes after the end are borne", "d8:intervali5ee\n", "5s 0s -1 -1 []"},
		{"refusal", "d14:failure reason4:gonee", "gone"},
		{"refusal with junk", "d14:failure reason13:\x1b[31mno\r\nway\x00e", "[31mno  way"},
		{"refusal of the wrong type", "d14:failure reasoni1ee", "refused without a reason"},
		{"a peer and a half", "d5:peers9:123456789e", "list of peers is 9 bytes, not a multiple of 6"},
		{"peers6 cut", "d6:peers617:12345678901234567e", "list of peers is 17 bytes, not a multiple of 18"},
		{"peers of the wrong type", "d5:peersi1ee", "peers are neither a string nor a list"},
		{"a web page", "<html>", "not a tracker's answer: bad number at byte 0"},
		{"nothing", "", "not a tracker's answer: it is cut short"},
		{"a list", "le", "not a tracker's answer: no dict"},
		{"cut", "d8:interval", "not a tracker's answer: it is cut short"},
		{"cut in a string", "d8:inter", "not a tracker's answer: it is cut short"},
		{"string longer than any memory", "d5:peers9223372036854775807:x", "not a tracker's answer: it is cut short"},
		{"negative length", "d-1:x", "not a tracker's answer: it is cut short"},
		{"endless number", "d5:peersi" + strings.Repeat("1", 100), "not a tracker's answer: bad number at byte 9"},
		{"deep", strings.Repeat("l", 200000), "not a tracker's answer: nested too deep"},
		{"key that is a number", "di1ei2ee", "not a tracker's answer: bad number at byte 1"},
	}
	for _, test := range tests {
		a, err := parseAnswer([]byte(test.body))
		got := fmt.Sprint(a.interval, a.minInterval, a.seeds, a.leeches, a.peers)
		if err != nil {
			got = cause(err)
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestParseAnswerTakesAtMostSoManyPeers(t *testing.T) {
	list := strings.Repeat("\x0a\x00\x00\x01\x1a\xe1", 5000)
	a, err := parseAnswer([]byte(fmt.Sprintf("d5:peers%d:%s6:peers6%d:%se", len(list), list, 18*5000, strings.Repeat(" ", 18*5000))))
	if err != nil || len(a.peers) != maxAnswerPeers {
		t.Errorf("%d peers, %v", len(a.peers), err)
	}
}

func TestCause(t *testing.T) {
	dial := func(err error) error {
		return &url.Error{Op: "Get", URL: "http://x/announce?key=1", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}
	}
	tests := []struct {
		err  error
		want string
	}{
		{dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "connection refused"},
		{dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "no route to host"},
		{dial(&net.DNSError{Err: "no such host", Name: "seed", IsNotFound: true}), "no such host: seed"},
		{dial(&net.DNSError{Err: "i/o timeout", Name: "seed", IsTimeout: true}), "timeout"},
		{dial(context.DeadlineExceeded), "timeout"},
		{os.ErrDeadlineExceeded, "timeout"},
		{&url.Error{Op: "Get", URL: "x", Err: errElsewhere}, "redirected to another host"},
		{&url.Error{Op: "Get", URL: "x", Err: io.EOF}, "EOF"},
		{fmt.Errorf("read it: %w", errors.New("odd")), "read it: odd"},
		{failureReason("  unregistered torrent\n"), "unregistered torrent"},
		{failureReason(""), "refused without a reason"},
		{failureReason(strings.Repeat("é", 999)), strings.Repeat("é", 200) + "..."},
		{errors.Join(nil, dial(syscall.ECONNREFUSED)), "connection refused"},
	}
	for _, test := range tests {
		if got := cause(test.err); got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}

func TestSecondsCannotOverflow(t *testing.T) {
	for n, want := range map[int64]time.Duration{-1: 0, 5: 5 * time.Second, 1<<63 - 1: maxInterval} {
		if got := seconds(n); !reflect.DeepEqual(got, want) {
			t.Errorf("%d: %v, want %v", n, got, want)
		}
	}
}
