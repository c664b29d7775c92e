#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ezio-btfiles --clonezilla: image directories as Clonezilla's ocs-sr leaves them.

load helper

# part FILE N: a loop device over partition N of a disk image, in $DEV.
part() {
	local start size
	read -r start size < <(sfdisk -J "$1" | jq -r ".partitiontable.partitions[] | select(.node == \"$1$2\") | \"\(.start) \(.size)\"")
	DEV=$(losetup --find --show --offset $((start * 512)) --sizelimit $((size * 512)) "$1")
	echo "$DEV" >>loops
}

# fill DEVICE: copy the files into the filesystem there.
fill() {
	mnt "$1" m
	cp -r "$(files)/." m
	umount m
	: >mounts
}

# save DISK DIR: what ocs-sr keeps of a disk besides its partitions, by the same commands.
save() {
	mkdir "$2"
	echo sda >"$2/disk"
	sfdisk -d "$1" | sed "s,$1,/dev/sda," >"$2/sda-pt.sf"
	echo "Disk /dev/sda: $(($(stat -c %s "$1") / 512))s" >"$2/sda-pt.parted"
	dd if="$1" of="$2/sda-mbr" bs=512 count=1 status=none
	if grep -q 'label: gpt' "$2/sda-pt.sf"; then
		dd if="$1" of="$2/sda-gpt-1st" bs=512 count=34 status=none
		dd if="$1" of="$2/sda-gpt-2nd" bs=512 count=33 skip=$(($(stat -c %s "$1") / 512 - 33)) status=none
	fi
	: >"$2/parts"
}

# save_part DISK DIR N PROGRAM NAME COMMAND...: partition N, packed by the command.
save_part() {
	part "$1" "$3"
	echo "sda$3" >>"$2/parts"
	local clone="-c -a 0"
	[ "$4" != dd ] || clone=
	# shellcheck disable=SC2086 # none or two
	partclone."$4" $clone -q -L /dev/null -s "$DEV" -o - 2>/dev/null | "${@:6}" >"$2/sda$3.$5"
	unloop "$DEV"
}

save_swap() {
	part "$1" "$3"
	blkid -p -o export "$DEV" | sed -n 's/^\(UUID\|LABEL\)=\(.*\)/\1="\2"/p' >"$2/swappt-sda$3.info"
	unloop "$DEV"
}

# gpt FILE DIR: a disk with four partitions and its image directory, each packed otherwise.
gpt() {
	truncate -s 500M "$1"
	sfdisk -q "$1" <<-'T'
	label: gpt
	size=120M, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=efi
	size=200M, name=root
	size=20M, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F
	size=100M, name=data
	size=10M
	T
	head -c 1M /dev/urandom | dd of="$1" bs=1M seek=460 conv=notrunc status=none
	part "$1" 1; mkfs.vfat -F 32 "$DEV" >/dev/null; mcopy -i "$DEV" "$(files)/random" ::; unloop "$DEV"
	part "$1" 2; mkfs.ext4 -q "$DEV"; fill "$DEV"; unloop "$DEV"
	part "$1" 3; mkswap -q -L paging "$DEV"; unloop "$DEV"
	part "$1" 4; mkfs.ntfs -q -f "$DEV"; unloop "$DEV"
	save "$1" "$2"
	save_part "$1" "$2" 1 fat vfat-ptcl-img.zst zstd -cq -T0 -3
	save_part "$1" "$2" 2 extfs ext4-ptcl-img.gz gzip -c --rsyncable
	(cd "$2" && split -a 2 -b 5MB sda2.ext4-ptcl-img.gz sda2.ext4-ptcl-img.gz. && rm sda2.ext4-ptcl-img.gz)
	save_swap "$1" "$2" 3
	save_part "$1" "$2" 4 ntfs ntfs-ptcl-img.lz4 lz4 -cq
}

