// SPDX-License-Identifier: GPL-2.0-or-later

// Anacrolix is a seed or receiver made of the Client of github.com/anacrolix/torrent, for the
// benchmark.
//
//	anacrolix seed TORRENT DIR ADDRESS
//	anacrolix recv TORRENT DIR ADDRESS PEER-ADDRESS...
//
// It prints {"event":"ready"}, waits for a line on standard input, connects to the peers named,
// prints {"event":"done"} with the time when it has all, and uploads until it is ended.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/anacrolix/torrent"
	"github.com/anacrolix/torrent/metainfo"
	"github.com/anacrolix/torrent/storage"
	"golang.org/x/time/rate"
)

const port = 6881

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "anacrolix:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 4 || (args[0] != "seed" && args[0] != "recv") {
		return errors.New("usage: anacrolix seed|recv TORRENT DIR ADDRESS [PEER-ADDRESS...]")
	}
	mi, err := metainfo.LoadFromFile(args[1])
	if err != nil {
		return err
	}
	client, err := torrent.NewClient(config(args[2], args[3]))
	if err != nil {
		return err
	}
	t, err := client.AddTorrent(mi)
	if err != nil {
		return err
	}
	t.SetMaxEstablishedConns(1000)
	// Both look through what they have before the time counts.
	if err := t.VerifyDataContext(context.Background()); err != nil {
		return err
	}
	if args[0] == "seed" && t.BytesMissing() > 0 {
		return fmt.Errorf("seed lacks %d bytes", t.BytesMissing())
	}
	if err := event("ready"); err != nil {
		return err
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	if args[0] == "recv" {
		t.AddPeers(peers(args[4:]))
		t.DownloadAll()
		<-t.Complete().On()
		if err := event("done"); err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until we are killed
	return err
}

func config(dir, address string) *torrent.ClientConfig {
	cfg := torrent.NewDefaultClientConfig()
	cfg.SetListenAddr(fmt.Sprintf("%s:%d", address, port))
	cfg.Seed = true
	cfg.NoDHT = true
	cfg.DisableTrackers = true
	cfg.DisableUTP = true
	cfg.DisableIPv6 = true
	cfg.DisableWebtorrent = true
	cfg.DisableWebseeds = true
	cfg.NoDefaultPortForwarding = true
	cfg.DisableAcceptRateLimiting = true
	cfg.DialRateLimiter = rate.NewLimiter(rate.Inf, 0)
	cfg.EstablishedConnsPerTorrent = 1000
	cfg.HalfOpenConnsPerTorrent = 100
	cfg.TotalHalfOpenConns = 1000
	cfg.HeaderObfuscationPolicy = torrent.HeaderObfuscationPolicy{Preferred: false, RequirePreferred: true}
	cfg.DefaultStorage = storage.NewFileOpts(storage.NewFileClientOpts{
		ClientBaseDir:   dir,
		PieceCompletion: storage.NewMapPieceCompletion(),
	})
	return cfg
}

func peers(ips []string) []torrent.PeerInfo {
	var infos []torrent.PeerInfo
	for _, ip := range ips {
		infos = append(infos, torrent.PeerInfo{
			Addr:    &net.TCPAddr{IP: net.ParseIP(ip), Port: port},
			Trusted: true,
		})
	}
	return infos
}

func event(name string) error {
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"event": name, "time": time.Now()})
}
