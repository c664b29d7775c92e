// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"encoding/hex"
	"net"
	"testing"
	"time"

	"ezio/lib/store"
)

// transmissionSyn is what Transmission 3.00 sends first: a SYN with connection id 0x5d61 and sequence
// number 1, and an extension of eight bytes.
const transmissionSyn = "41025d61" + "a1b2c3d4" + "00000000" + "00040000" + "0001" + "0000" + "0008" + "0000000000000000"

// Whoever tries uTP at our port is told at once that there is none.
func TestUTPIsRefused(t *testing.T) {
	tor, disk := image(t, 4, 64<<10)
	seed := begin(t, tor, store.NewSource(tor, disk, "seed"), Config{})
	nc, err := net.Dial("udp", addr(seed).String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	syn, _ := hex.DecodeString(transmissionSyn)
	nc.Write([]byte("d1:ad2:id20:")) // the DHT's, which is ignored
	nc.Write(syn)
	nc.SetReadDeadline(time.Now().Add(60 * time.Second))
	b := make([]byte, 100)
	n, err := nc.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	b = b[:n]
	if n != utpHeader || b[0] != 0x31 || b[1] != 0 || hex.EncodeToString(b[2:4]) != "5d61" || hex.EncodeToString(b[18:20]) != "0001" {
		t.Fatalf("the answer is %x", b)
	}
}

func FuzzUTPRefusal(f *testing.F) {
	syn, _ := hex.DecodeString(transmissionSyn)
	f.Add(syn)
	f.Add(syn[:19])
	f.Add([]byte{0x31})
	f.Fuzz(func(t *testing.T, p []byte) {
		r := utpRefusal(p)
		if len(r) > len(p) {
			t.Fatal("the answer is longer than the question")
		}
		if r != nil && utpRefusal(r) != nil {
			t.Fatal("two of us would answer each other for ever")
		}
	})
}