@test "a GPT disk: parts, slices, packings and tables are found, and equal the disk" {
	gpt d.img img
	[ -e img/sda2.ext4-ptcl-img.gz.ad ]
	ezio-btfiles --clonezilla img --image raw.img 2>err | ezio-mktorrent -q > a.torrent
	grep -q 'sda5 is not in the image' err
	ezio-verify -q -t a.torrent -d d.img
	ezio-verify -q -t a.torrent -d raw.img

	# A larger disk, with old data on it: the backup of the table moves to its end.
	seed a.torrent raw.img
	head -c 520M /dev/urandom > target.img
	loop target.img
	recv "$DEV" --verify-after
	sgdisk -v target.img | grep -q 'No problems found'
	ezio-verify -q -t a.torrent -d target.img
	[ "$(sfdisk -d target.img | sed 's,target,d,; /^last-lba/d')" = "$(sfdisk -d d.img | sed '/^last-lba/d')" ]
	part target.img 2; e2fsck -fn "$DEV"
	mnt "$DEV" m -o ro
	diff <(tree "$(files)") <(tree m)
	part target.img 1; fsck.vfat -n "$DEV"
	part target.img 3
	[ "$(blkid -p -o value -s LABEL "$DEV")" = paging ]
	[ "$(sha1sum < "$DEV")" != "$(sha1sum < /dev/null)" ]
	part target.img 4; ntfsinfo -m "$DEV" >/dev/null

	truncate -s 520M larger.img
	recv larger.img
	sgdisk -v larger.img | grep -q 'No problems found'
	ezio-verify -q -t a.torrent -d larger.img
}

@test "an MBR disk with logical partitions: the chain of boot records is made anew" {
	truncate -s 400M d.img
	sfdisk -q d.img <<-'T'
	label: dos
	d.img1 : start=2048, size=150M, type=83, bootable
	d.img2 : size=230M, type=5
	d.img5 : size=100M, type=83
	d.img6 : size=20M, type=82
	d.img7 : size=90M, type=c
	T
	head -c 440 /dev/urandom | dd of=d.img conv=notrunc status=none
	head -c 500k /dev/urandom | dd of=d.img bs=512 seek=1 conv=notrunc status=none
	part d.img 1; mkfs.ext4 -q "$DEV"; unloop "$DEV"
	part d.img 5; mkfs.ext3 -q "$DEV"; fill "$DEV"; unloop "$DEV"
	part d.img 6; mkswap -q "$DEV"; unloop "$DEV"
	part d.img 7; mkfs.vfat -F 32 "$DEV" >/dev/null; unloop "$DEV"
	save d.img img
	dd if=d.img of=img/sda-hidden-data-after-mbr bs=512 skip=1 count=2047 status=none
	dd if=d.img of=img/sda2-ebr bs=512 count=1 skip=$(sfdisk -d d.img | awk '/img2/ {print $4}' | tr -d ,) status=none
	save_part d.img img 1 extfs ext4-ptcl-img.xz xz -c
	save_part d.img img 5 extfs ext3-ptcl-img.bz2 bzip2 -c
	save_swap d.img img 6
	save_part d.img img 7 dd dd-img gzip -c
	ezio-btfiles -q --clonezilla img --image raw.img | ezio-mktorrent -q > a.torrent
	[ "$(sfdisk -d raw.img | sed s,raw,d,)" = "$(sfdisk -d d.img)" ]
	cmp -n 446 d.img raw.img
	cmp -i 512 -n $((2047 * 512)) d.img raw.img
	part raw.img 5; e2fsck -fn "$DEV"
	mnt "$DEV" m -o ro
	diff <(tree "$(files)") <(tree m)
	part raw.img 7; fsck.vfat -n "$DEV"
	part raw.img 6; [ "$(blkid -p -o value -s TYPE "$DEV")" = swap ]
	# Without its file the size of the disk is not known for sure.
	rm img/sda-pt.parted
	ezio-btfiles --clonezilla img 2>err | grep -q '^sha1'
	grep -q 'end of the last partition' err
}

