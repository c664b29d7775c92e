#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# From one disk to others: seed, receivers, and what each of them promises.

load helper

# image: e.img, its torrent a.torrent in small pieces.
image() {
	ext4 e.img "$@"
	ezio-btfiles -q -s e.img | ezio-mktorrent -q > a.torrent
}

@test "one seed, three loop devices at once: fsck clean, every file identical" {
	image
	loop e.img -r
	seed a.torrent "$DEV"
	for i in 1 2 3; do
		head -c 160M /dev/urandom > t$i.img
		loop t$i.img
		eval "D$i=$DEV"
		start ezio-recv -t "$URL" -d "$DEV" --listen :0 --seed-idle 1s --progress json
		mv ezio-recv.out r$i.out
		eval "P$i=$PID"
	done
	wait "$P1"; wait "$P2"; wait "$P3"
	for i in 1 2 3; do
		D=D$i
		ezio-verify -t a.torrent -d "${!D}"
		same_files "${!D}"
	done
}

@test "partclone's own capture in 16 MiB pieces, served from its btfiles directory" {
	ext4 e.img
	partclone.extfs -c -T -s e.img -o t/ 2>/dev/null | ezio-mktorrent > a.torrent
	seed a.torrent t/
	recv target.img
	ezio-verify -t a.torrent -d target.img
	same_files target.img
}

@test "a torrent from a file with --peer, without any tracker" {
	image
	seed a.torrent e.img --no-tracker
	fails 2 ezio-recv -t a.torrent -d target.img --listen :0
	[[ $err == *"nobody to receive from"* ]]
	[ ! -e target.img ]
	ezio-recv -t a.torrent -d target.img --listen :0 --seed-idle 0 --peer "localhost:$PEER_PORT"
	same_files target.img
}

@test "the torrent from standard input" {
	image
	seed a.torrent e.img
	curl -sf "$URL" | ezio-recv -t - -d target.img --listen :0 --seed-idle 0
	same_files target.img
}

