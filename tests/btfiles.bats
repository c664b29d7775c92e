#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ezio-btfiles: partclone images and filesystems to torrent.info and btfiles.

load helper

@test "a partclone image from a file and from a pipe gives partclone's own torrent" {
	ext4 e.img
	partclone.extfs -c -s e.img -o e.pcl 2>/dev/null
	partclone.extfs -c -T -s e.img -o t 2>/dev/null
	ezio-mktorrent -q --coalesce t > want.torrent
	ezio-btfiles -q --piece-length 16MiB < e.pcl | ezio-mktorrent -q --coalesce > file.torrent
	partclone.extfs -c -s e.img -o - 2>/dev/null | ezio-btfiles -q --piece-length 16MiB | ezio-mktorrent -q --coalesce > pipe.torrent
	ezio-btfiles -q --piece-length 16MiB -s e.img | ezio-mktorrent -q --coalesce > source.torrent
	ezio-btfiles -q --piece-length 16MiB -s e.pcl | ezio-mktorrent -q --coalesce > image.torrent
	for f in file pipe source image; do
		[ "$(infohash $f.torrent)" = "$(infohash want.torrent)" ]
	done
	partclone.extfs -c -s e.img -o - 2>/dev/null | ezio-btfiles -q | ezio-mktorrent -q > a.torrent
	ezio-verify -q -t a.torrent -d e.img
}

@test "-o writes a btfiles directory that seeds, --image a raw image that verifies" {
	ext4 e.img
	partclone.extfs -c -s e.img -o - 2>/dev/null | ezio-btfiles -q -o dir --image raw.img | ezio-mktorrent -q > a.torrent
	[ "$(ezio-mktorrent -q dir > d.torrent; infohash d.torrent)" = "$(infohash a.torrent)" ]
	ezio-verify -q -t a.torrent -d raw.img
	same_files raw.img
	seed a.torrent dir
	recv target.img
	same_files target.img
	fails 4 ezio-btfiles -q -o dir -s e.img
}

@test "a device of an unknown filesystem: every block, and it says so" {
	head -c 3M /dev/urandom > junk.img
	loop junk.img
	ezio-btfiles -s "$DEV" 2> err | ezio-mktorrent -q > a.torrent
	grep -qi 'every' err
	ezio-verify -q -t a.torrent -d junk.img
	printf X | dd of=junk.img bs=1 seek=2999999 conv=notrunc status=none
	printf Y | dd of=junk.img bs=1 seek=1999999 conv=notrunc status=none
	run -3 ezio-verify -q -t a.torrent -d junk.img
}

@test "a damaged or cut image: an error, nothing on stdout, no directory" {
	ext4 e.img 64M
	partclone.extfs -c -s e.img -o e.pcl 2>/dev/null
	size=$(stat -c %s e.pcl)
	for cut in 5 50 109 200 $((size / 2)) $((size - 1)); do
		head -c $cut e.pcl > cut.pcl
		fails 1 sh -c 'ezio-btfiles -q -o dir < cut.pcl'
		[ ! -e dir ]
	done
	for at in 60 150 $((size / 3)); do
		cp e.pcl bad.pcl
		printf '\125' | dd of=bad.pcl bs=1 seek=$at conv=notrunc status=none
		if cmp -s e.pcl bad.pcl; then printf '\252' | dd of=bad.pcl bs=1 seek=$at conv=notrunc status=none; fi
		fails 1 sh -c 'ezio-btfiles -q -o dir < bad.pcl'
		[ ! -e dir ]
	done
	fails 1 sh -c 'ezio-btfiles -q < /dev/null'
	fails 1 sh -c 'head -c 1M /dev/urandom | ezio-btfiles -q'
}

@test "a source mounted read-write is refused, --force goes on" {
	ext4 e.img
	loop e.img
	mnt "$DEV" m
	fails 4 ezio-btfiles -q -s "$DEV"
	[[ $err == *mounted* ]]
	ezio-btfiles -q --force -s "$DEV" | grep -q '^sha1: '
}

@test "a partclone image as it is seeds and verifies, whatever its checksums" {
	ext4 e.img
	ezio-btfiles -q -s e.img | ezio-mktorrent -q > a.torrent
	for args in "" "-a 0" "-k 1" "-k 7 -K"; do
		# shellcheck disable=SC2086 # options
		partclone.extfs -c $args -s e.img -O e.pcl 2>/dev/null
		ezio-verify -q -t a.torrent -d e.pcl
		seed a.torrent e.pcl --check
		head -c 160M /dev/urandom > target.img
		recv target.img --force
		kill "$SEED"
		ezio-verify -q -t a.torrent -d target.img
		same_files target.img
	done
	truncate -s -1 e.pcl
	fails 1 ezio-verify -q -t a.torrent -d e.pcl
	fails 1 ezio-seed -q -t a.torrent -d e.pcl --listen :0 --tracker-listen :0
}

