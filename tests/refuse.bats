#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Targets that ezio-recv must not touch: exit code 4, a reason, and not one byte written.

load helper

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	mkdir files
	head -c 2M /dev/urandom > files/x
	mkfs.ext4 -q -F -d files e.img 32M
	PATH=$BATS_TEST_DIRNAME/../bin:$PATH
	ezio-btfiles -q -s e.img | ezio-mktorrent -q > a.torrent
}

# refused TARGET TEXT: nobody is there to receive from, and it must not come to that.
refused() {
	fails 4 ezio-recv -t "$BATS_FILE_TMPDIR/a.torrent" -d "$1" --listen :0 --peer 127.0.0.1:9
	[[ $err == *"refuse $1: "* ]]
	[[ $err == *"$2"* ]]
}

# disk: a loop device $DEV over t.img with known content, whose checksum is in $before.
disk() {
	head -c "${1-64M}" /dev/urandom > t.img
	loop t.img "${@:2}"
	before=$(sha1sum < t.img)
}

untouched() { [ "$(sha1sum < t.img)" = "$before" ]; }

@test "too small: by the device's size, not the last extent's end" {
	disk $(((32 << 20) - 512))
	refused "$DEV" "too small"
	untouched
	truncate -s 31M file.img
	refused file.img "too small"
	[ "$(stat -c %s file.img)" = $((31 << 20)) ]
}

@test "mounted" {
	disk
	mkfs.ext4 -q -F "$DEV"
	mnt "$DEV" m -o ro
	before=$(sha1sum < t.img)
	refused "$DEV" "mounted on"
	untouched
}

@test "a partition of it is mounted" {
	head -c 64M /dev/urandom > t.img
	echo 'start=2048' | sfdisk -q t.img
	loop t.img
	# Not every kernel reads partition tables, and without udev nobody makes the node.
	# A loop device keeps its partitions when it is detached, so take them away before and after.
	delpart "$DEV" 1 2>/dev/null || true
	addpart "$DEV" 1 2048 100000
	echo "$DEV" >> parts
	IFS=: read -r major minor < "/sys/block/${DEV##*/}/${DEV##*/}p1/dev"
	mknod p1 b "$major" "$minor"
	mkfs.ext4 -q -F p1
	mnt p1 m -o ro
	before=$(sha1sum < t.img)
	refused "$DEV" "mounted"
	refused p1 "mounted on"
	untouched
}

@test "mounted in another mount namespace" {
	disk
	mkfs.ext4 -q -F "$DEV"
	mkdir m
	mkfifo ready
	unshare -m sh -c "mount -o ro $DEV m && echo > ready && exec sleep 1000" 3>&- &
	echo $! >> pids
	read -r _ < ready
	before=$(sha1sum < t.img)
	refused "$DEV" "in the mount namespace of process"
	untouched
}

@test "read-only" {
	disk 64M -r
	refused "$DEV" "read-only"
	untouched
}

@test "the backing file of a loop device" {
	disk
	refused "$BATS_TEST_TMPDIR/t.img" "loop"
	untouched
}

@test "a device that backs a loop device" {
	disk
	D=$DEV
	loop "$D"
	refused "$D" "loop"
	untouched
}

@test "a member of a mounted btrfs, though not the device it was mounted by" {
	truncate -s 120M a.img t.img
	loop a.img
	A=$DEV
	loop t.img
	mkfs.btrfs -q -f -m single -d single "$A" "$DEV"
	mnt "$A" m -o ro
	before=$(sha1sum < t.img)
	refused "$DEV" "part of the btrfs mounted on"
	untouched
}

@test "what is no disk: a directory, a character device, a fifo" {
	mkdir dir
	mkfifo fifo
	refused dir "directory"
	refused /dev/null "character device"
	refused fifo "fifo"
}

@test "a path that cannot be made" {
	refused absent/target.img "does not exist"
	[ ! -e absent ]
	ln -s nowhere/at/all dangling
	refused dangling ""
	[ ! -e nowhere ]
}

@test "a file with other data in it needs --force" {
	head -c 32M /dev/urandom > t.img
	before=$(sha1sum < t.img)
	refused t.img "other data"
	[[ $err == *"hint: --force"* ]]
	untouched
	seed "$BATS_FILE_TMPDIR/a.torrent" "$BATS_FILE_TMPDIR/e.img"
	recv t.img --force
	e2fsck -fn t.img
}

@test "sectors larger than the extents are aligned to" {
	loop_4k() { loop t.img --sector-size 4096; }
	# An ext4 of 1 KiB blocks has extents that begin at odd kilobytes.
	mkfs.ext4 -q -F -b 1024 -d "$BATS_FILE_TMPDIR/files" k.img 32M
	ezio-btfiles -q -s k.img | ezio-mktorrent -q > k.torrent
	head -c 64M /dev/urandom > t.img
	loop_4k
	before=$(sha1sum < t.img)
	fails 4 ezio-recv -t k.torrent -d "$DEV" --listen :0 --peer 127.0.0.1:9
	[[ $err == *sector* ]]
	untouched
}

@test "two receivers on one file" {
	seed "$BATS_FILE_TMPDIR/a.torrent" "$BATS_FILE_TMPDIR/e.img" --upload-limit 64KiB
	start ezio-recv -t "$URL" -d t.img --listen :0 --progress json
	became ezio-recv.out receiving
	refused t.img "in use"
}
