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
	"syscall"
	"testing"
	"time"
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
			go func() {
				b.Read(make([]byte, 1))
				b.Close()
			}()
			_, err := SendBlock(a, []byte("prefix"), []Range{{f, 0, size}})
			var src *SourceError
			if err == nil || errors.As(err, &src) {
				t.Fatal(err)
			}
			if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, io.ErrClosedPipe) {
				t.Fatal(err)
			}
		})
	}
}
