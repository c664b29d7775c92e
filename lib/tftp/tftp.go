// SPDX-License-Identifier: GPL-2.0-or-later

// Package tftp reads a small file from a TFTP server (RFC 1350, with the option blksize of RFC 2347
// and 2348): what a machine that has booted from the network has at hand before anything else.
//
// TFTP knows no sums and no names: whoever is on the network can answer. What is read here is
// bounded in size and time, and comes from the address that was asked.
package tftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// Operations.
const (
	opRead  = 1
	opData  = 3
	opAck   = 4
	opError = 5
	opOACK  = 6
)

const (
	port        = "69"
	plainBlock  = 512  // bytes, without the option
	blockSize   = 1428 // bytes asked for: a packet of it fits Ethernet, IPv6 and a tunnel
	firstWait   = time.Second
	attempts    = 6 // of each packet, each waiting twice as long, to 8 s at most
	longestWait = 8 * time.Second
)

// An Error is what the server says against it (RFC 1350, appendix).
type Error struct {
	Code    uint16
	Message string
}

func (e *Error) Error() string {
	what := e.Message
	if what == "" {
		what = "error " + strconv.Itoa(int(e.Code))
	}
	return "the server answers: " + what
}

// ErrTooLong is the error for a file of more bytes than the caller takes.
var ErrTooLong = errors.New("it is too long")

// Get reads a file in binary mode from host, HOST or HOST:PORT. More than limit bytes are an error.
func Get(ctx context.Context, host, file string, limit int64) ([]byte, error) {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, port)
	}
	server, err := resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	pc, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	defer pc.Close()
	stop := context.AfterFunc(ctx, func() { pc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	t := &transfer{ctx: ctx, pc: pc, peer: server, block: plainBlock, limit: limit}
	return t.run(file)
}

func resolve(ctx context.Context, host string) (*net.UDPAddr, error) {
	name, service, err := net.SplitHostPort(host)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("%q is no port", service)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	return &net.UDPAddr{IP: ips[0].Unmap().AsSlice(), Port: int(n), Zone: ips[0].Zone()}, nil
}

// A transfer is one file on its way.
type transfer struct {
	ctx   context.Context
	pc    *net.UDPConn
	peer  *net.UDPAddr // the server, and once it has answered the port it answers from
	met   bool         // it has answered
	block int          // bytes of a whole block
	limit int64
	file  []byte
	last  uint16 // the block received last
}

func (t *transfer) run(name string) ([]byte, error) {
	say := readRequest(name)
	for {
		p, err := t.ask(say)
		if err != nil {
			return nil, err
		}
		if binary.BigEndian.Uint16(p) == opOACK {
			if t.block, err = agreed(p[2:]); err != nil {
				return nil, err
			}
		} else {
			t.last++
			t.file = append(t.file, p[4:]...)
			if int64(len(t.file)) > t.limit {
				t.send(errorPacket("it is too long"))
				return nil, ErrTooLong
			}
			if len(p)-4 < t.block {
				t.send(ack(t.last)) // if it is lost, the server gives up by itself
				return t.file, nil
			}
		}
		say = ack(t.last)
	}
}

func readRequest(name string) []byte {
	b := binary.BigEndian.AppendUint16(nil, opRead)
	for _, s := range []string{name, "octet", "blksize", strconv.Itoa(blockSize)} {
		b = append(append(b, s...), 0)
	}
	return b
}

func ack(block uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{0, opAck}, block)
}

func errorPacket(message string) []byte {
	return append(append([]byte{0, opError, 0, 0}, message...), 0)
}

// agreed is the block size in the server's answer to our options.
func agreed(options []byte) (int, error) {
	fields := bytes.Split(options, []byte{0})
	for i := 0; i+1 < len(fields); i += 2 {
		if !bytes.EqualFold(fields[i], []byte("blksize")) {
			continue
		}
		if n, err := strconv.Atoi(string(fields[i+1])); err == nil && n >= 8 && n <= blockSize {
			return n, nil
		}
		return 0, errors.New("the server answers with a block size that was not asked for")
	}
	return plainBlock, nil
}

func (t *transfer) send(p []byte) error {
	_, err := t.pc.WriteTo(p, t.peer)
	return err
}

// ask sends a packet, again and again, until the next one of the file comes.
func (t *transfer) ask(packet []byte) ([]byte, error) {
	wait := firstWait
	for range attempts {
		if err := t.send(packet); err != nil {
			return nil, err
		}
		p, err := t.next(time.Now().Add(wait))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return p, err
		}
		if t.ctx.Err() != nil {
			return nil, context.Cause(t.ctx)
		}
		wait = min(2*wait, longestWait)
	}
	if !t.met {
		return nil, errors.New("no answer")
	}
	return nil, errors.New("the server has fallen silent")
}

// next is the packet that goes on with the file. Duplicates and strangers' packets are passed over.
func (t *transfer) next(deadline time.Time) ([]byte, error) {
	if err := t.pc.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	if t.ctx.Err() != nil { // it may have ended just before that
		return nil, context.Cause(t.ctx)
	}
	buf := make([]byte, 4+blockSize+1)
	for {
		n, from, err := t.pc.ReadFromUDP(buf)
		if err != nil {
			return nil, err
		}
		if !from.IP.Equal(t.peer.IP) || t.met && from.Port != t.peer.Port {
			continue
		}
		p := buf[:n]
		if err := t.refused(p); err != nil {
			return nil, err
		}
		if !t.isNext(p) {
			continue
		}
		t.met, t.peer = true, from
		return p, nil
	}
}

// refused is the error in an error packet.
func (t *transfer) refused(p []byte) error {
	if len(p) < 4 || binary.BigEndian.Uint16(p) != opError {
		return nil
	}
	message, _, _ := bytes.Cut(p[4:], []byte{0})
	return &Error{Code: binary.BigEndian.Uint16(p[2:]), Message: string(message)}
}

func (t *transfer) isNext(p []byte) bool {
	if len(p) < 4 {
		return false
	}
	switch binary.BigEndian.Uint16(p) {
	case opOACK:
		return !t.met
	case opData:
		return binary.BigEndian.Uint16(p[2:]) == t.last+1 && len(p) <= 4+t.block
	}
	return false
}
