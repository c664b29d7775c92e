// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Contestant is one way to bring an image to machines: how its programs are started, and in what
// order.
type Contestant struct {
	Name  string
	About string
	// Seed and Receiver name the programs; receiver i of the round runs on node i, from 1.
	Seed     func(r *round) Command
	Receiver func(r *round, i int) Command
	// Gated programs wait for a line on their standard input, so that the time counts from when
	// all of them are loaded. It is given to those whose start is slow for reasons that are not
	// the transfer's. Others count from when the receivers are started.
	Gated bool
	// SeedLast is for transfers that the seed begins, once all receivers listen.
	SeedLast bool
	// NoPieces says that the piece length makes no difference.
	NoPieces bool
	// OneToOne cannot serve more than one receiver.
	OneToOne bool
	// Needs are the programs it takes.
	Needs func(t tools) []string
}

var contestants = []Contestant{
	{
		Name: "ezio", About: "ezio-seed and ezio-recv", Needs: func(t tools) []string { return []string{t.ezioSeed, t.ezioRecv} },
		Seed: ezioSeed, Receiver: ezioReceiver,
	},
	{
		Name: "libtorrent", About: "libtorrent 2.0 (python3-libtorrent), a seed and receivers that know each other's addresses",
		Needs: func(t tools) []string { return []string{"/usr/bin/python3"} },
		Seed:  libtorrentSeed, Receiver: libtorrentReceiver, Gated: true,
	},
	{
		Name: "udpcast", About: "udp-sender and udp-receiver: multicast, everyone starts at once",
		Needs: func(tools) []string { return []string{"udp-sender", "udp-receiver"} },
		Seed:  udpcastSender, Receiver: udpcastReceiver, SeedLast: true, NoPieces: true,
	},
	{
		Name: "anacrolix", About: "the Client of github.com/anacrolix/torrent", Needs: func(t tools) []string { return []string{t.anacrolix} },
		Seed: anacrolixSeed, Receiver: anacrolixReceiver, Gated: true,
	},
	{
		Name: "lone", About: "a single TCP stream into a file: what one copy takes", Needs: func(t tools) []string { return []string{t.stream} },
		Seed: streamSeed, Receiver: loneReceiver, Gated: true, NoPieces: true, OneToOne: true,
	},
	{
		Name: "bare", About: "a single TCP stream, each piece hashed and written: the least a receiver must do",
		Needs: func(t tools) []string { return []string{t.stream} },
		Seed:  streamSeed, Receiver: bareReceiver, Gated: true, OneToOne: true,
	},
}

func contestantByName(name string) (Contestant, error) {
	var names []string
	for _, c := range contestants {
		if c.Name == name {
			return c, nil
		}
		names = append(names, c.Name)
	}
	return Contestant{}, fmt.Errorf("no contestant %q; there are %s", name, strings.Join(names, ", "))
}

// The seed listens here in each namespace, whatever its kind.
const peerPort = 6881

// Ours: the receivers know the address of the seed and nothing else, as on a lab's machines.
func ezioSeed(r *round) Command {
	return Command{
		Args:    []string{r.tools.ezioSeed, "-t", r.torrent, "-d", r.image.Raw, "--progress", "json"},
		Listens: []int{peerPort, 6969},
	}
}

func ezioReceiver(r *round, i int) Command {
	out := filepath.Join(r.nodeDir(i), "disk.img")
	return Command{
		Args: []string{r.tools.ezioRecv, "-t", "http://" + r.lab.Nodes[0].IP + ":6969/a.torrent", "-d", out,
			"--progress", "json", "--seed-idle", "1h", "--force"},
		Outputs: []string{out},
		Listens: []int{peerPort},
	}
}

func libtorrentSeed(r *round) Command {
	return Command{Args: []string{"/usr/bin/python3", r.tools.libtorrentPy, "seed", r.torrent, r.image.Parent, r.lab.Nodes[0].IP}}
}

func libtorrentReceiver(r *round, i int) Command {
	return Command{
		Args: append([]string{"/usr/bin/python3", r.tools.libtorrentPy, "recv", r.torrent, r.nodeDir(i), r.lab.Nodes[i].IP},
			r.others(i)...),
		Outputs: r.image.ExtentFiles(r.nodeDir(i)),
	}
}

func anacrolixSeed(r *round) Command {
	return Command{Args: []string{r.tools.anacrolix, "seed", r.torrent, r.image.Parent, r.lab.Nodes[0].IP}}
}

func anacrolixReceiver(r *round, i int) Command {
	return Command{
		Args:    append([]string{r.tools.anacrolix, "recv", r.torrent, r.nodeDir(i), r.lab.Nodes[i].IP}, r.others(i)...),
		Outputs: r.image.ExtentFiles(r.nodeDir(i)),
	}
}

func udpcastSender(r *round) Command {
	return Command{
		Args: []string{"udp-sender", "--file", r.image.Raw, "--interface", "e0", "--full-duplex", "--nokbd", "--no-progress",
			"--min-receivers", fmt.Sprint(r.N)},
		Ready: func(line string) bool { return strings.HasPrefix(line, "Udp-sender") },
		// The sender looks every two seconds whether all are there.
		Begins:     func(line string) bool { return strings.HasPrefix(line, "Starting transfer") },
		DoneOnExit: true,
	}
}

// udpcastReceiver does not stay the half second that it would linger after the last byte in case its
// last answer got lost, since its exit is all that tells when it is done.
func udpcastReceiver(r *round, i int) Command {
	out := filepath.Join(r.nodeDir(i), "disk.img")
	return Command{
		Args: []string{"udp-receiver", "--file", out, "--interface", "e0", "--nokbd", "--nosync", "--no-progress",
			"--exit-wait", "10"},
		Outputs:    []string{out},
		Ready:      func(line string) bool { return strings.HasPrefix(line, "UDP receiver for") },
		DoneOnExit: true,
	}
}

func streamSeed(r *round) Command {
	return Command{Args: []string{r.tools.stream, "send", r.image.Raw}}
}

func loneReceiver(r *round, i int) Command {
	out := filepath.Join(r.nodeDir(i), "disk.img")
	return Command{Args: []string{r.tools.stream, "recv", out, r.lab.Nodes[0].IP}, Outputs: []string{out}}
}

func bareReceiver(r *round, i int) Command {
	c := loneReceiver(r, i)
	c.Args = append(c.Args, r.torrent)
	return c
}
