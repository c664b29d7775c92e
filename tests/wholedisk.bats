#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Whole disks: partition table and all, as one torrent, onto the same size and onto larger ones.

load helper

# part DISK NUMBER [SECTOR]: attach a loop device over a partition of an image; its name is in $DEV.
part() {
	local start sectors sector=${3-512}
	read -r start sectors < <(partx -g -b -o START,SECTORS -S "$sector" --nr "$2" "$1")
	# partx counts in sectors of 512 bytes, whatever the table counts in
	loop "$1" --offset $((start * 512)) --sizelimit $((sectors * 512)) --sector-size "$sector"
}

# fill DISK SECTOR EXT4 FAT SWAP NTFS UNKNOWN: make filesystems with files in these partitions.
fill() {
	local tree
	tree=$BATS_FILE_TMPDIR/small
	if [ ! -d "$tree" ]; then
		mkdir -p "$tree/deep/er"
		cp /usr/bin/bash "$tree/program"
		seq 200000 >"$tree/deep/text"
		head -c 3M /dev/urandom >"$tree/deep/er/random"
	fi
	part "$1" "$3" "$2"
	mkfs.ext4 -q -F -L system -d "$tree" "$DEV"
	part "$1" "$4" "$2"
	mkfs.fat -n EFI "$DEV" >/dev/null
	mcopy -s -i "$DEV" "$tree"/* ::
	part "$1" "$5" "$2"
	mkswap -q -L pages "$DEV"
	part "$1" "$6" "$2"
	mkfs.ntfs -q -f -L windows "$DEV" 2>/dev/null
	mnt "$DEV" n -t ntfs-3g
	cp -r "$tree"/* n
	umount n
	part "$1" "$7" "$2"
	head -c 100M /dev/urandom | dd of="$DEV" bs=1M iflag=fullblock status=none 2>/dev/null || true
	sync "$1"
}

# same DISK COPY SECTOR EXT4 FAT SWAP NTFS UNKNOWN: the partitions of COPY are sound and hold the same.
same() {
	local n dev
	for n in "${@:4}"; do
		part "$1" "$n" "$3"; dev=$DEV
		part "$2" "$n" "$3"
		diff <(blkid -p -o export "$dev" | grep -v DEVNAME) <(blkid -p -o export "$DEV" | grep -v DEVNAME)
		case $n in
		"$4")
			e2fsck -fn "$DEV"
			mnt "$DEV" m -o ro
			diff -r "$BATS_FILE_TMPDIR/small" m --exclude lost+found
			umount m ;;
		"$5")
			fsck.fat -n "$DEV"
			mkdir fat
			mcopy -s -n -i "$DEV" '::*' fat
			diff -r "$BATS_FILE_TMPDIR/small" fat
			rm -r fat ;;
		"$6")
			[ "$(blkid -p -s LABEL -o value "$DEV")" = pages ] ;;
		"$7")
			ntfsfix -n "$DEV"
			mnt "$DEV" n -t ntfs-3g -o ro
			diff -r "$BATS_FILE_TMPDIR/small" n
			umount n
			cmp <(tail -c 512 "$dev") <(tail -c 512 "$DEV") ;;
		"$8")
			cmp "$dev" "$DEV" ;;
		esac
		unloop "$dev"
		unloop "$DEV"
	done
}

# old FILE SIZE: a disk that holds old data.
old() { head -c "$2" /dev/urandom >"$1"; }

SIZE=144M
gpt_disk() {
	truncate -s $SIZE "$1"
	sgdisk -n 1:0:+40M -n 2:0:+18M -t 2:ef00 -n 3:0:+8M -t 3:8200 -n 4:0:+24M -n 5:0:+2M -c 1:one "$1" >/dev/null
	head -c 440 /dev/urandom | dd of="$1" conv=notrunc status=none
}

@test "GPT: ext4, FAT, swap, NTFS and an unknown one, deployed to the same size and to larger disks" {
	gpt_disk disk.img
	fill disk.img 512 1 2 3 4 5
	loop disk.img; disk=$DEV
	ezio-btfiles -s "$disk" 2>err >torrent.info
	cat err
	grep -q '^partition_table: gpt$' torrent.info
	grep -q '^block_size: 512$' torrent.info
	grep -q 'partition 3: swap, 4.0 KiB' err
	grep -q 'partition 5: .*no filesystem recognised: capturing all' err
	ezio-mktorrent -q torrent.info >a.torrent
	# neither free blocks nor the end of the disk are captured
	[ "$(grep -c '^length' torrent.info)" -lt 200 ]
	local sum=0 length
	while read -r length; do sum=$((sum + 16#$length)); done < <(sed -n 's/^length: 0*//p' torrent.info)
	[ "$sum" -lt $((64 << 20)) ]
	seed a.torrent "$disk"
	old same.img $SIZE; loop same.img
	recv "$DEV" 2>err
	! grep 'backup GPT' err || false
	sgdisk -v same.img | tee out; grep -q 'No problems found' out
	cmp <(head -c 1M disk.img) <(head -c 1M same.img)
	same disk.img same.img 512 1 2 3 4 5
	ezio-verify -q -t a.torrent -d same.img

	# A larger one, and one that is larger by less than a table.
	for size in 200M $((144 * 1024 * 1024 + 10 * 512)); do
		rm -f large.img; old large.img "$size"; loop large.img; large=$DEV
		recv "$large" --verify-after 2>err
		grep -q 'the backup GPT is now at the end' err
		sgdisk -v large.img | tee out; grep -q 'No problems found' out
		diff <(sfdisk -d disk.img | grep start= | cut -d: -f2) <(sfdisk -d large.img | grep start= | cut -d: -f2)
		cmp <(head -c 440 disk.img) <(head -c 440 large.img)
		same disk.img large.img 512 1 2 3 4 5
		# The copy verifies, is complete for another run, and seeds.
		ezio-verify -t a.torrent -d "$large" 2>err
		grep -q 'its GPT is right' err
		recv "$large" 2>err
		! grep -q 'warning' <(grep -v 'read the partition table' err) || false
		sgdisk -v large.img | grep -q 'No problems found'
		# Power was lost after the backup was written, before the primary was.
		cp large.img whole.img
		dd if=disk.img of="$large" bs=512 count=2 conv=notrunc,fsync status=none
		run -3 ezio-verify -q -t a.torrent -d "$large" || [ "$size" = 200M ]
		recv "$large"
		cmp large.img whole.img
		# Damage in the new table is found.
		cp large.img bad.img
		printf X | dd of=bad.img bs=1 seek=$((512 + 60)) conv=notrunc status=none
		run -3 ezio-verify -q -t a.torrent -d bad.img
		cp large.img bad.img
		printf X | dd of=bad.img bs=1 seek=$(($(stat -c %s bad.img) - 512 + 60)) conv=notrunc status=none
		run -3 ezio-verify -q -t a.torrent -d bad.img
		# and repaired
		recv bad.img --force 2>err
		cmp large.img bad.img
	done
}