@test "the tracker hands out the torrent under any name, with the address the client asked" {
	image
	seed a.torrent e.img
	port=${TRACKER##*:}
	curl -sf "http://localhost:$port/whatever.torrent" > got.torrent
	[ "$(infohash got.torrent)" = "$(infohash a.torrent)" ]
	/usr/bin/python3 -c "import libtorrent as lt; t = lt.torrent_info('got.torrent'); assert [x.url for x in t.trackers()] == ['http://localhost:$port/announce'], [x.url for x in t.trackers()]"
	link=$(curl -sf "$TRACKER/" | grep -o 'href="/[^"]*\.torrent"' | head -n 1 | cut -d'"' -f2)
	curl -sf "$TRACKER$link" | cmp - <(curl -sf "$URL")
	[ "$(curl -s -o /dev/null -w '%{http_code}' "$TRACKER/etc/passwd")" = 404 ]
}

@test "a regular file as target is created sparse at the device's size" {
	image 1G
	seed a.torrent e.img
	recv target.img
	[ "$(stat -c %s target.img)" = "$(stat -c %s e.img)" ]
	[ "$(($(stat -c %b target.img) * 512))" -lt $((400 << 20)) ]
	same_files target.img
}

@test "what lies between the extents is not touched" {
	image
	seed a.torrent e.img
	head -c 160M /dev/zero | tr '\0' '\356' > t.img
	loop t.img
	recv "$DEV"
	"$BATS_TEST_DIRNAME/gaps" a.torrent t.img 356
	same_files "$DEV"
}

@test "done comes after everything is written, and before any lingering" {
	image
	seed a.torrent e.img
	somebody_misses 1000
	start ezio-recv -t "$URL" -d target.img --listen :0 --seed-idle 5m --progress json
	became ezio-recv.out '"event":"done"'
	ezio-verify -q -t a.torrent -d target.img
	kill -0 "$PID"
	# The job is done; an interruption now is no failure.
	kill -INT "$PID"
	wait "$PID"
	jq -e -s '[.[].event] | (index("start") < index("done")) and .[-1] == "exit"' ezio-recv.out
	jq -e -s '.[-1].code == 0 and all(.[]; has("time"))' ezio-recv.out
	jq -e -s 'any(.[]; .event == "progress" and has("done_bytes") and has("total_bytes") and has("rate_down") and has("rate_up") and has("peers") and has("eta_seconds"))' ezio-recv.out
}

@test "the target is synced after the last write to it and before done" {
	image
	seed a.torrent e.img
	strace -f -qq -e trace=pwrite64,fsync,fdatasync,write -e signal=none -o trace ezio-recv -t "$URL" -d target.img --listen :0 --seed-idle 0 --progress json > out
	done_at=$(grep -n 'event.":."done' trace | head -n 1 | cut -d: -f1)
	last_write=$(grep -n 'pwrite64(' trace | tail -n 1 | cut -d: -f1)
	sync_at=$(tail -n "+$last_write" trace | grep -nE 'f(data)?sync(\([0-9]+\)| resumed>\)) += 0' | head -n 1 | cut -d: -f1)
	echo "last write in line $last_write, synced $sync_at lines later, done in line $done_at"
	[ -n "$sync_at" ]
	[ "$((last_write + sync_at - 1))" -lt "$done_at" ]
}

@test "kill -9 in the middle, run again: it keeps what is right and finishes" {
	image
	seed a.torrent e.img --upload-limit 20MiB
	start ezio-recv -t "$URL" -d target.img --listen :0 --progress json
	most() { jq -e -s "any(.[]; (.done_bytes // 0) > $((15 << 20)))" ezio-recv.out 2>/dev/null; }
	within 60 most
	kill -9 "$PID"
	wait "$PID" || true
	fails 3 ezio-verify -q -t a.torrent -d target.img 2>&1 || true
	recv target.img --progress json > again.out
	same_files target.img
	kept=$(jq 'select(.event == "done").kept_bytes' again.out)
	received=$(jq 'select(.event == "done").received_bytes' again.out)
	echo "kept $kept bytes, received $received"
	[ "$kept" -gt $((10 << 20)) ]
	[ "$((kept + received))" = "$(jq 'select(.event == "done").bytes' again.out)" ]
}

@test "a damaged target is repaired, and only there" {
	image
	seed a.torrent e.img
	recv target.img
	ezio-verify -t a.torrent -d target.img
	dd if=/dev/urandom of=target.img bs=4096 seek=1 count=1 conv=notrunc status=none
	code=0
	ezio-verify -t a.torrent -d target.img > bad.out || code=$?
	[ "$code" = 3 ]
	[ "$(cut -f1 bad.out | sort -u | wc -l)" = 1 ]
	[ "$(awk -F'\t' '{ n += $3 } END { print n }' bad.out)" -le 262144 ]
	code=0
	ezio-verify --json -t a.torrent -d target.img > bad.json || code=$?
	[ "$code" = 3 ]
	[ "$(jq -s 'map(.length) | add' bad.json)" = "$(awk -F'\t' '{ n += $3 } END { print n }' bad.out)" ]
	recv target.img --progress json > repair.out
	ezio-verify -t a.torrent -d target.img
	[ "$(jq 'select(.event == "done").received_bytes' repair.out)" = 262144 ]
}

@test "Ctrl+C ends a receiver with 130, and nothing calls itself done" {
	image
	seed a.torrent e.img --upload-limit 4MiB
	start ezio-recv -t "$URL" -d target.img --listen :0 --progress json
	became ezio-recv.out '"event":"progress"'
	kill -INT "$PID"
	code=0
	wait "$PID" || code=$?
	[ "$code" = 130 ]
	! grep -q '"event":"done"' ezio-recv.out || false
	grep -q interrupted ezio-recv.err
}

@test "a seed with the wrong disk says so before it serves" {
	image
	head -c 160M /dev/urandom > other.img
	fails 3 ezio-seed -q -t a.torrent -d other.img --listen :0 --tracker-listen :0
	[[ $err == *"does not hold this image"* ]]
	fails 3 ezio-seed -q --check -t a.torrent -d other.img --listen :0 --tracker-listen :0
	truncate -s 1M short.img
	fails 4 ezio-seed -q -t a.torrent -d short.img --listen :0 --tracker-listen :0
}

@test "--check finds one wrong byte anywhere" {
	image
	cp --sparse=always e.img other.img
	off=$("$BATS_TEST_DIRNAME/gaps" --middle a.torrent)
	printf 'X' | dd of=other.img bs=1 seek="$off" conv=notrunc status=none
	cmp -s e.img other.img && printf 'Y' | dd of=other.img bs=1 seek="$off" conv=notrunc status=none
	fails 3 ezio-seed -q --check -t a.torrent -d other.img --listen :0 --tracker-listen :0
	[[ $err == *"1 of "* ]]
}

@test "--exit-after and --exit-idle end the seed with 0" {
	image
	seed a.torrent e.img --exit-after 2
	recv t1.img
	kill -0 "$SEED"
	recv t2.img
	wait "$SEED"
	seed a.torrent e.img --exit-idle 1s
	wait "$SEED"
}

@test "--infohash accepts one torrent only" {
	image
	seed a.torrent e.img
	fails 3 ezio-recv -t "$URL" -d target.img --infohash 0000000000000000000000000000000000000000
	[ ! -e target.img ]
	fails 2 ezio-recv -t "$URL" -d target.img --infohash 12
	recv target.img --infohash "$(infohash a.torrent)" --verify-after
	same_files target.img
}

@test "xfs and btrfs: deployed, mounted, file by file" {
	for fs in xfs btrfs; do
		truncate -s 400M $fs.img
		mkfs.$fs -q $fs.img
		loop $fs.img
		mnt "$DEV" m-$fs
		cp -a "$(files)/." m-$fs/
		umount m-$fs
		losetup -d "$DEV"
		ezio-btfiles -q -s $fs.img | ezio-mktorrent -q > $fs.torrent
		seed $fs.torrent $fs.img
		recv t-$fs.img
		kill "$SEED"
		wait "$SEED" || true
		loop t-$fs.img -r
		opts=ro
		[ $fs = xfs ] && opts=ro,norecovery
		mnt "$DEV" d-$fs -o $opts
		diff <(tree "$(files)") <(tree d-$fs)
		umount d-$fs
		case $fs in
		xfs) xfs_repair -n "$DEV" ;;
		btrfs) btrfs check "$DEV" ;;
		esac
	done
}
