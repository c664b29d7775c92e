// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// Memory seen through /proc is a file that sendfile refuses, and one with addresses that cannot
// be read.
func TestSendBlockCopiesWhereSendfileCannot(t *testing.T) {
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	f, disk := file(t, 10000)
	page := make([]byte, 300_000)
	copy(page, bytes.Repeat([]byte("memory "), len(page)/7))
	at := int64(uintptr(unsafe.Pointer(&page[0])))
	a, b := tcpPair(t, "tcp4", "127.0.0.1:0")
	got := collect(b)
	n, err := SendBlock(a, []byte("prefix"), []Range{{f, 10, 50}, {mem, at, int64(len(page))}, {f, 0, 70}})
	runtime.KeepAlive(page)
	want := slices.Concat([]byte("prefix"), disk[10:60], page, disk[:70])
	if err != nil || n != int64(len(want)) {
		t.Fatalf("sent %d of %d bytes: %v", n, len(want), err)
	}
	n, err = SendBlock(a, []byte("more"), []Range{{mem, 1 << 12, 5}})
	var src *SourceError
	if !errors.As(err, &src) || !errors.Is(err, syscall.EIO) || src.Path != "/proc/self/mem" || n != 4 {
		t.Fatalf("sent %d bytes: %v", n, err)
	}
	a.Close()
	if !bytes.Equal(<-got, append(want, "more"...)) {
		t.Fatal("other bytes arrived")
	}
}

// A device whose sectors cannot be read: a loop device that reads its file directly, a file that
// was cut off behind its back.
func TestSendBlockFromABadDisk(t *testing.T) {
	const size, good = 1 << 20, 512 << 10
	want := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{2})
	rng.Read(want)
	path := filepath.Join(t.TempDir(), "backing")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", "--read-only", "--direct-io=on", path).CombinedOutput()
	if err != nil {
		t.Fatalf("losetup (it needs root and loop devices): %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", dev).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach %s: %v: %s", dev, err, out)
		}
	})
	disk, err := os.Open(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if err := os.Truncate(path, good); err != nil {
		t.Fatal(err)
	}
	a, b := tcpPair(t, "tcp4", "127.0.0.1:0")
	got := collect(b)
	n, err := SendBlock(a, []byte("prefix"), []Range{{disk, 256 << 10, 512 << 10}})
	var src *SourceError
	if !errors.As(err, &src) || !errors.Is(err, syscall.EIO) || src.Path != dev || src.Offset != n-6+256<<10 || src.Offset > good {
		t.Fatalf("sent %d bytes: %v", n, err)
	}
	if n, err := SendBlockFrom(a, []byte("prefix"), disk, good, 4096); n != 0 || !errors.As(err, &src) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("copying sent %d bytes: %v", n, err)
	}
	a.Close()
	if !bytes.Equal(<-got, append([]byte("prefix"), want[256<<10:][:n-6]...)) {
		t.Fatal("other bytes arrived")
	}
}

func TestSendBlockFrom(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	src := bytes.NewReader(data)
	for name, pair := range pairs(t) {
		t.Run(name, func(t *testing.T) {
			a, b := pair()
			got := collect(b)
			if n, err := SendBlockFrom(a, []byte("prefix"), src, 5, 999_995); n != 1_000_001 || err != nil {
				t.Fatalf("sent %d bytes: %v", n, err)
			}
			// Nothing may leave of a block that cannot be read: the connection goes on.
			n, err := SendBlockFrom(a, []byte("prefix"), src, 999_990, 11)
			var bad *SourceError
			if n != 0 || !errors.As(err, &bad) || !errors.Is(err, io.ErrUnexpectedEOF) || bad.Offset != 1_000_000 {
				t.Fatalf("sent %d bytes: %v", n, err)
			}
			if n, err := SendBlockFrom(a, []byte("end"), src, 0, 0); n != 3 || err != nil {
				t.Fatalf("sent %d bytes: %v", n, err)
			}
			a.Close()
			if want := slices.Concat([]byte("prefix"), data[5:], []byte("end")); !bytes.Equal(<-got, want) {
				t.Fatal("other bytes arrived")
			}
		})
	}
	a, _ := tcpPair(t, "tcp4", "127.0.0.1:0")
	a.SetWriteDeadline(time.Now().Add(-time.Second))
	if _, err := SendBlockFrom(a, []byte("prefix"), src, 0, 5); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
}

// Eight connections send from one file at once and every one must get its own bytes.
func TestConnectionsShareAFile(t *testing.T) {
	f, disk := file(t, 4<<20)
	const block = 200_000
	var all sync.WaitGroup
	for i := range 8 {
		a, b := tcpPair(t, "tcp4", "127.0.0.1:0")
		all.Go(func() {
			for at := int64(i * 1000); at+block <= int64(len(disk)); at += block {
				k := Block{Begin: int32(at), Length: block}
				half := at + block/2
				if _, err := SendBlock(a, AppendPieceHeader(nil, k), []Range{{f, at, block / 2}, {f, half, block / 2}}); err != nil {
					t.Error(err)
					break
				}
			}
			a.Close()
		})
		all.Go(func() {
			r, buf, n := NewReader(b, Limits{Pieces: 1, MaxBlock: block}), make([]byte, block), 0
			for ; ; n++ {
				m, err := r.Next()
				if err == io.EOF {
					break
				}
				if err == nil {
					err = r.Payload(buf)
				}
				if err != nil || !bytes.Equal(buf, disk[m.Block.Begin:][:block]) {
					t.Errorf("connection %d, %v: %v", i, m.Block, err)
					break
				}
			}
			if want := (len(disk) - i*1000) / block; n != want {
				t.Errorf("connection %d: %d blocks, want %d", i, n, want)
			}
		})
	}
	all.Wait()
}