@test "a device that cannot be read to its end: the place is named, --rescue lists it and exits 1" {
	head -c 32M /dev/urandom > d.img
	loop d.img
	truncate -s 20M d.img
	blockdev --flushbufs "$DEV"
	fails 1 ezio-btfiles -q -s "$DEV"
	[[ $err == *"read $DEV at 0x1400000: input/output error"* ]]
	run -1 --separate-stderr ezio-btfiles -q -s "$DEV" --rescue --image raw.img
	[ "${stderr_lines[0]}" = $'unreadable\t20971520\t12582912' ]
	echo "$output" | ezio-mktorrent -q > a.torrent
	truncate -s 32M d.img
	cmp d.img raw.img
	ezio-verify -q -t a.torrent -d raw.img
	fails 2 sh -c 'ezio-btfiles --rescue < raw.img'
}

@test "slices of a packed image, by a pipe" {
	ext4 e.img
	ezio-btfiles -q -s e.img | ezio-mktorrent -q > want.torrent
	for pack in gzip:zcat zstd:zstdcat lz4:lz4cat xz:xzcat; do
		partclone.extfs -c -s e.img -o - 2>/dev/null | "${pack%:*}" -c | split -b 5M - "e.${pack%:*}.a"
		cat e."${pack%:*}".a* | "${pack#*:}" | ezio-btfiles -q | ezio-mktorrent -q > got.torrent
		[ "$(infohash got.torrent)" = "$(infohash want.torrent)" ]
	done
}

@test "interrupted in the middle: exit 130, and neither a directory nor an image is left" {
	ext4 e.img
	partclone.extfs -c -s e.img -o e.pcl 2>/dev/null
	mkfifo pipe
	begun() { [ -n "$(ls -d dir.partial-* 2>/dev/null)" ] && [ -n "$(ls -d raw.img.partial-* 2>/dev/null)" ]; }
	for signal in INT TERM HUP; do
		(head -c 30M e.pcl; exec sleep 300) >pipe 3>&- &
		feeder=$!
		echo $feeder >>pids
		bash -c 'exec ezio-btfiles -q -o dir --image raw.img <pipe >info 2>err' 3>&- &
		pid=$!
		within 60 begun
		kill -$signal $pid
		code=0
		wait $pid || code=$?
		kill $feeder || true # the pipe may have ended it
		[ "$code" = 130 ]
		[ ! -s info ]
		[ "$(cat err)" = "ezio-btfiles: interrupted" ]
		[ -z "$(ls -d dir* raw.img* 2>/dev/null)" ]
	done
}

@test "no room, no reader: an error, and nothing half-made" {
	ext4 e.img
	mkdir small
	mount -t tmpfs -o size=8M none small
	echo "$BATS_TEST_TMPDIR/small" >>mounts
	fails 1 ezio-btfiles -q -s e.img -o small/dir
	[[ $err == *"no space left"* ]]
	fails 1 ezio-btfiles -q -s e.img --image small/raw.img
	[ -z "$(ls -A small)" ]
	fails 1 sh -c 'ezio-btfiles -q -s e.img >/dev/full'
	fails 1 sh -c 'ezio-btfiles -q -s e.img >&-'
}

@test "a source that is cut short or written to while it is read: an error" {
	truncate -s 20G e.img # a good while to read
	ezio-btfiles --raw -s e.img --progress json --image raw.img >info 2>err 3>&- &
	pid=$!
	echo $pid >>pids
	became err '"capturing"'
	truncate -s 1M e.img
	code=0
	wait $pid || code=$?
	[ "$code" = 1 ]
	[ ! -s info ]
	grep -q 'read e.img at 0x.*: unexpected EOF' err
	[ -z "$(ls -d raw.img* 2>/dev/null)" ]
}

@test "--fs: the right one, a wrong one, one that is unknown; a FIFO and a character device" {
	ext4 e.img
	[ "$(ezio-btfiles -q -s e.img --fs EXTFS)" = "$(ezio-btfiles -q -s e.img)" ]
	fails 1 ezio-btfiles -q -s e.img --fs xfs
	[[ $err == *"its superblock is not one of this filesystem's"*"--raw"* ]]
	fails 1 ezio-btfiles -q -s e.img --fs ntfs
	fails 2 ezio-btfiles -q -s e.img --fs zfs
	mkfifo fifo
	fails 4 ezio-btfiles -q -s fifo
	fails 4 ezio-btfiles -q -s /dev/zero
}
