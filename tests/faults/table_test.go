// SPDX-License-Identifier: GPL-2.0-or-later

package faults

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ezio/lib/partition"
	"ezio/tests/faults/faultfs"
)

// wholeDisk is a GPT disk with content between its partitions' ends, captured, and its torrent.
func wholeDisk(t *testing.T) (disk []byte, torrent, file string) {
	t.Helper()
	dir := t.TempDir()
	file, torrent = filepath.Join(dir, "disk.img"), filepath.Join(dir, "disk.torrent")
	disk = make([]byte, 12*mib)
	_, _ = rand.NewChaCha8([32]byte{9}).Read(disk[2*mib : 10*mib])
	must(t, os.WriteFile(file, disk, 0o600))
	script := `printf 'label: gpt\nsize=4M\nsize=3M\n' | sfdisk -q "$0" && ezio-btfiles -q -s "$0" | ezio-mktorrent -q >"$1"`
	cmd := exec.Command("bash", "-c", "set -o pipefail; "+script, file, torrent)
	cmd.Env = append(os.Environ(), "PATH="+bin+":/usr/sbin:/sbin:"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return readFile(t, file), torrent, file
}

func partitions(t *testing.T, disk []byte) []partition.Part {
	t.Helper()
	table, err := partition.Read(bytes.NewReader(disk), int64(len(disk)), 512)
	if err != nil {
		t.Error(err)
		return nil
	}
	return table.Parts
}

// Wherever the power goes while a GPT is moved to the end of a larger disk, the partitions are found
// again, and the same command brings the table in order.
func TestPowerCutWhileTheTableIsMoved(t *testing.T) {
	t.Parallel()
	disk, torrent, file := wholeDisk(t)
	want := partitions(t, disk)
	for _, more := range []int{mib, 5 * 512} {
		d, dev := faulty(t, bytes.Repeat([]byte{canary}, len(disk)+more))
		d.Record()
		s := seed(t, torrent, file)
		recv(t, s.url, dev).success()
		log := d.Log()
		first := slices.IndexFunc(log, func(e faultfs.Event) bool { return e.Op == faultfs.Flush })
		if first < 0 || len(log)-first < 8 {
			t.Fatalf("%d writes and flushes, the first flush is number %d", len(log), first)
		}
		for at := first + 1; at <= len(log); at++ {
			for i := range uint64(5) {
				left := d.PowerCut(at, rand.New(rand.NewPCG(i, uint64(at))))
				if got := partitions(t, left); !slices.Equal(got, want) {
					t.Fatalf("power cut after %d of %d: partitions %v, want %v", at, len(log), got, want)
				}
				if i > 0 {
					continue
				}
				target := filepath.Join(t.TempDir(), "target.img")
				must(t, os.WriteFile(target, left, 0o600))
				recv(t, s.url, target, "--force", "--verify-after").success()
				out, err := exec.Command("/usr/sbin/sgdisk", "-v", target).CombinedOutput()
				if err != nil || !strings.Contains(string(out), "No problems found") {
					t.Errorf("power cut after %d of %d: sgdisk: %v: %s", at, len(log), err, out)
				}
			}
		}
	}
}

// A place that cannot be written when the table is moved is an error, and the old table remains.
func TestTableCannotBeWritten(t *testing.T) {
	t.Parallel()
	disk, torrent, file := wholeDisk(t)
	size := int64(len(disk) + mib)
	d, dev := faulty(t, bytes.Repeat([]byte{canary}, int(size)))
	d.Set(faultfs.Rule{Op: faultfs.Write, From: size - 4096, To: size, Err: syscall.EIO})
	s := seed(t, torrent, file)
	r := recv(t, s.url, dev)
	if code := r.wait(); code != 1 || !strings.Contains(r.err.String(), dev) || r.said("done") {
		t.Errorf("exit code %d: %s", code, tail(r.err.String()))
	}
	if left := d.Bytes(); !bytes.Equal(left[:mib], disk[:mib]) {
		t.Error("the old table is gone")
	}
}
