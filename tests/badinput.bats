#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Bad input is input: one line, the right exit code, nothing written.

load helper

zeros=00000000000000000000000000000000
sum='sha1: 2869c305281b7dcde9133a1007f64730ba0795db'

info() { printf '%s\n' "$@" > x.info; }

@test "torrent.info: cut, out of order, overlapping, overflowing, sums too few or many" {
	good=("offset: $zeros" "length: 100000" "offset: 200000" "length: 1000" "$sum")
	info "${good[@]}"
	ezio-mktorrent -q x.info > ok.torrent
	for bad in \
		"offset: $zeros|length: 100000" \
		"offset: $zeros|length: 100000|offset: 200000|$sum" \
		"offset: 200000|length: 1000|offset: 0|length: 1000|$sum" \
		"offset: 0|length: 1000|offset: fff|length: 1000|$sum" \
		"offset: 8000000000000000|length: 1|$sum" \
		"offset: 7fffffffffffffff|length: 1000|$sum" \
		"offset: ffffffffffffffffffffffffffffffff|length: 1|$sum" \
		"offset: -1|length: 1000|$sum" \
		"offset: 0|length: 1000|$sum|$sum" \
		"offset: 0|length: 1000001|$sum" \
		"offset: 0|length: 1000|sha1: 2869" \
		"offset: 0|length: 1000|sha1: zz69c305281b7dcde9133a1007f64730ba0795db" \
		"block_size: 512|blocks_total: 1|offset: 0|length: 1000|$sum" \
		"nonsense"
	do
		tr '|' '\n' <<< "$bad" > x.info
		fails 1 ezio-mktorrent x.info
		fails 1 sh -c 'ezio-mktorrent < x.info'
		fails 1 ezio-mktorrent -o out.torrent x.info
		[ ! -e out.torrent ]
	done
}

@test "torrent.info: empty, binary, absent, a directory without it" {
	: > x.info
	fails 1 ezio-mktorrent x.info
	head -c 1M /dev/urandom > x.info
	fails 1 ezio-mktorrent x.info
	fails 1 ezio-mktorrent absent
	mkdir d
	fails 1 ezio-mktorrent d
	fails 1 sh -c ': | ezio-mktorrent'
	[[ $err == *"hint: "* ]]
}

# bad_torrent TEXT: every tool that reads a torrent refuses it, before the target is opened.
bad_torrent() {
	printf '%b' "$1" > x.torrent
	head -c 1M /dev/zero > disk.img
	fails 1 ezio-verify -t x.torrent -d disk.img
	fails 1 ezio-seed -t x.torrent -d disk.img --listen :0 --tracker-listen :0
	fails 1 ezio-recv -t x.torrent -d target.img --listen :0 --peer 127.0.0.1:9
	[ ! -e target.img ]
}

torrent() { # FILES PIECE_LENGTH PIECES
	printf 'd4:infod5:filesl%se4:name1:x12:piece lengthi%s6:pieces%see' "$1" "$2" "$3"
}
P=20:aaaaaaaaaaaaaaaaaaaa

@test "torrents that lie" {
	bad_torrent ''
	bad_torrent 'not a torrent'
	bad_torrent "$(torrent 'd6:lengthi100e4:pathl2:..6:passwdee' 16384e $P)"
	bad_torrent "$(torrent 'd6:lengthi100e4:pathl9:../passwdee' 16384e $P)"
	bad_torrent "$(torrent 'd6:lengthi100e4:pathl5:helloee' 16384e $P)"
	bad_torrent "$(torrent 'd6:lengthi-100e4:pathl1:0ee' 16384e $P)"
	bad_torrent "$(torrent 'd6:lengthi9223372036854775807e4:pathl1:1ee' 16384e $P)"
	bad_torrent "$(torrent 'd6:lengthi9223372036854775807e4:pathl1:0ee' 16384e $P)"
	bad_torrent "$(torrent 'd6:lengthi100e4:pathl1:0eed6:lengthi100e4:pathl1:1ee' 16384e $P)"
	bad_torrent "$(torrent 'd6:lengthi100e4:pathl1:0ee' 16384e 40:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)"
	bad_torrent "$(torrent 'd6:lengthi100e4:pathl1:0ee' 16383e $P)"
	bad_torrent "$(torrent 'd6:lengthi100e4:pathl1:0ee' 1099511627776e $P)"
	bad_torrent "$(torrent 'd6:lengthi100e4:pathl1:0ee' 16384e $P)trailing"
	bad_torrent "d4:info$(printf 'l%.0s' $(seq 5000))"
	bad_torrent "d4:infod6:lengthi100e4:name1:x12:piece lengthi16384e6:pieces${P}ee"
}