@test "a receiver with a moved GPT serves what was captured" {
	gpt_disk disk.img
	ezio-btfiles -q -s disk.img | ezio-mktorrent -q >a.torrent
	seed a.torrent disk.img
	old large.img 160M
	recv large.img --force
	kill "$SEED"
	seed a.torrent large.img --check
	recv small.img
	cmp <(head -c 1M disk.img) <(head -c 1M small.img)
	sgdisk -v small.img | grep -q 'No problems found'
}

@test "MBR with logical partitions: ext4, FAT, swap, NTFS and an unknown one" {
	truncate -s $SIZE disk.img
	sfdisk -q disk.img <<-END
		label: dos
		start=2048, size=40M, type=83, bootable
		start=84992, size=60M, type=f
		start=210000, size=18M, type=c
		start=87040, size=8M, type=82
		start=106496, size=24M, type=7
		start=180224, size=2M, type=da
	END
	head -c 440 /dev/urandom | dd of=disk.img conv=notrunc status=none
	fill disk.img 512 1 3 5 6 7
	loop disk.img; disk=$DEV
	ezio-btfiles -s "$disk" 2>err | ezio-mktorrent -q >a.torrent
	cat err
	seed a.torrent "$disk"
	for size in $SIZE 200M; do
		rm -f copy.img; old copy.img $size; loop copy.img; copy=$DEV
		recv "$copy"
		diff <(sfdisk -d disk.img | grep start= | cut -d: -f2) <(sfdisk -d copy.img | grep start= | cut -d: -f2)
		cmp <(head -c 1M disk.img) <(head -c 1M copy.img)
		same disk.img copy.img 512 1 3 5 6 7
		ezio-verify -q -t a.torrent -d copy.img
	done
}

