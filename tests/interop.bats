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
	within 60 counts tracker complete 1
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
	at foreign curl -sf -m 30 "$URL" >got.torrent
	mkdir dir
	"$1" foreign got.torrent dir
	within 60 counts seed downloaded 1
	quit foreign
	same_btfiles dir
}

# mixes CLIENT [OPTIONS]: it and two receivers of ours share a seed.
mixes() {
	room seed r1 r2 foreign
	torrent "${@:2}"
	seed_at seed --upload-limit 30MiB
	at foreign curl -sf -m 30 "$URL" >got.torrent
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
@test "qBittorrent and two receivers share our seed, privately" { mixes qbittorrent --private; }

@test "transmission seeds our receiver" { seeds transmission; }
@test "transmission leeches from our seed" { leeches transmission; }
@test "transmission and two receivers share our seed" { mixes transmission; }

@test "aria2 seeds our receiver" { seeds aria2; }
@test "aria2 leeches from our seed" { leeches aria2; }
@test "aria2 and two receivers share our seed" { mixes aria2; }

@test "anacrolix's Client seeds our receiver" { seeds anacrolix; }
@test "anacrolix's Client leeches from our seed" { leeches anacrolix; }
@test "anacrolix's Client and two receivers share our seed" { mixes anacrolix; }

@test "all clients and two receivers share our seed, by IPv6 and nothing else" {
	FAMILY=6 room seed r1 r2 c1 c2 c3 c4 c5
	torrent
	seed_at seed
	at seed curl -sgf -m 30 "$URL" >got.torrent
	mkdir c1 c2 c3 c4 c5
	libtorrent c1 got.torrent c1
	qbittorrent c2 got.torrent c2
	transmission c3 got.torrent c3
	aria2 c4 got.torrent c4
	anacrolix c5 got.torrent c5
	recv_at r1 "$URL" --seed-idle 5s
	recv_at r2 "$URL" --seed-idle 5s
	within 60 counts seed downloaded 7
	received r1 r2
	for name in c1 c2 c3 c4 c5; do
		quit $name
		same_btfiles $name
	done
}

# ask NAME PARAMETERS: the peers that our tracker names to somebody there who misses everything: a
# line for each dict, or one with the bytes of IPv4 and of IPv6.
ask() {
	local hash
	hash=$(sed 's/../%&/g' <<<"$HASH")
	at "$1" curl -sgf -m 30 "$TRACKER/announce?info_hash=$hash&peer_id=-XX0001-abcdefghijkl&port=7777&left=1&key=k&$2" >answer
	/usr/bin/python3 - <<-'PYTHON'
		import libtorrent
		answer = libtorrent.bdecode(open("answer", "rb").read())
		if isinstance(answer[b"peers"], bytes):
		    print(len(answer[b"peers"]), len(answer.get(b"peers6", b"")))
		else:
		    for p in answer[b"peers"]:
		        print(p[b"ip"].decode(), p[b"port"], len(p.get(b"peer id", b"")))
	PYTHON
}

@test "the loopback address of IPv6" {
	room alone
	torrent
	IP[alone]=[::1]
	seed_at alone --listen '[::1]:0' --tracker-listen '[::1]:6969'
	[ "$(ask alone compact=1)" = "0 18" ]
	at alone timeout 60 ezio-recv -t "$URL" -d r1.img --listen '[::1]:0' --seed-idle 0
	same_files r1.img
}

# introduces URL CLIENT: seed, receivers and a leecher know nothing but opentracker at that URL.
introduces() {
	room tracker seed r1 r2 foreign
	torrent -t "$1"
	opentracker_at tracker
	seed_at seed --no-tracker
	within 60 counts tracker complete 1
	mkdir dir
	"$2" foreign a.torrent dir
	recv_at r1 a.torrent --seed-idle 2s
	recv_at r2 a.torrent --seed-idle 2s
	received r1 r2
	within 60 counts tracker downloaded 3
	quit foreign
	same_btfiles dir
}

# The tracker is the first machine of the room.
@test "opentracker by HTTP introduces our seed, two receivers and aria2" {
	introduces http://10.0.0.1:6969/announce aria2
}

@test "opentracker by UDP introduces our seed, two receivers and libtorrent" {
	introduces udp://10.0.0.1:6970/announce libtorrent
}

@test "of several trackers the dead cost no time" {
	room tracker seed r1
	# One refuses, of two there is no machine; the live one comes last.
	torrent -t http://10.0.0.3:6969/announce -t http://10.0.0.99:6969/announce \
		-t udp://10.0.0.99:6970/announce -t udp://10.0.0.1:6970/announce
	opentracker_at tracker
	seed_at seed --no-tracker
	# One after the other the dead would take more than twenty seconds.
	within 15 counts tracker complete 1
	recv_at r1 a.torrent --seed-idle 0
	received r1
	seconds r1 '.peers > 0'
	[ "$(seconds r1 '.peers > 0' | cut -d. -f1)" -lt 15 ]
}

@test "our tracker introduces foreign clients to each other" {
	room seed c1 c2 c3
	torrent
	seed_at seed --upload-limit 64KiB
	at c1 curl -sf -m 30 "$URL" >got.torrent
	share c1
	mkdir c2 c3
	libtorrent c1 got.torrent c1
	within 60 counts seed complete 2
	qbittorrent c2 got.torrent c2
	aria2 c3 got.torrent c3
	within 60 counts seed downloaded 2
	for name in c2 c3; do
		quit $name
		same_btfiles $name
	done
	# The seed alone would have taken twenty minutes.
	[ "$(jq -s 'map(.done_bytes // 0) | max' seed.out)" -lt $((16 << 20)) ]
}

@test "our tracker still hands out a foreign client that has finished and is silent" {
	room seed foreign
	torrent
	seed_at seed
	at foreign curl -sf -m 30 "$URL" >got.torrent
	mkdir dir
	libtorrent foreign got.torrent dir
	within 60 counts seed downloaded 1
	# libtorrent comes back after five minutes, whatever interval it is given.
	sleep 16
	counts seed complete 2
}

@test "our tracker answers clients of any age: dicts, ids or none, few peers or none" {
	room seed r1 c1 c2
	torrent
	seed_at seed --upload-limit 1MiB
	recv_at r1 "$URL"
	at c1 curl -sf -m 30 "$URL" >got.torrent
	mkdir c1
	libtorrent c1 got.torrent c1
	within 60 counts seed incomplete 2
	# The seed is itself the tracker, and announces to nobody.
	diff <(ask c2 compact=0 | sort) - <<-PEERS
		${IP[seed]} 6881 0
		${IP[r1]} 6881 20
		${IP[c1]} 6881 20
	PEERS
	[ "$(ask c2 'compact=0&no_peer_id=1' | grep -c ' 6881 0$')" = 3 ]
	[ "$(ask c2 'compact=0&numwant=1' | wc -l)" = 1 ]
	[ "$(ask c2 'compact=0&numwant=0' | wc -l)" = 0 ]
	for parameters in '' compact=1 numwant=-1; do
		[ "$(ask c2 "$parameters")" = "18 0" ]
	done
}

# strangers [OPTIONS]: all know the seed's address and no tracker, until the seed tells them of each
# other, or does not.
strangers() {
	room seed r1 r2 foreign
	torrent "$@"
	seed_at seed --no-tracker --upload-limit 30MiB
	mkdir dir
	libtorrent foreign a.torrent dir "${IP[seed]}:6881"
	recv_at r1 a.torrent --seed-idle 3s --peer "${IP[seed]}:6881"
	recv_at r2 a.torrent --seed-idle 3s --peer "${IP[seed]}:6881"
	received r1 r2
	within 60 same_btfiles dir
}

# most_peers NAME: the most connections that the receiver there had.
most_peers() {
	jq -s 'map(.peers // 0) | max' "$1.out"
}

@test "in a private torrent nobody is told of peers but by the tracker (BEP 27)" {
	strangers --private
	[ "$(most_peers r1)" = 1 ]
	[ "$(most_peers r2)" = 1 ]
}

@test "in any other who knows one peer gets to know the rest (BEP 11)" {
	strangers
	[ "$(most_peers r1)" -ge 2 ]
	[ "$(most_peers r2)" -ge 2 ]
	grep -q "peer_connect_alert.*${IP[r1]}" foreign.out
	grep -q "peer_connect_alert.*${IP[r2]}" foreign.out
}

@test "a leecher that gives nothing costs our receivers no more than its share" {
	room seed r1 r2 foreign
	torrent
	seed_at seed --upload-limit 16MiB
	# round WHERE: how long both take, in the file WHERE, the shortest first.
	round() {
		recv_at r1 "$URL" --seed-idle 0
		recv_at r2 "$URL" --seed-idle 0
		received r1 r2
		{ seconds r1; seconds r2; } | sort -n | tail -n 1 >>$1
		sort -n -o $1 $1
		rm r1.img r2.img
	}
	# Its share is a third of the seed's link.
	bearable() { jq -en --argjson alone "$(head -n 1 alone)" --argjson among "$(head -n 1 among)" '$among < 1.5 * $alone'; }
	round alone
	# Where other work of the machine has fallen on one side only, both are done again.
	for n in 1 2 3; do
		rm -rf dir foreign.out
		mkdir dir
		libtorrent foreign --selfish a.torrent dir "${IP[seed]}:6881"
		within 60 grep -q peer_connect foreign.out
		round among
		quit foreign
		grep -qx 'sent 0 bytes' foreign.out
		bearable && break
		round alone
	done
	echo "$(xargs <alone) s alone, $(xargs <among) s among them"
	bearable
}