@test "the .torrent that is refused for its lies would be accepted without them" {
	head -c 100 /dev/zero > disk.img
	sha=$(head -c 100 /dev/zero | sha1sum | cut -d' ' -f1 | sed 's/../\\x&/g')
	printf '%b' "$(torrent 'd6:lengthi100e4:pathl1:0ee' 16384e "20:$sha")" > ok.torrent
	ezio-verify -t ok.torrent -d disk.img
}

@test "sources and URLs that are not there" {
	fails 1 ezio-verify -t absent.torrent -d x
	fails 1 ezio-recv -t http://127.0.0.1:9/a.torrent -d target.img
	[[ $err == *"connection refused"* ]]
	mkdir www
	start /usr/bin/python3 -u -m http.server --bind 127.0.0.1 --directory www 0
	became python3.out 'port [0-9]'
	port=$(sed -n 's/.*port \([0-9]*\) .*/\1/p' python3.out)
	fails 1 ezio-recv -t "http://127.0.0.1:$port/a.torrent" -d target.img
	[[ $err == *"404"* ]]
	echo '<html>' > www/a.torrent
	fails 1 ezio-recv -t "http://127.0.0.1:$port/a.torrent" -d target.img
	[[ $err == *"not a torrent"* ]]
	head -c 150M /dev/zero > www/a.torrent
	fails 1 ezio-recv -t "http://127.0.0.1:$port/a.torrent" -d target.img
	[[ $err == *"longer than"* ]]
	[ ! -e target.img ]
}

@test "usage: exit code 2" {
	for tool in ezio-btfiles ezio-mktorrent ezio-seed ezio-recv ezio-verify; do
		fails 2 $tool --no-such-flag
		fails 2 $tool --progress sometimes x < /dev/null || fails 2 $tool --progress sometimes < /dev/null
		fails 2 $tool a b c < /dev/null
		$tool --help | grep -q "^Usage:"
		$tool --version | grep -q "^$tool "
	done
	fails 2 ezio-recv -d x
	fails 2 ezio-recv -t x
	fails 2 ezio-seed -t x
	fails 2 ezio-verify -d x
	fails 2 ezio-mktorrent -t not-a-url x
	printf 'offset: 0\nlength: 1000\n%s\n' "$sum" > x.info
	fails 2 ezio-mktorrent -o . x.info
}

@test "standard output closed, full or gone is an error" {
	printf 'offset: 0\nlength: 1000\n%s\n' "$sum" > x.info
	run -1 sh -c 'ezio-mktorrent -q x.info >&-'
	[[ $output == "ezio-mktorrent: write standard output: it is closed" ]]
	run -1 sh -c 'ezio-mktorrent -q x.info > /dev/full'
	[[ $output == *"no space left on device" ]]
	run -1 bash -c 'exec 3> >(exec true); wait $!; exec ezio-mktorrent -q x.info >&3'
	[[ $output == *"broken pipe"* ]]
	head -c 1M /dev/zero > raw.img
	run -1 sh -c 'ezio-btfiles -q --raw -s raw.img >&-'
	[[ $output == *"it is closed" ]]
}

@test "a torrent is not written to a terminal" {
	printf 'offset: 0\nlength: 1000\n%s\n' "$sum" > x.info
	script -qec 'ezio-mktorrent -q x.info' out || code=$?
	[ "$code" = 2 ]
	grep -q 'refusing to write' out
}

@test "a port that is taken" {
	head -c 1M /dev/urandom > raw.img
	ezio-btfiles -q --raw -s raw.img | ezio-mktorrent -q > a.torrent
	seed a.torrent raw.img
	fails 1 ezio-recv -t "$URL" -d t.img --listen ":$PEER_PORT"
	[[ $err == *"address already in use"* ]]
	[ ! -e t.img ]
	fails 1 ezio-seed -q -t a.torrent -d raw.img --listen :0 --tracker-listen "${TRACKER#http://}"
	[[ $err == *"--tracker-listen"* ]]
}