@test "sectors of 4096 bytes: as a device and as an image; another sector size is refused" {
	truncate -s $SIZE disk.img
	loop disk.img --sector-size 4096; disk=$DEV
	sfdisk -q --no-reread --no-tell-kernel "$disk" <<-END
		label: gpt
		size=40M
		size=18M
		size=8M
		size=24M
		size=2M
	END
	fill disk.img 4096 1 2 3 4 5
	ezio-btfiles -s "$disk" 2>err >torrent.info
	cat err
	grep -q '^block_size: 4096$' torrent.info
	grep -q 'partition 1: EXTFS' err
	grep -q 'partition 2: .*FAT12, .*capturing all' err
	ezio-mktorrent -q torrent.info >a.torrent
	ezio-btfiles -q -s disk.img | ezio-mktorrent -q >b.torrent
	[ "$(infohash a.torrent)" = "$(infohash b.torrent)" ]
	seed a.torrent "$disk"
	old large.img 150M; loop large.img --sector-size 4096; large=$DEV
	recv "$large" 2>err
	grep -q 'the backup GPT is now at the end' err
	sgdisk -v "$large" | tee out; grep -q 'No problems found' out
	same disk.img large.img 4096 1 2 3 4 5
	ezio-verify -q -t a.torrent -d "$large"

	old wrong.img 150M; loop wrong.img
	before=$(sha1sum <wrong.img)
	fails 4 ezio-recv -q -t "$URL" -d "$DEV" --listen :0 --seed-idle 0
	[[ $err == *"sectors are 512 bytes"* ]]
	[ "$before" = "$(sha1sum <wrong.img)" ]
}

@test "damaged tables: the backup is used, without any every block is captured" {
	gpt_disk disk.img
	part disk.img 1; mkfs.ext4 -q -F "$DEV"
	printf X | dd of=disk.img bs=1 seek=$((512 + 60)) conv=notrunc status=none
	ezio-btfiles -s disk.img 2>err | ezio-mktorrent -q >a.torrent
	cat err
	grep -q 'the primary GPT is damaged' err
	grep -q 'partition 1: EXTFS' err
	seed a.torrent disk.img
	recv large.img
	sgdisk -v large.img >out && ! grep -q 'No problems found' out
	truncate -s 160M larger.img
	recv larger.img --verify-after 2>err
	grep -q 'warning: .*was damaged when it was captured' err
	sgdisk -v larger.img | grep -q 'No problems found'
	run -3 ezio-verify -q -t a.torrent -d larger.img
	printf X | dd of=disk.img bs=1 seek=$((144 * 1024 * 1024 - 512 + 60)) conv=notrunc status=none
	ezio-btfiles -s disk.img 2>err >torrent.info
	cat err
	grep -q 'capturing every block' err
	[ "$(grep -c '^offset' torrent.info)" = 1 ]
	! grep -q '^partition_table' torrent.info || false

	# An extended partition whose chain of boot records bites its tail.
	truncate -s 0 loopy.img; truncate -s 64M loopy.img
	printf 'label: dos\nstart=2048,size=20M,type=5\nstart=4096,size=2M\nstart=12288,size=2M\n' | sfdisk -q loopy.img
	printf '\0\0\0\0' | dd of=loopy.img bs=1 seek=$((2048 * 512 + 446 + 16 + 8)) conv=notrunc status=none
	ezio-btfiles -s loopy.img 2>err >torrent.info
	grep -q 'does not end.*capturing every block' err
	[ "$(grep -c '^offset' torrent.info)" = 1 ]
}

