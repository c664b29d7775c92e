// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/anacrolix/torrent/bencode"
	pp "github.com/anacrolix/torrent/peer_protocol"
)

// What clients send in their extension handshake.
var handshakes = []struct {
	name, payload string
	want          Extensions
}{
	{"the example of BEP 10", "d1:md11:LT_metadatai1e6:\xb5T_PEXi2ee1:pi6881e1:v13:µTorrent 1.2e",
		Extensions{Port: 6881, Client: "µTorrent 1.2"}},
	{"aria2 1.36", "d1:md11:ut_metadatai9e6:ut_pexi8ee13:metadata_sizei384e1:pi6981e1:v12:aria2/1.36.0e",
		Extensions{PEX: 8, Port: 6981, Client: "aria2/1.36.0"}},
	{"qBittorrent 4.5.2 (libtorrent 2.0.8)", "d12:complete_agoi-1e1:md11:lt_donthavei7e10:share_modei8e11:upload_onlyi3e" +
		"12:ut_holepunchi4e11:ut_metadatai2e6:ut_pexi1ee13:metadata_sizei384e1:pi41777e4:reqqi2000e" +
		"1:v17:qBittorrent/4.5.26:yourip4:\x7f\x00\x00\x01e",
		Extensions{PEX: 1, DontHave: 7, Port: 41777, Client: "qBittorrent/4.5.2", RequestQueue: 2000}},
	{"our seed", "d4:eziod5:blocki1048576e5:showsi1eee", Extensions{MaxBlock: 1 << 20, Shows: true}},
	{"BEP 21", "d1:mde11:upload_onlyi1ee", Extensions{UploadOnly: true}},
	{"ours", "d4:eziod5:blocki1048576ee1:md11:lt_donthavei2e6:ut_pexi1ee1:pi6881e4:reqqi250e11:upload_onlyi1e1:v8:ezio 0.1e",
		Extensions{PEX: 1, DontHave: 2, Port: 6881, Client: "ezio 0.1", RequestQueue: 250, UploadOnly: true, MaxBlock: 1 << 20}},
	{"nothing", "de", Extensions{}},
	{"what follows the dict, as BEP 9 has it", "deXYZ", Extensions{}},
	{"keys in any order", "d1:v1:x1:pi5e1:mdee", Extensions{Port: 5, Client: "x"}},
	{"values of other kinds", "d1:vi5e1:p1:x4:reqqle11:upload_onlyd1:ai1eee", Extensions{}},
	{"numbers out of range", "d1:md6:ut_pexi256e11:lt_donthavei-1ee1:pi65536e4:reqqi-5e11:upload_onlyi0ee", Extensions{}},
	{"a queue without end", "d4:reqqi2147483647ee", Extensions{RequestQueue: maxRequest}},
	{"blocks of one byte", "d4:eziod5:blocki1eee", Extensions{}},
	{"blocks of 8 EiB", "d4:eziod5:blocki9223372036854775807eee", Extensions{}},
	{"a name that draws on the terminal", "d1:v15:\x1b[2J\x00evil\xff\n\u202e!e", Extensions{Client: "[2Jevil!"}},
	{"a name without end", "d1:v1000:" + strings.Repeat("a", 1000) + "e", Extensions{Client: strings.Repeat("a", maxClient)}},
}

