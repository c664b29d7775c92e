// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
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

	"golang.org/x/sys/unix"
)

// tcpPair is both ends of a connection over loopback.
func tcpPair(t testing.TB, network, addr string) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		got <- c
	}()
	c, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, b = c.(*net.TCPConn), (<-got).(*net.TCPConn)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// file is a file of n random bytes.
func file(t testing.TB, n int) (*os.File, []byte) {
	t.Helper()
	want := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(want)
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, want
}

// collect reads c to its end.
func collect(c net.Conn) <-chan []byte {
	got := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(c)
		got <- b
	}()
	return got
}

func TestSendBlockOverEveryKindOfConnection(t *testing.T) {
	const size = 3<<20 + 123
	f, disk := file(t, size)
	if _, err := f.Seek(77, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	prefix := AppendPieceHeader(AppendHave(nil, 7), Block{Piece: 1, Begin: 2, Length: 3})
	many := []Range{{f, 5, 4096}, {f, 100000, 1}, {f, 0, 0}, {f, 200001, 1 << 20}, {f, size - 9, 9}, {f, 1, 30000}}
	for _, c := range []struct {
		name   string
		prefix []byte
		ranges []Range
	}{
		{"one range", prefix, []Range{{f, 12345, 16 << 10}}},
		{"the whole file", prefix, []Range{{f, 0, size}}},
		{"several ranges", prefix, many},
		{"no prefix", nil, many},
		{"no payload", prefix, nil},
		{"nothing", nil, nil},
	} {
		want := bytes.Clone(c.prefix)
		for _, r := range c.ranges {
			want = append(want, disk[r.Offset:r.Offset+r.Length]...)
		}
		for name, pair := range pairs(t) {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				a, b := pair()
				got := collect(b)
				n, err := SendBlock(a, c.prefix, c.ranges)
				if err != nil || n != int64(len(want)) {
					t.Fatalf("sent %d of %d bytes: %v", n, len(want), err)
				}
				a.Close()
				if !bytes.Equal(<-got, want) {
					t.Fatal("other bytes arrived")
				}
			})
		}
	}
	if pos, err := f.Seek(0, io.SeekCurrent); pos != 77 || err != nil {
		t.Fatalf("the file's position moved to %d, %v", pos, err)
	}
}

func pairs(t *testing.T) map[string]func() (net.Conn, net.Conn) {
	tcp := func(network, addr string) func() (net.Conn, net.Conn) {
		return func() (net.Conn, net.Conn) {
			a, b := tcpPair(t, network, addr)
			if err := SetLowDelay(a, TCPOptions{}); err != nil {
				t.Fatal(err)
			}
			return a, b
		}
	}
	return map[string]func() (net.Conn, net.Conn){
		"pipe": func() (net.Conn, net.Conn) { return net.Pipe() },
		"tcp4": tcp("tcp4", "127.0.0.1:0"),
		"tcp6": tcp("tcp6", "[::1]:0"),
	}
}

func TestSendBlockBlamesTheSource(t *testing.T) {
	f, _ := file(t, 10000)
	closed, _ := file(t, 10)
	closed.Close()
	prefix := []byte("prefix")
	for _, c := range []struct {
		name   string
		ranges []Range
		err    error
		offset int64
	}{
		{"short file", []Range{{f, 9000, 2000}}, io.ErrUnexpectedEOF, 10000},
		{"beyond the end", []Range{{f, 20000, 1}}, io.ErrUnexpectedEOF, 20000},
		{"second range short", []Range{{f, 0, 100}, {f, 9999, 2}}, io.ErrUnexpectedEOF, 10000},
		{"closed", []Range{{closed, 0, 5}}, os.ErrClosed, 0},
		{"no file", []Range{{nil, 0, 5}}, os.ErrInvalid, 0},
		{"negative offset", []Range{{f, -5, 5}}, nil, -5},
	} {
		for name, pair := range pairs(t) {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				a, b := pair()
				got := collect(b)
				n, err := SendBlock(a, prefix, c.ranges)
				var src *SourceError
				if !errors.As(err, &src) || src.Offset != c.offset || c.err != nil && !errors.Is(err, c.err) {
					t.Fatalf("error %v (%+v), want %v at %d", err, src, c.err, c.offset)
				}
				a.Close()
				if arrived := <-got; int64(len(arrived)) != n {
					t.Fatalf("said to have sent %d bytes, %d arrived", n, len(arrived))
				}
			})
		}
	}
}

