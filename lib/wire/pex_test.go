// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	pp "github.com/anacrolix/torrent/peer_protocol"
)

func addrs(list ...string) (a []netip.AddrPort) {
	for _, s := range list {
		a = append(a, netip.MustParseAddrPort(s))
	}
	return a
}

func TestPEXIsThatOfBEP11(t *testing.T) {
	added := addrs("10.0.0.1:6881", "[2001:db8::1]:6882", "[::ffff:10.0.0.2]:6883")
	dropped := addrs("10.0.0.9:1", "[fe80::9]:2")
	want := "d" +
		"5:added12:\x0a\x00\x00\x01\x1a\xe1\x0a\x00\x00\x02\x1a\xe3" + "7:added.f2:\x00\x00" +
		"6:added618:\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1a\xe2" + "8:added6.f1:\x00" +
		"7:dropped6:\x0a\x00\x00\x09\x00\x01" +
		"8:dropped618:\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09\x00\x02" + "e"
	b := AppendPEX(nil, 5, added, dropped)
	m, err := NewReader(bytes.NewReader(b), lim).Next()
	if err != nil || m.ExtID != 5 || string(m.Payload) != want {
		t.Fatalf("wrote %q, %v, want %q", m.Payload, err, want)
	}
	theirs, err := pp.LoadPexMsg(m.Payload)
	if err != nil || len(theirs.Added) != 2 || len(theirs.Added6) != 1 || len(theirs.Dropped) != 1 || len(theirs.Dropped6) != 1 ||
		theirs.Added[1].IP.String() != "10.0.0.2" || theirs.Added[1].Port != 6883 {
		t.Fatalf("anacrolix read %+v, %v", theirs, err)
	}
	gotAdded, gotDropped, err := ParsePEX(m.Payload)
	if err != nil || !slices.Equal(gotAdded, addrs("10.0.0.1:6881", "10.0.0.2:6883", "[2001:db8::1]:6882")) || !slices.Equal(gotDropped, dropped) {
		t.Fatalf("read %v, %v, %v", gotAdded, gotDropped, err)
	}
}

func TestParsePEX(t *testing.T) {
	for _, c := range []struct {
		name, payload  string
		added, dropped []netip.AddrPort
	}{
		{"an empty one, as aria2 sends", "de", nil, nil},
		{"lists that are empty", "d5:added0:7:added.f0:7:dropped0:e", nil, nil},
		{"a list that is no string", "d5:addedi5e7:dropped6:\x01\x02\x03\x04\x00\x05e", nil, addrs("1.2.3.4:5")},
		{"nobody's addresses", "d5:added30:\x01\x02\x03\x04\x00\x00" + "\x00\x00\x00\x00\x00\x05" + "\xe0\x00\x00\x01\x00\x05" +
			"\xff\xff\xff\xff\x00\x05" + "\x01\x02\x03\x04\x00\x05" + "e", addrs("1.2.3.4:5"), nil},
		{"nobody's in IPv6", "d6:added636:" + strings.Repeat("\x00", 17) + "\x05" + "\xff\x02" + strings.Repeat("\x00", 15) + "\x05" + "e", nil, nil},
		{"IPv4 dressed up as IPv6", "d6:added618:" + strings.Repeat("\x00", 10) + "\xff\xff\x01\x02\x03\x04\x00\x05" + "e", addrs("1.2.3.4:5"), nil},
	} {
		added, dropped, err := ParsePEX([]byte(c.payload))
		if err != nil || !slices.Equal(added, c.added) || !slices.Equal(dropped, c.dropped) {
			t.Errorf("%s: %v, %v, %v", c.name, added, dropped, err)
		}
	}
	for _, p := range []string{"", "le", "d5:added7:1234567e", "d6:added66:123456e", "d7:dropped5:12345e", "d8:dropped66:123456e"} {
		var bad *ProtocolError
		if _, _, err := ParsePEX([]byte(p)); !errors.As(err, &bad) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func TestPEXIsCapped(t *testing.T) {
	var many []netip.AddrPort
	for i := range 1000 {
		many = append(many, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1))
	}
	b := AppendPEX(nil, 1, many, many)
	if most := MaxPEX*(6+1+6) + 100; len(b) > most {
		t.Fatalf("%d bytes, at most %d were expected", len(b), most)
	}
	added, dropped, err := ParsePEX(b[6:])
	if err != nil || !slices.Equal(added, many[:MaxPEX]) || !slices.Equal(dropped, many[:MaxPEX]) {
		t.Fatalf("%d and %d, %v", len(added), len(dropped), err)
	}
	list := strings.Repeat("\x01\x02\x03\x04\x00\x05", 10000)
	added, _, err = ParsePEX([]byte("d5:added60000:" + list + "e"))
	if err != nil || len(added) != MaxPEX {
		t.Fatalf("%d, %v", len(added), err)
	}
}

func FuzzPEX(f *testing.F) {
	f.Add([]byte("de"))
	f.Add(AppendPEX(nil, 1, addrs("10.0.0.1:6881", "[2001:db8::1]:6882"), addrs("10.0.0.9:1"))[6:])
	f.Add([]byte("d5:added7:1234567e"))
	f.Fuzz(func(t *testing.T, b []byte) {
		added, dropped, err := ParsePEX(b)
		if err != nil {
			return
		}
		if len(added) > MaxPEX || len(dropped) > MaxPEX {
			t.Fatalf("%d added, %d dropped", len(added), len(dropped))
		}
		a, d, err := ParsePEX(AppendPEX(nil, 1, added, dropped)[6:])
		if err != nil || !slices.Equal(a, added) || !slices.Equal(d, dropped) {
			t.Fatalf("%v, %v became %v, %v, %v", added, dropped, a, d, err)
		}
	})
}
