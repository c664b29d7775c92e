// SPDX-License-Identifier: GPL-2.0-or-later

// Stream is the yardstick of the benchmark: one file over one TCP connection.
//
//	stream send FILE                      wait for a connection, send the file, wait to be ended
//	stream recv FILE ADDRESS              write what comes to the file, which may be there, as a disk is
//	stream recv FILE ADDRESS TORRENT      the same, each piece checked against the torrent first
//
// The first recv is what a lone copy takes; the second is the least work any receiver of verified
// pieces must do. Both print {"event":"ready"}, wait for a line on standard input, and print
// {"event":"done"} with the time.
package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/anacrolix/torrent/metainfo"
)

const address = ":7000"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stream:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "send":
		return send(args[1])
	case len(args) == 3 && args[0] == "recv":
		return receive(args[1], args[2], copyAll)
	case len(args) == 4 && args[0] == "recv":
		mi, err := metainfo.LoadFromFile(args[3])
		if err != nil {
			return err
		}
		info, err := mi.UnmarshalInfo()
		if err != nil {
			return err
		}
		return receive(args[1], args[2], func(f *os.File, conn net.Conn) error { return copyVerified(f, conn, &info) })
	default:
		return errors.New("usage: stream send FILE | stream recv FILE ADDRESS [TORRENT]")
	}
}

func event(name string) error {
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"event": name, "time": time.Now()})
}

func awaitGo() error {
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	return err
}

// awaitEnd waits to be killed, so that the benchmark can read what we cost.
func awaitEnd() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func send(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := event("ready"); err != nil {
		return err
	}
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	if _, err := io.Copy(conn, f); err != nil { // sendfile
		return err
	}
	if err := conn.Close(); err != nil {
		return err
	}
	return awaitEnd() // the receiver's end is what counts
}

func receive(path, ip string, transfer func(*os.File, net.Conn) error) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if err := event("ready"); err != nil {
		return err
	}
	if err := awaitGo(); err != nil {
		return err
	}
	conn, err := net.Dial("tcp4", ip+address)
	if err != nil {
		return err
	}
	if err := transfer(f, conn); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := event("done"); err != nil {
		return err
	}
	return awaitEnd()
}

// copyAll uses no splice: a receiver must see the bytes.
func copyAll(f *os.File, conn net.Conn) error {
	buf := make([]byte, 1<<20)
	for {
		n, err := conn.Read(buf)
		if _, err := f.Write(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func copyVerified(f *os.File, conn net.Conn, info *metainfo.Info) error {
	buf := make([]byte, info.PieceLength)
	for i := range info.NumPieces() {
		p := info.Piece(i)
		b := buf[:p.Length()]
		if _, err := io.ReadFull(conn, b); err != nil {
			return err
		}
		if sha1.Sum(b) != p.V1Hash().Unwrap() {
			return fmt.Errorf("piece %d does not match", i)
		}
		if _, err := f.WriteAt(b, p.Offset()); err != nil {
			return err
		}
	}
	return nil
}