func TestSendBlockBlamesTheConnection(t *testing.T) {
	const size = 32 << 20 // more than any socket buffer
	f, _ := file(t, size)
	for name, pair := range pairs(t) {
		t.Run(name+"/peer stops reading", func(t *testing.T) {
			a, _ := pair()
			a.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			n, err := SendBlock(a, []byte("prefix"), []Range{{f, 0, size}})
			if !errors.Is(err, os.ErrDeadlineExceeded) || n >= size {
				t.Fatalf("sent %d bytes: %v", n, err)
			}
		})
		t.Run(name+"/closed meanwhile", func(t *testing.T) {
			a, b := pair()
			go func() {
				b.Read(make([]byte, 1))
				a.Close()
			}()
			_, err := SendBlock(a, []byte("prefix"), []Range{{f, 0, size}})
			if !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
				t.Fatal(err)
			}
		})
		t.Run(name+"/peer goes away", func(t *testing.T) {
			a, b := pair()
			want := io.ErrClosedPipe
			if tcp, ok := b.(*net.TCPConn); ok {
				tcp.SetLinger(0) // a reset, with nothing before it
				want = syscall.ECONNRESET
			}
			go func() {
				b.Read(make([]byte, 1))
				b.Close()
			}()
			_, err := SendBlock(a, []byte("prefix"), []Range{{f, 0, size}})
			var src *SourceError
			if !errors.Is(err, want) || errors.As(err, &src) {
				t.Fatal(err)
			}
		})
	}
}

// However often the socket is full, nothing may be lost, and payload must not be copied.
func TestSendBlockPastAFullSocket(t *testing.T) {
	const size = 64 << 20
	f, disk := file(t, size)
	a, b := tcpPair(t, "tcp4", "127.0.0.1:0")
	if err := SetLowDelay(a, TCPOptions{}); err != nil {
		t.Fatal(err)
	}
	prefix := bytes.Repeat([]byte("prefix "), 1<<20)
	got := make([]byte, len(prefix)+size)
	read := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(b, got)
		read <- err
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := SendBlock(a, prefix, []Range{{f, 0, size / 2}, {f, size / 2, size / 2}})
	runtime.ReadMemStats(&after)
	if err != nil || n != int64(len(got)) {
		t.Fatalf("sent %d bytes: %v", n, err)
	}
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 1<<20 {
		t.Errorf("%d bytes were allocated", bytes)
	}
	if err := <-read; err != nil || !bytes.HasPrefix(got, prefix) || !bytes.Equal(got[len(prefix):], disk) {
		t.Fatal("other bytes arrived:", err)
	}
}

func TestWhatIsLeftAfterSendfile(t *testing.T) {
	f, _ := file(t, 1)
	all := []Range{{f, 100, 50}, {f, 1000, 5}}
	s := sender{ranges: all, done: 20}
	if got, want := s.rest(), []Range{{f, 120, 30}, {f, 1000, 5}}; !slices.Equal(got, want) || all[0].Offset != 100 {
		t.Fatalf("%v, want %v", got, want)
	}
}

// A block leaves in as few packets as it fits: header and payload together, ranges together.
func TestSendBlockFillsPackets(t *testing.T) {
	f, _ := file(t, 1<<20)
	for name, ranges := range map[string][]Range{
		"one range":      {{f, 100, 16 << 10}},
		"several ranges": {{f, 100, 5000}, {f, 9000, 4000}, {f, 50000, 1}, {f, 0, 7383}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := tcpPair(t, "tcp4", "127.0.0.1:0") // loopback's packets hold 64 KiB
			if err := SetLowDelay(a, TCPOptions{}); err != nil {
				t.Fatal(err)
			}
			before := info(t, a)
			prefix := AppendPieceHeader(nil, Block{Length: 16 << 10})
			if _, err := SendBlock(a, prefix, ranges); err != nil {
				t.Fatal(err)
			}
			// It must have left: neither a cork nor MSG_MORE may hold the end back.
			after := info(t, a)
			if after.Notsent_bytes != 0 || option(t, a, unix.IPPROTO_TCP, unix.TCP_CORK) != 0 {
				t.Errorf("%d bytes are held back", after.Notsent_bytes)
			}
			if n := after.Data_segs_out - before.Data_segs_out; n != 1 {
				t.Errorf("%d packets instead of 1", n)
			}
			if _, err := io.ReadFull(b, make([]byte, len(prefix)+16<<10)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func info(t *testing.T, c *net.TCPConn) (i *unix.TCPInfo) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	cerr := raw.Control(func(fd uintptr) {
		i, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err := errors.Join(cerr, err); err != nil {
		t.Fatal(err)
	}
	return i
}

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