@test "no loop device is left behind, not even when the capture is killed" {
	gpt_disk disk.img
	fill disk.img 512 1 2 3 4 5
	detached() { [ -z "$(losetup -j whole.img)" ]; }
	none() { within 60 detached; }
	cp disk.img whole.img
	ezio-btfiles -q -s whole.img >/dev/null
	none
	for signal in TERM KILL; do
		for after in 0.05 0.15 0.3; do
			ezio-btfiles -q -s whole.img >/dev/null 2>&1 &
			pid=$!
			sleep $after
			kill -$signal $pid 2>/dev/null || true
			wait $pid || true
			none
		done
	done
}

@test "the new table is durable before the old one goes, and before done is said" {
	gpt_disk disk.img
	ezio-btfiles -q -s disk.img | ezio-mktorrent -q >a.torrent
	seed a.torrent disk.img
	old large.img 160M
	strace -f -qq -e trace=pwrite64,fsync,write -e signal=none -o trace \
		ezio-recv -t "$URL" -d large.img --force --listen :0 --seed-idle 0 --progress json >out
	sed -nE 's/.*pwrite64\(.*, [0-9]+, ([0-9]+)(\)| <unf).*/write \1/p
		s/.*fsync(\([0-9]+\)| resumed>\)) += 0$/sync/p
		s/.*write\([0-9]+, "\{.*event.":."done.*/done/p' trace >steps
	tail -n 9 steps | paste -sd' '
	local at=$((160 * 1024 * 1024))
	diff <(tail -n 9 steps) <(printf '%s\n' "write $((at - 33 * 512))" sync "write $((at - 512))" sync "write 512" sync "write 0" sync done)
	# and everything else was durable before
	tail -n 12 steps
	[ "$(tail -n 10 steps | head -n 1)" = sync ]
}

@test "a disk with a partition that is mounted read-write is refused" {
	gpt_disk disk.img
	loop disk.img; disk=$DEV
	# A loop device keeps its partitions when it is detached, so take them away before and after.
	delpart "$disk" 1 2>/dev/null || true
	addpart "$disk" 1 2048 $((40 * 2048))
	echo "$disk" >>parts
	IFS=: read -r major minor <"/sys/block/${disk##*/}/${disk##*/}p1/dev"
	mknod p1 b "$major" "$minor"
	# The disk's own cache is full of what was there before, and stays: somebody has it open.
	exec 8<"$disk"
	cat "$disk" >/dev/null
	mkfs.ext4 -q -F p1
	mnt p1 m
	cp /usr/bin/bash m
	fails 4 ezio-btfiles -q -s "$disk"
	[[ $err == *"mounted read-write"* ]]
	# Once unmounted, what was written through the partition's own node is in the capture.
	umount m
	ezio-btfiles -q -s "$disk" --image copy.img | ezio-mktorrent -q >a.torrent
	exec 8<&-
	ezio-verify -q -t a.torrent -d "$disk"
	part copy.img 1
	e2fsck -fn "$DEV"
	mnt "$DEV" m -o ro
	cmp m/bash /usr/bin/bash
}

@test "an MBR does not say its sector size: of an image the partitions tell, or every block is captured" {
	truncate -s $SIZE disk.img
	loop disk.img --sector-size 4096; disk=$DEV
	sfdisk -q --no-reread --no-tell-kernel "$disk" <<-END
		label: dos
		start=256, size=40M
		start=10752, size=60M, type=5
		start=26368, size=18M, type=c
		start=11008, size=8M, type=82
		start=13312, size=24M, type=7
		start=20480, size=2M
	END
	fill disk.img 4096 1 3 5 6 7
	ezio-btfiles -s "$disk" 2>err >torrent.info
	cat err
	grep -q 'partition 1: EXTFS' err
	grep -q '^partition_table: dos$' torrent.info
	ezio-mktorrent -q torrent.info >a.torrent
	ezio-btfiles -q -s disk.img | ezio-mktorrent -q >b.torrent
	[ "$(infohash a.torrent)" = "$(infohash b.torrent)" ]
	old copy.img $SIZE; loop copy.img --sector-size 4096
	seed a.torrent "$disk"
	recv "$DEV"
	same disk.img copy.img 4096 1 3 5 6 7

	truncate -s $SIZE noise.img
	printf 'label: dos\nstart=2048,size=2M\n' | sfdisk -q noise.img
	ezio-btfiles -s noise.img 2>err >torrent.info
	grep -q '512 or of 4096 bytes: capturing every block' err
	[ "$(grep -c '^offset' torrent.info)" = 1 ]
}