func TestParseExtensions(t *testing.T) {
	for _, c := range handshakes {
		if got, err := ParseExtensions([]byte(c.payload)); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

func TestParseExtensionsRefuses(t *testing.T) {
	for name, payload := range map[string]string{
		"nothing at all":         "",
		"a list":                 "le",
		"a dict cut short":       "d1:md6:ut_pexi1ee",
		"a dict in a dict":       "d1:m" + strings.Repeat("d1:a", 10000) + "de" + strings.Repeat("e", 10001),
		"a list in a list":       "d1:v" + strings.Repeat("l", 30000) + strings.Repeat("e", 30001),
		"a string of 2 GiB":      "d1:v2147483647:xe",
		"a string cut short":     "d1:v3:ab",
		"a string of 2^64":       "d1:v18446744073709551617:xe",
		"a string of -1":         "d1:v-1:xe",
		"an integer cut short":   "d1:pi68",
		"an integer that is not": "d1:pi6x8ee",
		"an integer of 2^63":     "d1:pi9223372036854775808ee",
		"a key that is not":      "di1ei2ee",
		"a key without value":    "d1:pe",
		"ids that are not":       "d1:mi1ee",
	} {
		e := Extensions{Port: 1}
		var bad *ProtocolError
		if err := e.Update(slices.Clip([]byte(payload))); !errors.As(err, &bad) || e != (Extensions{Port: 1}) {
			t.Errorf("%s: %v, %+v", name, err, e)
		}
	}
}

func TestExtensionsUpdateOnlyWhatTheyName(t *testing.T) {
	e := Extensions{PEX: 1, DontHave: 2, Port: 3, Client: "x", RequestQueue: 4, MaxBlock: 1 << 20}
	// id 0 is how BEP 10 turns a message off.
	if err := e.Update([]byte("d1:md6:ut_pexi0ee11:upload_onlyi1ee")); err != nil {
		t.Fatal(err)
	}
	want := Extensions{DontHave: 2, Port: 3, Client: "x", RequestQueue: 4, MaxBlock: 1 << 20, UploadOnly: true}
	if e != want {
		t.Fatalf("%+v, want %+v", e, want)
	}
}

func TestAppendExtensionsIsReadByUsAndOthers(t *testing.T) {
	for _, c := range handshakes {
		b := AppendExtensions([]byte("x"), c.want)
		m, err := NewReader(bytes.NewReader(b[1:]), lim).Next()
		if err != nil || m.Type != Extended || m.ExtID != ExtHandshake {
			t.Fatalf("%s: %+v, %v", c.name, m, err)
		}
		if c.name == "ours" && string(m.Payload) != c.payload {
			t.Errorf("wrote %q, want %q", m.Payload, c.payload)
		}
		if got, err := ParseExtensions(m.Payload); err != nil || got != c.want {
			t.Errorf("%s came back as %+v, %v", c.name, got, err)
		}
		var theirs pp.ExtendedHandshakeMessage
		if err := bencode.Unmarshal(m.Payload, &theirs); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if byte(theirs.M["ut_pex"]) != c.want.PEX || theirs.V != c.want.Client || theirs.Port != int(c.want.Port) || theirs.Reqq != c.want.RequestQueue {
			t.Errorf("%s: anacrolix read %+v", c.name, theirs)
		}
	}
}

func TestDontHave(t *testing.T) {
	b := AppendDontHave(nil, 7, 19)
	if want := unhex(t, "00000006 14 07 00000013"); !bytes.Equal(b, want) { // BEP 54
		t.Fatalf("%x, want %x", b, want)
	}
	if i, err := ParseDontHave(b[6:], 20); i != 19 || err != nil {
		t.Fatal(i, err)
	}
	for _, p := range []string{"", "000000", "0000001300", "00000014", "ffffffff"} {
		var bad *ProtocolError
		if _, err := ParseDontHave(unhex(t, p), 20); !errors.As(err, &bad) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func FuzzExtensions(f *testing.F) {
	for _, c := range handshakes {
		f.Add([]byte(c.payload))
	}
	f.Add([]byte("d1:mi1ee"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseExtensions(b)
		if err != nil {
			return
		}
		if e.MaxBlock != 0 && e.MaxBlock <= BlockLength || e.RequestQueue < 0 || len(e.Client) > maxClient {
			t.Fatalf("%q was read as %+v", b, e)
		}
		back := AppendExtensions(nil, e)
		if again, err := ParseExtensions(back[6:]); err != nil || again != e {
			t.Fatalf("%+v became %+v, %v", e, again, err)
		}
	})
}
