// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

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
			if tcp, ok := b.(*net.TCPConn); ok {
				tcp.SetLinger(0) // a reset, with nothing before it
			}
			go func() {
				b.Read(make([]byte, 1))
				b.Close()
			}()
			_, err := SendBlock(a, []byte("prefix"), []Range{{f, 0, size}})
			// A reset that comes in the middle of a sendfile only cuts that one short, and the
			// next meets a broken pipe.
			reset := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
			var src *SourceError
			if !reset || errors.As(err, &src) {
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