@test "LVM, LUKS, a hibernated system and an ext4 that was not unmounted are captured whole" {
	truncate -s 120M disk.img
	printf 'label: gpt\nsize=20M\nsize=20M\nsize=8M\nsize=32M\n' | sfdisk -q disk.img
	for n in 1 2 3 4; do
		part disk.img $n
		head -c 32M /dev/urandom | dd of="$DEV" bs=1M iflag=fullblock status=none 2>/dev/null || true
		case $n in
		1) pvcreate -q -y --config 'devices { use_devicesfile=0 }' "$DEV" 2>/dev/null ;;
		2) echo secret | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --iter-time 50 --key-file - "$DEV" ;;
		3) mkswap -q "$DEV"; printf S1SUSPEND | dd of="$DEV" bs=1 seek=4086 conv=notrunc status=none ;;
		4) mkfs.ext4 -q -F "$DEV"
			mnt "$DEV" m
			seq 100000 >m/numbers
			sync m/numbers
			cp disk.img running.img # as after a power cut
			umount m ;;
		esac
	done
	ezio-btfiles -s running.img 2>err | ezio-mktorrent -q >a.torrent
	cat err
	for n in 1 2 3 4; do grep -q "partition $n: .*capturing all" err; done
	seed a.torrent running.img
	old copy.img 120M
	recv copy.img --force
	for n in 1 2 3 4; do
		part running.img $n; dev=$DEV
		part copy.img $n
		cmp "$dev" "$DEV"
	done
	part copy.img 2
	echo secret | cryptsetup open --test-passphrase --key-file - "$DEV"
}

@test "the kernel reads the new table; a device with larger sectors is refused" {
	gpt_disk disk.img
	ezio-btfiles -q -s disk.img | ezio-mktorrent -q >a.torrent
	seed a.torrent disk.img
	truncate -s $SIZE target.img
	loop target.img --partscan
	strace -ff -qq -e trace=ioctl -e signal=none -o trace \
		ezio-recv -t "$URL" -d "$DEV" --listen :0 --seed-idle 0 2>err
	grep -q 'BLKRRPART) *= 0' trace.*
	! grep -q warning err || false
	# A device that can have no partitions gets its image all the same.
	truncate -s $SIZE plain.img
	loop plain.img
	recv "$DEV" 2>err
	grep -q 'warning: the kernel does not know the new partitions' err
	cmp <(head -c 1M disk.img) <(head -c 1M plain.img)

	old large.img 160M; loop large.img --sector-size 4096
	before=$(sha1sum <large.img)
	fails 4 ezio-recv -q -t "$URL" -d "$DEV" --listen :0 --seed-idle 0
	[[ $err == *"sectors are 4096 bytes"* ]]
	[ "$before" = "$(sha1sum <large.img)" ]
}

@test "a hybrid MBR beside a GPT stays, on the same size and on a larger disk" {
	truncate -s 100M disk.img
	sgdisk -n 1:0:+30M -n 2:0:+20M -h 1 disk.img >/dev/null
	part disk.img 1
	mkfs.ext4 -q "$DEV"
	ezio-btfiles -s disk.img 2>err | ezio-mktorrent -q >a.torrent
	grep -q 'partition 1: EXTFS' err
	seed a.torrent disk.img
	for size in 100M 130M; do
		old copy.img $size
		recv copy.img --force --verify-after
		sgdisk -v copy.img | grep -q 'No problems found'
		[ "$(sfdisk -d --label-nested dos copy.img | grep -c 'type=83')" = 1 ]
		diff <(sfdisk -d --label-nested dos disk.img | grep 'type=83' | cut -d: -f2) <(sfdisk -d --label-nested dos copy.img | grep 'type=83' | cut -d: -f2)
		part copy.img 1
		e2fsck -fn "$DEV"
		unloop "$DEV"
		ezio-verify -q -t a.torrent -d copy.img
	done
}
