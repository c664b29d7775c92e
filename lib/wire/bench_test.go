// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

const benchFile = 64 << 20

// reportCPU adds what both ends cost, in CPU seconds a GiB, to the figures of b. On a machine that
// does other things it says more than the rate does.
func reportCPU(b *testing.B) (stop func()) {
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start := cpu()
	return func() {
		b.ReportMetric((cpu()-start).Seconds()/(float64(b.N)*benchFile/(1<<30)), "cpu-s/GiB")
	}
}

// receive reads blocks as the swarm does, into one buffer, until the stream ends.
func receive(b *testing.B, c net.Conn, block int) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, block)
		r := NewReader(c, Limits{Pieces: 1, MaxBlock: block})
		for {
			m, err := r.Next()
			if err == io.EOF {
				return
			}
			if err == nil {
				err = r.Payload(buf[:m.Block.Length])
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	}()
	return done
}

// Payload from a file over loopback, received into a buffer: what it costs as blocks of the wire,
// and, as io.Copy, what a bare stream costs.
func BenchmarkSendBlock(b *testing.B) {
	f, _ := file(b, benchFile)
	for _, block := range []int{16 << 10, 256 << 10, 1 << 20} {
		for name, lowat := range map[string]int{"128KiB": 128 << 10, "1MiB": 1 << 20, "system": -1} {
			b.Run(fmt.Sprintf("block=%dKiB/notsent=%s", block>>10, name), func(b *testing.B) {
				bench(b, block, lowat, func(c net.Conn, prefix []byte, at int64) error {
					_, err := SendBlock(c, prefix, []Range{{f, at, int64(block)}})
					return err
				})
			})
		}
		b.Run(fmt.Sprintf("block=%dKiB/copied", block>>10), func(b *testing.B) {
			bench(b, block, -1, func(c net.Conn, prefix []byte, at int64) error {
				_, err := SendBlockFrom(c, prefix, f, at, int64(block))
				return err
			})
		})
	}
	b.Run("io.Copy", func(b *testing.B) {
		a, c := tcpPair(b, "tcp4", "127.0.0.1:0")
		done := make(chan struct{})
		go func() {
			buf := make([]byte, 1<<20)
			for {
				if _, err := io.ReadFull(c, buf); err != nil {
					close(done)
					return
				}
			}
		}()
		b.SetBytes(benchFile)
		defer reportCPU(b)()
		for b.Loop() {
			f.Seek(0, io.SeekStart)
			if _, err := io.Copy(a, f); err != nil {
				b.Fatal(err)
			}
		}
		a.Close()
		<-done
	})
}

// bench sends the file in blocks; one operation is the whole of it.
func bench(b *testing.B, block, lowat int, send func(c net.Conn, prefix []byte, at int64) error) {
	a, c := tcpPair(b, "tcp4", "127.0.0.1:0")
	if err := SetLowDelay(a, TCPOptions{NotSent: lowat}); err != nil {
		b.Fatal(err)
	}
	done := receive(b, c, block)
	b.SetBytes(benchFile)
	b.ReportAllocs()
	defer reportCPU(b)()
	var prefix []byte
	for b.Loop() {
		for at := int64(0); at < benchFile; at += int64(block) {
			prefix = AppendPieceHeader(prefix[:0], Block{Begin: int32(at), Length: int32(block)})
			if err := send(a, prefix, at); err != nil {
				b.Fatal(err)
			}
		}
	}
	a.Close()
	<-done
}

// Messages out of memory: what framing alone costs, beside reading the same bytes without it.
func BenchmarkReader(b *testing.B) {
	k := Block{Length: BlockLength}
	piece := append(AppendPieceHeader(nil, k), make([]byte, k.Length)...)
	for _, c := range []struct {
		name   string
		stream []byte
	}{
		{"have", AppendHave(nil, 1)},
		{"request", AppendRequest(nil, k)},
		{"piece of 16 KiB", piece},
	} {
		stream := c.stream
		for len(stream) < 1<<20 {
			stream = append(stream, stream...)
		}
		dst := make([]byte, k.Length)
		b.Run(c.name, func(b *testing.B) {
			r := NewReader(&loop{b: stream}, lim)
			b.SetBytes(int64(len(c.stream)))
			b.ReportAllocs()
			for b.Loop() {
				m, err := r.Next()
				if err == nil && m.Type == Piece {
					err = r.Payload(dst)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/unframed", func(b *testing.B) {
			r := bufio.NewReaderSize(&loop{b: stream}, readBuffer)
			b.SetBytes(int64(len(c.stream)))
			buf := make([]byte, len(c.stream))
			for b.Loop() {
				if _, err := io.ReadFull(r, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
