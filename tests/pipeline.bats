#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# partclone's torrent.info to a .torrent, by every way a user has.

load helper

capture() { partclone.extfs -c -T -s "$1" -o "$2" 2>partclone.err; }

@test "partclone -o t/ | ezio-mktorrent, typed exactly so, on a loop device" {
	ext4 e.img
	loop e.img
	partclone.extfs -c -T -s "$DEV" -o t/ 2>/dev/null | ezio-mktorrent > a.torrent
	[ -s a.torrent ]
	ezio-mktorrent t/ > b.torrent
	[ "$(infohash a.torrent)" = "$(infohash b.torrent)" ]
}

@test "a pipe, a directory, a file and true streaming give the same infohash" {
	ext4 e.img
	capture e.img t
	cat t/torrent.info | ezio-mktorrent > pipe.torrent
	ezio-mktorrent t/ > dir.torrent
	ezio-mktorrent t/torrent.info > file.torrent
	mkdir s
	ln -s /dev/stdout s/torrent.info
	partclone.extfs -c -t -s e.img -o s 2>/dev/null | ezio-mktorrent > stream.torrent
	want=$(infohash pipe.torrent)
	for t in dir file stream; do
		[ "$(infohash $t.torrent)" = "$want" ]
	done
}

@test "the output directory is found in any spelling of partclone's command line" {
	ext4 e.img 64M
	capture e.img t
	want=$(ezio-mktorrent t | sha1sum)
	want=$(ezio-mktorrent t/ > w.torrent; infohash w.torrent)
	mkdir sub
	for args in "-cTs e.img -o a" "-c -T --source=e.img --output=b" "-cTse.img -oc" "-c -T -s e.img -O d" "-c -T -s ../e.img -o e"; do
		dir=.
		case $args in *../*) dir=sub ;; esac
		(cd $dir; partclone.extfs $args 2>/dev/null) | ezio-mktorrent > got.torrent
		[ "$(infohash got.torrent)" = "$want" ]
	done
}

@test "the infohash is libtorrent's for the same torrent.info, name and creator" {
	ext4 e.img
	capture e.img t
	ezio-mktorrent -n sda1 -c CloneZilla < t/torrent.info > a.torrent
	[ "$(infohash a.torrent)" = "$("$BATS_TEST_DIRNAME/libtorrent-create" sda1 CloneZilla < t/torrent.info)" ]
}

@test "the dialects of 0.3.12, of 0.3.18 and of 2017 describe the same image" {
	ext4 e.img
	capture e.img t
	grep -v '^block' t/torrent.info > old.info
	# One record a run, an empty one first, sums between an offset and its length.
	"$BATS_TEST_DIRNAME/fork-2017" < t/torrent.info > fork.info
	grep -A1 -m1 '^offset' fork.info | grep -q 'length: 0*$'
	for f in t/torrent.info old.info fork.info; do
		ezio-mktorrent -q --coalesce "$f" > x.torrent
		infohash x.torrent
		ezio-verify -q -t x.torrent -d e.img
	done | sort -u > hashes
	[ "$(wc -l < hashes)" = 1 ]
	ezio-mktorrent old.info > old.torrent
	ezio-mktorrent t/torrent.info > new.torrent
	[ "$(infohash old.torrent)" = "$(infohash new.torrent)" ]
	ezio-mktorrent -n sda1 fork.info > fork.torrent
	[ "$(infohash fork.torrent)" = "$("$BATS_TEST_DIRNAME/libtorrent-create" sda1 x < fork.info)" ]
}

@test "options land in the torrent" {
	ext4 e.img 64M
	capture e.img t
	ezio-mktorrent -t http://a:6969/announce -t udp://b:7/announce -n disk -c me --comment 'room 12' --private -o a.torrent t
	/usr/bin/python3 - <<-'P'
	import libtorrent as lt
	t = lt.torrent_info("a.torrent")
	assert [x.url for x in t.trackers()] == ["http://a:6969/announce", "udp://b:7/announce"], [x.url for x in t.trackers()]
	assert (t.name(), t.creator(), t.comment(), t.priv()) == ("disk", "me", "room 12", True)
	d = lt.bdecode(open("a.torrent", "rb").read())[b"ezio"]
	assert d[b"device size"] == 64 << 20 and d[b"block size"] in (1024, 4096), d
	P
	[ -z "$(find . -name '.a.torrent*')" ]
}

@test "the source is hashed when asked: no sums, or another piece length" {
	ext4 e.img
	capture e.img t
	grep -v '^sha1' t/torrent.info > nosums.info
	ezio-mktorrent t > want.torrent
	ezio-mktorrent -d e.img nosums.info > got.torrent
	[ "$(infohash got.torrent)" = "$(infohash want.torrent)" ]
	ezio-mktorrent -d t nosums.info > btfiles.torrent
	[ "$(infohash btfiles.torrent)" = "$(infohash want.torrent)" ]
	ezio-mktorrent --piece-length 1MiB -d e.img t > small.torrent
	ezio-verify -q -t small.torrent -d e.img
	# Cutting anew gives what a capture in that length gives, smaller or larger.
	for length in 256KiB 1MiB 64MiB; do
		ezio-btfiles -q -s e.img --piece-length $length | ezio-mktorrent -q > want.torrent
		ezio-mktorrent -q --coalesce --piece-length $length -d e.img t > got.torrent
		[ "$(infohash got.torrent)" = "$(infohash want.torrent)" ]
	done
	fails 1 ezio-mktorrent nosums.info
	[[ $err == *"hint: name the device or image"* ]]
	fails 2 ezio-mktorrent --piece-length 1M t
	fails 2 ezio-mktorrent --piece-length 1000000 -d e.img t
	dd if=/dev/urandom of=e.img bs=1k seek=1k count=1k conv=notrunc status=none
	fails 3 ezio-mktorrent -q -d e.img t
	[[ $err == *"piece 0 differs"* ]]
	for length in 64KiB 32MiB; do
		fails 3 ezio-mktorrent -q --piece-length $length -d e.img t
		[[ $err == *"piece 0 differs"* ]]
	done
}

@test "an empty pipe whose writer left nothing new: exit 1, nothing on stdout, a hint" {
	ext4 e.img 64M
	capture e.img t
	touch -d '1 hour ago' t/torrent.info
	fails 1 sh -c 'true | ezio-mktorrent'
	[[ $err == *"hint: run it on the directory given to partclone"* ]]
	# The program names t/ but did not write it now.
	fails 1 sh -c 'sh -c "sleep 3; exit 0" prog -o t | ezio-mktorrent'
	[[ $err == *"left no new torrent.info"* ]]
	# It died half-way.
	fails 1 sh -c 'sh -c "sleep 3; head -c 2000 t/torrent.info > x; cat x > t/torrent.info; exit 0" prog -o t | ezio-mktorrent'
	[[ $err == *"t/torrent.info"* ]]
	fails 1 ezio-mktorrent < /dev/null
}

@test "a failed capture leaves no torrent" {
	head -c 8M /dev/urandom > junk.img
	fails 1 sh -c 'partclone.extfs -c -T -s junk.img -o t/ 2>/dev/null | ezio-mktorrent'
}
