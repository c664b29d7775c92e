#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every filesystem, made for real: captured from a loop device, deployed to one that holds random
# data, and there checked by its own program and file by file. The README's table is this file.

load helper

# small: a directory of files and directories, but not those of files: minix and FAT want fewer.
small() {
	local dir=$BATS_FILE_TMPDIR/small n
	if [ ! -d "$dir" ]; then
		mkdir -p "$dir/d/e"
		for n in 0 1 511 4096 4097 70000 1234567 9000000; do
			head -c "$n" /dev/urandom >"$dir/f$n"
			head -c "$n" /dev/urandom >"$dir/d/g$n"
		done
		head -c 3M /dev/zero >"$dir/d/e/zeros"
		seq 100000 >"$dir/d/e/text"
	fi
	echo "$dir"
}

# fuse PROGRAM DEVICE DIR: mount by a FUSE program.
fuse() {
	mkdir -p "$3"
	"$1" "$2" "$3" 2>/dev/null 3>&-
	echo "$BATS_TEST_TMPDIR/$3" >>mounts
}

# via MOUNT...: fill e.img by mounting it, and delete something, so that used blocks lie apart.
via() {
	loop e.img
	"$@" "$DEV" src
	cp -r "$(small)/." src
	cp -r "$(small)" src/gone
	sync -f src
	rm -r src/gone
	umount src
	: >mounts
	unloop "$DEV"
}

make() {
	truncate -s "$1" e.img
	"${@:2}" e.img >make.log 2>&1
}

# deploy FILESYSTEM: capture e.img from a loop device as that, deploy it to one full of noise; $DEV.
deploy() {
	loop e.img
	local source=$DEV size
	size=$(stat -c %s e.img)
	ezio-btfiles -s "$source" >info 2>err
	cat err
	grep -qx "filesystem: $1" info
	if [ "$1" = raw ]; then
		grep -q 'capturing every block' err
	else
		! grep -q 'every block' err || false
	fi
	ezio-mktorrent -q <info >a.torrent
	head -c "$size" /dev/urandom >target.img
	loop target.img
	seed a.torrent "$source"
	recv "$DEV" --verify-after -q
	kill "$SEED"
	[ "$1" != raw ] || cmp e.img "$DEV"
}

# same TREE MOUNT...: the deployed device, mounted so, has exactly the files of TREE.
same() {
	"${@:2}" "$DEV" there
	rm -rf there/lost+found
	diff <(tree "$1") <(tree there)
	umount there
	: >mounts
}

readonly_() { mnt "$1" "$2" -o ro; }

ext() {
	make 64M "mkfs.$1" -q -F -b "$2"
	via mnt
	deploy EXTFS
	e2fsck -fn "$DEV"
	readonly_ "$DEV" there
	diff <(tree "$(small)") <(tree there)
}

@test "ext2" { ext ext2 1024; }
@test "ext3" { ext ext3 4096; }
@test "ext4" { ext ext4 4096; }

@test "xfs" {
	make 300M mkfs.xfs -q -f
	via mnt
	deploy XFS
	xfs_repair -n "$DEV"
	same "$(small)" readonly_
}

@test "btrfs" {
	make 128M mkfs.btrfs -q
	via mnt
	deploy BTRFS
	btrfs check --readonly "$DEV"
	same "$(small)" readonly_
}

@test "f2fs" {
	make 100M mkfs.f2fs -q -f
	sload.f2fs -f "$(small)" e.img >/dev/null
	deploy F2FS
	fsck.f2fs --dry-run "$DEV"
	same "$(small)" fuse grub-mount
}

fat() {
	make "$2" mkfs.fat -F "$1" "${@:3}"
	local tree=$(small)
	if [ "$1" = 12 ]; then tree=$tree/d/e; fi
	for f in "$tree"/*; do mcopy -s -i e.img "$f" ::; done
	if [ "$1" = 12 ]; then deploy raw; else deploy "FAT$1"; fi
	fsck.vfat -n "$DEV"
	same "$tree" fuse grub-mount
}

@test "FAT12, of which partclone takes used blocks for free ones: every block" { fat 12 8M; }
@test "FAT16" { fat 16 100M; }
@test "FAT32" { fat 32 100M -s 1; }

@test "exFAT" {
	make 100M mkfs.exfat
	via fuse mount.exfat-fuse
	deploy EXFAT
	fsck.exfat -n "$DEV"
	same "$(small)" fuse mount.exfat-fuse
}

@test "NTFS" {
	make 100M mkfs.ntfs -q -F -f
	via fuse ntfs-3g
	deploy NTFS
	ntfsinfo -m "$DEV"
	ntfsfix -n "$DEV" # which also wants the copy of the boot sector, behind the last block
	cmp <(head -c 512 "$DEV") <(tail -c 512 "$DEV")
	same "$(small)" fuse ntfs-3g
}

@test "HFS+" {
	"$BATS_TEST_DIRNAME/hfsplus" "$(small)" e.img
	deploy 'HFS Plus'
	same "$(small)" fuse grub-mount
	# Free blocks, which were marked, have stayed behind.
	! LC_ALL=C tail -c 1M target.img | grep -aq "$(printf '\245\245\245\245\245\245\245\245')" || false
}

@test "minix" {
	make 64M mkfs.minix -2 -n 30
	mkdir flat
	cp "$(small)"/f* flat
	"$BATS_TEST_DIRNAME/minix" flat e.img
	deploy MINIX
	[ -z "$(fsck.minix -f "$DEV" | grep -v '^Forcing')" ]
	same flat fuse grub-mount
}

@test "reiser4, for which nothing here writes files" {
	make 64M mkfs.reiser4 -y -f
	deploy REISER4
	fsck.reiser4 --check -y -f "$DEV" 2>&1 | grep -q 'FS is consistent'
}

@test "APFS, for which nothing here writes files" {
	make 600M mkapfs
	deploy APFS
	apfsck "$DEV"
}

@test "jfs, which Debian's partclone lacks: every block" {
	make 64M mkfs.jfs -q
	deploy raw
	fsck.jfs -n "$DEV"
}

@test "reiserfs, likewise" {
	make 64M mkfs.reiserfs -q -f -f
	deploy raw
	fsck.reiserfs --check -q -y "$DEV"
}

@test "nilfs2, likewise" {
	make 140M mkfs.nilfs2 -q
	deploy raw
	nilfs-tune -l "$DEV"
}

@test "UFS, likewise" {
	makefs -t ffs -s 64m e.img "$(small)"
	deploy raw
	same "$(small)" fuse grub-mount
}

@test "swap: its header, with UUID and label" {
	make 64M mkswap -q -L pages
	deploy swap
	diff <(swaplabel e.img) <(swaplabel "$DEV")
	[ "$(blkid -p -s LABEL -o value "$DEV")" = pages ]
	# and nothing else
	[ "$(grep -c '^offset' info)" = 1 ]
	! cmp -s e.img "$DEV"
}

@test "encrypted and damaged: every block, and a line that says why" {
	truncate -s 32M e.img
	echo secret | cryptsetup luksFormat -q --pbkdf pbkdf2 --iter-time 50 --key-file - e.img
	deploy raw
	grep -q crypto_LUKS err
	echo secret | cryptsetup open --test-passphrase --key-file - "$DEV"
	rm -f e.img target.img
	make 64M mkfs.ext4 -q -F
	debugfs -w -R 'freeb 1 300' e.img
	deploy raw
	grep -q 'partclone.extfs' err
}
