#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ezio.conf: several images for several targets, side by side.

load helper

# images: three different images with their torrents, each with a seed of its own: $URL1 to $URL3.
images() {
	ext4 e1.img
	mkfs.vfat -C e2.img 40960 >/dev/null
	mcopy -i e2.img "$(files)/sub/deep/text" ::text
	truncate -s 3M e3.img
	head -c 1M /dev/urandom | dd of=e3.img seek=1 bs=1M conv=notrunc status=none
	for i in 1 2 3; do
		ezio-btfiles -q -s e$i.img --raw | ezio-mktorrent -q -n e$i > e$i.torrent
		seed e$i.torrent e$i.img
		mv ezio-seed.out seed$i.out
		eval "URL$i=$URL"
	done
}

# got EVENT TARGET EXPRESSION: of the last such event in recv.out
got() {
	jq -r -s --arg e "$1" --arg t "$2" "map(select(.event == \$e and .target == \$t)) | .[-1] | $3" recv.out
}

@test "three targets over one port, one of them a device" {
	images
	head -c 40M /dev/urandom > t2.img
	loop t2.img
	cat > ezio.conf <<-END
		# the lab
		TORRENT='$URL1'   # the system
		TARGET=t1.img
		torrent=$URL2 disk="$DEV"
		TARGET=t3.img; TORRENT="$URL3"
	END
	ezio-recv --config ezio.conf --listen :0 --seed-idle 0 --progress json > recv.out
	for i in 1 3; do cmp e$i.img t$i.img; done
	ezio-verify -q -t e2.torrent -d "$DEV"
	for t in t1.img "$DEV" t3.img; do
		[ "$(got "done" "$t" .target)" = "$t" ]
		[ "$(got progress "$t" '.done_bytes == .total_bytes')" = true ]
	done
	[ "$(jq -r 'select(.event == "start" and .phase == "receiving") | .port' recv.out | sort -u | wc -l)" = 1 ]
	[ "$(jq -r 'select(.event == "exit") | .code' recv.out)" = 0 ]
	jq -e -s 'all(.[]; .event == "exit" or has("target"))' recv.out
}

@test "one target that is refused does not stop the others; lines name the target" {
	images
	printf 'TORRENT=%s\nTARGET=%s\n' "$URL1" t1.img "$URL2" full.img "$URL3" t3.img > ezio.conf
	echo other data > full.img
	code=0
	ezio-recv --config ezio.conf --listen :0 --seed-idle 0 --progress plain 2> recv.err || code=$?
	cat recv.err
	[ "$code" = 4 ]
	cmp e1.img t1.img
	cmp e3.img t3.img
	[ "$(cat full.img)" = "other data" ]
	grep -q '^ezio-recv: full.img: refuse full.img' recv.err
	grep -q '^ezio-recv: t1.img: receiving 100%' recv.err
}

@test "a torrent that cannot be had is worse than a target that is refused" {
	images
	printf 'TORRENT=%s\nTARGET=%s\n' "$URL1" t1.img "$URL2" full.img "${URL3%/*}/../nothing" t3.img > ezio.conf
	echo other data > full.img
	code=0
	ezio-recv -q --config ezio.conf --listen :0 --seed-idle 0 --progress json > recv.out 2> recv.err || code=$?
	cat recv.err
	[ "$code" = 1 ]
	[ "$(grep -cv '^hint: ' recv.err)" = 2 ]
	cmp e1.img t1.img
	[ ! -e t3.img ]
	[ "$(got error full.img .target)" = full.img ]
	[ "$(jq -r 'select(.event == "exit") | .code' recv.out)" = 1 ]
}

@test "one image for two disks of one machine" {
	images
	printf 'TORRENT=%s\nTARGET=%s\n' "$URL1" a.img "$URL1" b.img > ezio.conf
	ezio-recv -q --config ezio.conf --listen :0 --seed-idle 0
	cmp e1.img a.img
	cmp e1.img b.img
}

@test "ezio.conf from standard input and over HTTP, its torrents beside it" {
	images
	printf 'TORRENT=%s\nTARGET=%s\n' "$URL3" t3.img | ezio-recv -q --config - --listen :0 --seed-idle 0
	cmp e3.img t3.img
	mkdir www
	printf 'torrent=e3.torrent\ndisk=again.img\n' > www/ezio.conf
	curl -sf "$URL3" > www/e3.torrent
	start python3 -u -m http.server --bind 127.0.0.1 --directory www 0
	became python3.out 'port [0-9]'
	port=$(sed -n 's/.*port \([0-9]*\) .*/\1/p' python3.out)
	ezio-recv -q --config "http://127.0.0.1:$port/ezio.conf" --listen :0 --seed-idle 0
	cmp e3.img again.img
}

@test "a wrong ezio.conf is refused as a whole, with its line" {
	conf() { printf "$1" > ezio.conf; fails 2 ezio-recv --config ezio.conf --listen :0; }
	conf 'TORRENT=a.torrent\n'
	[[ $err == "ezio-recv: ezio.conf: line 1: TORRENT without TARGET"* ]]
	conf 'TORRENT=a.torrent\nTARGET=x.img\nMTU=9000\n'
	[[ $err == *"line 3: unknown key MTU"* ]]
	conf 'magnet=magnet:?xt=urn:btih:0\ndisk=x.img\n'
	[[ $err == *"line 1: magnet is not supported"* ]]
	conf 'TORRENT=a.torrent\nTARGET=x.img\nTORRENT=b.torrent\nTARGET=./x.img\n'
	[[ $err == *"line 3: the target ./x.img is that of line 1"* ]]
	conf 'TORRENT=$(touch pwned)\nTARGET=x.img\n'
	[[ $err == *"line 1: nothing is executed"* ]]
	conf 'touch pwned\n'
	conf ''
	[ ! -e pwned ]
	[ ! -e x.img ]
	fails 2 ezio-recv --config absent.conf --listen :0
	fails 2 ezio-recv --config http://127.0.0.1:1/ezio.conf --listen :0
	fails 2 ezio-recv --config tftp://127.0.0.1/ --listen :0
	printf 'TORRENT=a.torrent\nTARGET=x.img\n' > ezio.conf
	fails 2 ezio-recv --config ezio.conf -t a.torrent -d x.img --listen :0
	fails 1 ezio-recv --config ezio.conf --listen :0
	[[ $err == *"a.torrent"* ]]
}

@test "Ctrl+C ends all targets with 130" {
	images
	kill "$SEED"
	printf 'TORRENT=%s\nTARGET=%s\n' e3.torrent t3.img "$URL1" t1.img > ezio.conf
	start ezio-recv --config ezio.conf --listen :0 --peer 127.0.0.1:1 --progress json --seed-idle 5m
	became ezio-recv.out '"event":"done"'
	kill -INT "$PID"
	code=0
	wait "$PID" || code=$?
	cat ezio-recv.err
	[ "$code" = 130 ]
	cmp e1.img t1.img
	[ "$(grep -c interrupted ezio-recv.err)" = 1 ]
}