@test "one partition, named or the only one" {
	ext4 e.img
	mkdir img
	echo sda1 > img/parts
	partclone.extfs -c -q -L /dev/null -s e.img -o - 2>/dev/null | lzop -c > img/sda1.ext4-ptcl-img.lzo
	ezio-btfiles -q --clonezilla img | ezio-mktorrent -q > a.torrent
	ezio-btfiles -q -s e.img | ezio-mktorrent -q > b.torrent
	[ "$(infohash a.torrent)" = "$(infohash b.torrent)" ]
	cp img/sda1.ext4-ptcl-img.lzo img/sda2.ext4-ptcl-img.lzo
	echo sda1 sda2 > img/parts
	fails 2 ezio-btfiles -q --clonezilla img
	[[ $err == *"--part sda1"* ]]
	ezio-btfiles -q --clonezilla img --part sda2 | ezio-mktorrent -q > c.torrent
	[ "$(infohash a.torrent)" = "$(infohash c.torrent)" ]
}

@test "what is damaged, missing or beyond us is an error, and nothing is left" {
	gpt d.img img
	broken() {
		rm -rf bad out.img
		cp -r img bad
		(cd bad && eval "$1")
		fails 1 ezio-btfiles -q --clonezilla bad --image out.img
		[[ $err == *"$2"* ]]
		[ ! -e out.img ]
	}
	broken 'rm sda2.ext4-ptcl-img.gz.ac' 'slice ac is missing'
	broken 'rm sda2.ext4-ptcl-img.gz.ad*' 'sda2.ext4-ptcl-img.gz'
	broken 'truncate -s -9 sda1.vfat-ptcl-img.zst' zstd
	broken 'printf XXXX | dd of=sda4.ntfs-ptcl-img.lz4 bs=1 seek=9000 conv=notrunc status=none' 'sda4.ntfs-ptcl-img.lz4'
	broken 'rm sda4.*' 'no image of sda4'
	broken 'rm sda-gpt-1st' sda-gpt-1st
	broken 'head -c 1000 sda-gpt-2nd > x; mv x sda-gpt-2nd' sda-gpt-2nd
	broken 'sed -i s/614400/234000/ sda-pt.sf; sed -i "s/size= *245760/size=1000/" sda-pt.sf' 'sda1'
	broken 'echo UUID=\"zz\" > swappt-sda3.info' 'swappt-sda3.info'
	broken 'rm swappt*; echo sda3 >> parts' 'no image of sda3'
	broken 'echo "vg /dev/sda2 uuid" > lvm_vg_dev.list' 'lvm_vg.conf is missing'
	broken 'echo "vg" > lvm_vg_dev.list' 'lvm_vg_dev.list'
	broken 'echo "vg /dev/sda2 uuid" > lvm_vg_dev.list; echo "vg {" > lvm_vg.conf' 'lvm_vg.conf'
	broken 'touch ecryptfs.info' encrypted
	broken 'mv sda4.ntfs-ptcl-img.lz4 sda4.ntfs-img.aa' 'not an image of partclone'
	broken 'rm disk parts' 'no image directory'
	fails 1 ezio-btfiles -q --clonezilla /nonexistent
	fails 2 ezio-btfiles -q --clonezilla img --part sdb
}

# lvm DEVICE PROGRAM ARGUMENT...: one of LVM's programs, that sees this device only, and does not ask the kernel.
lvm() {
	"$2" -q --driverloaded n --config "devices { use_devicesfile=0 filter=[\"a|^$1\$|\",\"r|.*|\"] } backup { backup=0 archive=0 }" "${@:3}" 2>>lvm.err 3>&-
}

# lv FILE OFFSET SIZE: a loop device over a run of bytes, in $DEV.
lv() { loop "$1" --offset "$2" --sizelimit "$3"; }

