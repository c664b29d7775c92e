#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Our seed, receivers and tracker among the programs that others wrote.

load helper
load interop

setup_file() { capture; }

# seeds CLIENT: it alone has the image; a receiver meets it through somebody else's tracker.
seeds() {
	room tracker foreign r1
	torrent -t "http://${IP[tracker]}:6969/announce"
	opentracker_at tracker
	share dir
	"$1" foreign a.torrent dir
	within 40 counts tracker complete 1
	recv_at r1 a.torrent --seed-idle 0
	received r1
	quit foreign
	same_btfiles dir
}

# leeches CLIENT: it has the image from our seed, by the torrent that the seed's tracker hands out,
# and tells that tracker so.
leeches() {
	room seed foreign
	torrent
	seed_at seed
	at foreign curl -sf "$URL" >got.torrent
	mkdir dir
	"$1" foreign got.torrent dir
	within 60 counts seed downloaded 1
	quit foreign
	same_btfiles dir
}

# mixes CLIENT: it and two receivers of ours share a seed.
mixes() {
	room seed r1 r2 foreign
	torrent
	seed_at seed --upload-limit 20MiB
	at foreign curl -sf "$URL" >got.torrent
	mkdir dir
	"$1" foreign got.torrent dir
	recv_at r1 "$URL" --seed-idle 2s
	recv_at r2 "$URL" --seed-idle 2s
	received r1 r2
	within 60 counts seed downloaded 3
	quit foreign
	same_btfiles dir
}

@test "libtorrent seeds our receiver" { seeds libtorrent; }
@test "libtorrent leeches from our seed" { leeches libtorrent; }
@test "libtorrent and two receivers share our seed" { mixes libtorrent; }

@test "qBittorrent seeds our receiver" { seeds qbittorrent; }
@test "qBittorrent leeches from our seed" { leeches qbittorrent; }
@test "qBittorrent and two receivers share our seed" { mixes qbittorrent; }

@test "transmission seeds our receiver" { seeds transmission; }
@test "transmission leeches from our seed" { leeches transmission; }
@test "transmission and two receivers share our seed" { mixes transmission; }

@test "aria2 seeds our receiver" { seeds aria2; }
@test "aria2 leeches from our seed" { leeches aria2; }
@test "aria2 and two receivers share our seed" { mixes aria2; }

@test "anacrolix's Client seeds our receiver" { seeds anacrolix; }
@test "anacrolix's Client leeches from our seed" { leeches anacrolix; }
@test "anacrolix's Client and two receivers share our seed" { mixes anacrolix; }
