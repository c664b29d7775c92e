// SPDX-License-Identifier: GPL-2.0-or-later

package blockmap

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"ezio/lib/partclone/fstest"
)

// The log of an NTFS that was made and used by ntfs-3g is empty. Into it are put what Windows leaves
// there: restart pages with and without clients, the newer one of which counts.
func TestNTFSLog(t *testing.T) {
	for _, args := range [][]string{{}, {"-s", "4096"}, {"-c", "512"}, {"-c", "65536"}, {"-c", "262144"}} {
		image := mkfs(t, append([]string{"mkfs.ntfs", "-q", "-F", "-f"}, args...)...)
		if pending(t, image, "NTFS") {
			t.Errorf("%v: pending after mkfs", args)
		}
		m := fstest.Mount(t, "ntfs-3g", fstest.Loop(t, image))
		fstest.Run(t, "cp", "/bin/sh", m.Dir)
		m.Now()
		if pending(t, image, "NTFS") {
			t.Errorf("%v: pending after it was used", args)
		}
		// ntfs-3g itself says where the log is.
		want := fstest.Run(t, "ntfscat", "-i", "2", image)
		b, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		at, err := ntfsLog(bytes.NewReader(b))
		if err != nil || string(b[at:][:len(want)]) != want {
			t.Fatalf("%v: not the log at %#x, %v", args, at, err)
		}
		restart := func(page int, lsn uint64, clients, flags uint16) {
			p := b[at+int64(page)*4096:][:4096]
			copy(p, "RSTR")
			le := binary.LittleEndian
			le.PutUint16(p[24:], 48)
			le.PutUint64(p[48:], lsn)
			le.PutUint16(p[48+12:], clients)
			le.PutUint16(p[48+14:], flags)
		}
		check := func(what string, want error) {
			t.Helper()
			if err := Check(bytes.NewReader(b), "NTFS"); err != want {
				t.Errorf("%v: %s: %v", args, what, err)
			}
		}
		restart(0, 10, 0, 0)
		check("a client", ErrWindows)
		restart(1, 11, 0xffff, 0)
		check("none in the newer page", nil)
		restart(0, 12, 0, 0)
		check("a client in the newer page", ErrWindows)
		restart(0, 12, 0, 2)
		check("a client, but clean", nil)
		copy(b[at:], "JUNK")
		copy(b[at+4096:], "JUNK")
		check("junk", ErrWindows)
		copy(b[at:], "CHKD")
		check("checked", nil)
	}
}