@test "LVM: metadata made anew, logical volumes where they were, also in pieces" {
	truncate -s 400M d.img
	printf 'label: gpt\nsize=60M\nsize=330M\n' | sfdisk -q d.img
	part d.img 1; mkfs.ext4 -q "$DEV"; unloop "$DEV"
	part d.img 2; local pv=$DEV
	lvm "$pv" pvcreate -y "$pv"
	lvm "$pv" vgcreate vg-lab "$pv"
	lvm "$pv" lvcreate -an -Zn -Wn -L 120M -n root vg-lab
	lvm "$pv" lvcreate -an -Zn -Wn -L 16M -n swap vg-lab
	lvm "$pv" lvcreate -an -Zn -Wn -L 40M -n home vg-lab
	lvm "$pv" lvextend -L +40M vg-lab/root
	lvm "$pv" lvcreate -an -Zn -Wn -L 8M -n scratch vg-lab
	# root is extents 0 to 29 and, behind the others, 44 to 53: a file of them one after the other
	local start=$((512 * $(sfdisk -J d.img | jq '.partitiontable.partitions[1].start')))
	local data=$((start + 1048576)) e=$((4 * 1048576))
	truncate -s 160M root.img; mkfs.ext4 -q -d "$(files)" root.img
	dd if=root.img of=d.img bs=4M count=30 seek=$data oflag=seek_bytes conv=notrunc status=none
	dd if=root.img of=d.img bs=4M skip=30 seek=$((data + 44 * e)) oflag=seek_bytes conv=notrunc status=none
	lv d.img $((data + 30 * e)) $((4 * e)); mkswap -q -L pages "$DEV"
	blkid -p -o export "$DEV" | sed -n 's/^\(UUID\|LABEL\)=\(.*\)/\1="\2"/p' >swappt
	lv d.img $((data + 34 * e)) $((10 * e)); mkfs.ext3 -q "$DEV"
	local home=$DEV
	mnt "$home" m; cp /usr/bin/bash m; umount m; : >mounts
	save d.img img
	save_part d.img img 1 extfs ext4-ptcl-img.gz gzip -c
	echo sda2 >>img/parts
	echo "vg-lab /dev/sda2 $(lvm "$pv" pvs --noheadings -o pv_uuid | tr -d ' ')" >img/lvm_vg_dev.list
	lvm "$pv" vgcfgbackup -f "$PWD/img/lvm_vg-lab.conf" vg-lab
	mv swappt img/swappt-vg-lab-swap.info
	partclone.extfs -c -a 0 -q -L /dev/null -s root.img -o - 2>/dev/null | zstd -cq | split -b 9M - img/vg-lab-root.ext4-ptcl-img.zst.
	partclone.extfs -c -q -L /dev/null -s "$home" -o - 2>/dev/null | xz -c0 >img/vg-lab-home.ext3-ptcl-img.xz

	ezio-btfiles --clonezilla img --image raw.img 2>err >torrent.info || { cat err; false; }
	ezio-mktorrent -q torrent.info >a.torrent
	grep -q 'scratch of vg-lab is not in the image' err
	seed a.torrent raw.img
	head -c 420M /dev/urandom >target.img
	recv target.img --force --verify-after
	part target.img 2
	for ask in 'lvs -o lv_name,lv_uuid,seg_start_pe,seg_size_pe' 'pvs -o pv_uuid,pv_size' 'vgs -o vg_uuid,vg_free'; do
		# shellcheck disable=SC2086 # a program and its arguments
		diff <(lvm "$pv" $ask --noheadings) <(lvm "$DEV" $ask --noheadings)
	done
	dd if=target.img of=root2.img bs=4M count=30 skip=$data iflag=skip_bytes status=none
	dd if=target.img of=root2.img bs=4M count=10 seek=30 skip=$((data + 44 * e)) iflag=skip_bytes conv=notrunc status=none
	same_files root2.img
	lv target.img $((data + 30 * e)) $((4 * e))
	[ "$(blkid -p -o value -s LABEL "$DEV")" = pages ]
	lv target.img $((data + 34 * e)) $((10 * e))
	mnt "$DEV" m -o ro; cmp /usr/bin/bash m/bash; umount m; : >mounts

	# What cannot be had.
	fails 1 ezio-btfiles -q --clonezilla img --part sda2
	rm img/vg-lab-root.ext4-ptcl-img.zst.ab
	fails 1 ezio-btfiles -q --clonezilla img
	[[ $err == *vg-lab-root.ext4-ptcl-img.zst* ]]
	sed -i '0,/type = "striped"/s//type = "thin"/' img/lvm_vg-lab.conf
	fails 1 ezio-btfiles -q --clonezilla img
	[[ $err == *"logical volume root: it is of type thin"* ]]
	sed -i 's/^vg-lab .*/vg-lab \/dev\/sda2 aaaaaa-bbbb-cccc-dddd-eeee-ffff-gggggg/' img/lvm_vg_dev.list
	fails 1 ezio-btfiles -q --clonezilla img
	[[ $err == *"also on another disk"* ]]
}
