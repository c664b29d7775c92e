// SPDX-License-Identifier: GPL-2.0-or-later

package store

import (
	"bytes"
	"os"
	"testing"

	"ezio/lib/extent"
	"ezio/lib/metainfo"
)

func TestGrown(t *testing.T) {
	for _, c := range []struct {
		disk metainfo.Disk
		size int64
		want bool
	}{
		{metainfo.Disk{DeviceSize: 8192, BlockSize: 512, PartitionTable: "gpt"}, 8192 + 512, true},
		{metainfo.Disk{DeviceSize: 8192, BlockSize: 512, PartitionTable: "gpt"}, 8192 + 511, false},
		{metainfo.Disk{DeviceSize: 8192, BlockSize: 512, PartitionTable: "gpt"}, 8192, false},
		{metainfo.Disk{DeviceSize: 8192, BlockSize: 512, PartitionTable: "gpt"}, 4096, false},
		{metainfo.Disk{DeviceSize: 8192, BlockSize: 512, PartitionTable: "dos"}, 1 << 20, false},
		{metainfo.Disk{DeviceSize: 8192, BlockSize: 512}, 1 << 20, false},
		{metainfo.Disk{}, 1 << 20, false},
	} {
		if got := Grown(&metainfo.Torrent{Disk: c.disk}, c.size); got != c.want {
			t.Errorf("%+v on %d bytes: %v", c.disk, c.size, got)
		}
	}
}

// fileDisk is a disk that the kernel can send from.
type fileDisk struct{ ramDisk }

func (d *fileDisk) File() *os.File { return os.Stdin }

// A piece with bytes that are kept is never sent from the disk, where they may be others; and it is
// read as it was put, also after the disk has something else there.
func TestKeep(t *testing.T) {
	tor, data := torrent(t)
	d := &fileDisk{ramDisk{b: make([]byte, tor.Map.End())}}
	s := New(tor, d, "x")
	if s.File(0) == nil {
		t.Fatal("without anything kept it is not sent from the disk")
	}
	off, _ := tor.Layout.Span(2)
	var at extent.Extent
	for at = range tor.Map.Slices(off+100, 10) {
	}
	s.Keep([]extent.Patch{{Offset: at.Offset, Data: make([]byte, at.Length)}})
	for i, b := range data {
		if err := s.Put(i, b); err != nil {
			t.Fatal(err)
		}
		if (s.File(i) == nil) != (i == 2) {
			t.Errorf("piece %d is sent from %v", i, s.File(i))
		}
	}
	copy(d.b[at.Offset:], "something else")
	got := make([]byte, len(data[2]))
	if err := s.ReadPiece(got, 2, 0); err != nil || !bytes.Equal(got[:110], data[2][:110]) {
		t.Errorf("piece 2 is not what was put (%v)", err)
	}
	if err := s.Scan(t.Context(), []int{0, 1}, nil); err != nil || !s.Has(0) {
		t.Errorf("scan: %v", err)
	}
}
