// SPDX-License-Identifier: GPL-2.0-or-later

package tftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server gives out one file, as badly as it is told to. It never says anything again unasked.
type server struct {
	file    []byte
	options bool   // it knows blksize
	lose    uint16 // the block whose first packet is lost; 0: none
	extra   []byte // sent before each packet of data
	refuse  []byte // the answer to any request
}

// serve runs s until the test ends, and is its address.
func serve(t *testing.T, s *server) string {
	t.Helper()
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.accept(pc) }()
	t.Cleanup(func() { pc.Close(); <-done })
	return pc.LocalAddr().String()
}

// accept answers one request after the other.
func (s *server) accept(pc *net.UDPConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := pc.ReadFromUDP(buf)
		if err != nil {
			return
		}
		if s.refuse != nil {
			pc.WriteTo(s.refuse, from)
			continue
		}
		if request := buf[:n]; len(request) > 2 && request[1] == opRead {
			s.transfer(from, request)
		}
	}
}

func (s *server) transfer(to *net.UDPAddr, request []byte) {
	pc, err := net.DialUDP("udp", nil, to)
	if err != nil {
		return
	}
	defer pc.Close()
	size := plainBlock
	if fields := bytes.Split(request[2:], []byte{0}); s.options && len(fields) > 3 {
		size, _ = strconv.Atoi(string(fields[3]))
		oack := append([]byte{0, opOACK}, "blksize\x00"+strconv.Itoa(size)+"\x00"...)
		if !s.until(pc, oack, 0) {
			return
		}
	}
	for i := 0; ; i++ {
		block := s.file[min(i*size, len(s.file)):min((i+1)*size, len(s.file))]
		packet := append(binary.BigEndian.AppendUint16([]byte{0, opData}, uint16(i+1)), block...)
		if s.extra != nil {
			pc.Write(s.extra)
		}
		if !s.until(pc, packet, uint16(i+1)) || len(block) < size {
			return
		}
	}
}

// until sends a packet, and once more each time that the one before it is acknowledged again.
func (s *server) until(pc *net.UDPConn, packet []byte, block uint16) bool {
	if block == 0 || block != s.lose {
		pc.Write(packet)
	}
	buf := make([]byte, 1500)
	pc.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		n, err := pc.Read(buf)
		switch {
		case err != nil, n > 1 && buf[1] == opError:
			return false
		case bytes.Equal(buf[:n], ack(block)):
			return true
		case bytes.Equal(buf[:n], ack(block-1)):
			pc.Write(packet)
		}
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func TestGet(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, blockSize, 2 * blockSize, 100_000} {
		for _, options := range []bool{false, true} {
			want := random(n)
			got, err := Get(context.Background(), serve(t, &server{file: want, options: options}), "ezio.conf", 100_000)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, options %v: %d bytes, %v", n, options, len(got), err)
			}
		}
	}
}

// Every packet twice, and rubbish before each.
func TestDuplicatesAndRubbish(t *testing.T) {
	want := random(5000)
	for _, extra := range [][]byte{{0}, {0, opData, 0, 99, 'x'}, {0, opOACK}, {9, 9, 9, 9}, append([]byte{0, opData, 0, 1}, make([]byte, blockSize+1)...)} {
		s := &server{file: want, extra: extra}
		got, err := Get(context.Background(), serve(t, s), "a", 1<<20)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: %d bytes, %v", extra[:min(4, len(extra))], len(got), err)
		}
	}
}

func TestLostPacketIsAskedForAgain(t *testing.T) {
	t.Parallel()
	want := random(3000)
	got, err := Get(context.Background(), serve(t, &server{file: want, lose: 3}), "a", 1<<20)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		s    *server
		want string
	}{
		"refused":       {&server{refuse: append([]byte{0, opError, 0, 1}, "File not found\x00"...)}, "the server answers: File not found"},
		"without words": {&server{refuse: []byte{0, opError, 0, 2}}, "the server answers: error 2"},
		"too long":      {&server{file: random(1001)}, "it is too long"},
		"large blocks":  {&server{refuse: append([]byte{0, opOACK}, "blksize\x0065464\x00"...)}, "a block size that was not asked for"},
	} {
		_, err := Get(context.Background(), serve(t, c.s), "a", 1000)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	// It ends with the context, not when the next packet would be due. Once in a while the machine may
	// have other things to do at that moment.
	var took time.Duration
	for range 10 {
		ctx, cancel := context.WithCancelCause(context.Background())
		var end time.Time
		time.AfterFunc(100*time.Millisecond, func() { end = time.Now(); cancel(errors.New("long enough")) })
		if _, err := Get(ctx, pc.LocalAddr().String(), "a", 1000); err == nil || err.Error() != "long enough" {
			t.Fatalf("error %v", err)
		}
		if took = time.Since(end); took < 500*time.Millisecond {
			break
		}
	}
	if took >= 500*time.Millisecond {
		t.Errorf("it took %v to end", took)
	}
	if _, err := Get(context.Background(), "127.0.0.1:0", "a", 1000); err == nil {
		t.Error("port 0 is a port")
	}
}

func FuzzIsNext(f *testing.F) {
	f.Add([]byte{0, opData, 0, 1, 'x'}, []byte("blksize\x001428\x00"))
	f.Add([]byte{0, opError, 0, 1}, []byte("blksize\x00"))
	f.Fuzz(func(t *testing.T, packet, options []byte) {
		x := &transfer{block: plainBlock}
		x.refused(packet)
		if x.isNext(packet) && len(packet) < 4 {
			t.Fatal("a packet without a header")
		}
		if n, err := agreed(options); err == nil && (n < 8 || n > blockSize) {
			t.Fatalf("%d bytes are agreed on", n)
		}
	})
}
