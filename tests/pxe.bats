#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Machines that boot from the network and are written to: contrib/pxe, in qemu without KVM, with
# Debian's kernel and qemu's own DHCP and TFTP servers.

load helper

setup_file() {
	export KERNEL VERSION
	read -r KERNEL VERSION < <("$BATS_TEST_DIRNAME/kernel")
	export INITRD=$BATS_FILE_TMPDIR/initrd.img
	"$BATS_TEST_DIRNAME/../contrib/pxe/ezio-initramfs" -o "$INITRD" -k "$VERSION" -b "$KERNEL"
}

# disk FILE: a whole disk with a GPT, ext4 with files and a partition of random data.
disk() {
	truncate -s 96M "$1"
	sfdisk -q "$1" <<-END
		label: gpt
		size=64MiB, type=linux
		type=linux
	END
	ext4 part.img 64M
	dd if=part.img of="$1" bs=1M seek=1 conv=notrunc status=none
	head -c 8M /dev/urandom | dd of="$1" bs=1M seek=65 conv=notrunc status=none
}

# served NAME...: one ezio-seed of the disks NAME.img. Their torrents as the machine sees them are in
# $AT, the seed is its peer $PEER: the tracker would name 127.0.0.1, where it thinks the machine is.
served() {
	local n all=()
	for n; do
		ezio-btfiles -q -s "$n.img" | ezio-mktorrent -q -n "$n" > "$n.torrent"
		all+=(-t "$n.torrent" -d "$n.img")
	done
	seed "${all[1]}" "${all[3]}" "${all[@]:4}"
	AT=http://10.0.2.2:${TRACKER##*:}
	PEER=10.0.2.2:$PEER_PORT
}

# receiver IMAGE FIELDS: what the seed knows of the machine
receiver() {
	curl -sf "$TRACKER/status.json" | jq -c --arg n "$1" ".torrents[] | select(.name == \$n) | .receivers[-1] | $2"
}

# machine OPTIONS...: a computer of 512 MiB that is off again within two minutes. Its console is in
# the file console.
machine() {
	timeout -k 5 120 qemu-system-x86_64 -M pc -accel tcg -m 512 -nographic -no-reboot \
		-device virtio-rng-pci "$@" </dev/null >console 2>&1 || { tail -n 40 console; return 1; }
	tr -d '\r' <console | grep 'ezio\|reboot' || true
}

@test "netboot by PXE, iPXE and TFTP: two disks written, then power off" {
	disk system.img
	head -c 20M /dev/urandom > data.img
	served system data
	printf 'TORRENT=%s/system.torrent\nTARGET=/dev/vda   # the larger one\n' "$AT" > ezio.conf
	mkdir -p tftp/lab
	curl -sf -H "Host: ${AT#http://}" "$TRACKER/data.torrent" > tftp/lab/data.torrent
	printf "torrent='data.torrent' disk=/dev/vdb\n" >> ezio.conf
	sed "s|^set config .*|set config lab/ezio.conf|; s|^set flags .*|set flags console=ttyS0 ezio.done=poweroff ezio.failed=poweroff ezio.args=--peer=$PEER,--seed-idle=0,--verify-after|" \
		"$BATS_TEST_DIRNAME/../contrib/pxe/ezio.ipxe" > tftp/lab/ezio.ipxe
	cp "$KERNEL/boot/vmlinuz-$VERSION" tftp/lab/vmlinuz
	cp "$INITRD" tftp/lab/initrd.img
	cp ezio.conf tftp/lab/
	head -c 128M /dev/urandom > vda.img
	head -c 20M /dev/urandom > vdb.img
	machine -boot n -netdev user,id=n,tftp=tftp,bootfile=lab/ezio.ipxe -device virtio-net-pci,netdev=n \
		-drive file=vda.img,format=raw,if=virtio -drive file=vdb.img,format=raw,if=virtio
	grep -q 'ezio: done' console
	grep -q 'reboot: Power down' console
	cmp data.img vdb.img
	ezio-verify -t system.torrent -d vda.img
	# The disk is larger than the captured one: its GPT was moved.
	sgdisk -v vda.img | grep -q 'No problems found'
	dd if=vda.img of=got.img bs=1M skip=1 count=64 status=none
	same_files got.img
	cmp <(dd if=system.img bs=1M skip=65 count=8 status=none) <(dd if=vda.img bs=1M skip=65 count=8 status=none)
	# The seed knows who has what.
	[ "$(receiver system '[.state, .device, .name]')" = '["done","/dev/vda","ezio-525400123456"]' ]
	[ "$(receiver data '[.state, .device]')" = '["done","/dev/vdb"]' ]
}

@test "what fails is said on the console, tried again, and the disk is left alone" {
	head -c 4M /dev/urandom > vda.img
	cp vda.img before.img
	machine -kernel "$KERNEL/boot/vmlinuz-$VERSION" -initrd "$INITRD" \
		-append "console=ttyS0 ezio.torrent=http://10.0.2.2:1/a.torrent ezio.target=/dev/vda ezio.tries=2 ezio.failed=reboot" \
		-netdev user,id=n -device virtio-net-pci,netdev=n -drive file=vda.img,format=raw,if=virtio
	[ "$(grep -c 'ezio-recv: get http://10.0.2.2:1/a.torrent' console)" = 2 ]
	grep -q 'ezio: FAILED with exit code 1' console
	grep -q 'reboot: Restarting system' console
	cmp before.img vda.img
}

@test "a disk that is too small is refused, at once" {
	head -c 6M /dev/urandom > a.img
	served a
	head -c 4M /dev/urandom > vda.img
	cp vda.img before.img
	machine -kernel "$KERNEL/boot/vmlinuz-$VERSION" -initrd "$INITRD" \
		-append "console=ttyS0 ezio.torrent=$AT/a.torrent ezio.target=/dev/vda ezio.failed=poweroff" \
		-netdev user,id=n -device virtio-net-pci,netdev=n -drive file=vda.img,format=raw,if=virtio
	grep -q 'ezio-recv: refuse /dev/vda' console
	grep -q 'ezio: FAILED with exit code 4' console
	! grep -q 'trying again' console
	[ "$(receiver a .state)" = '"refused"' ]
	[[ "$(receiver a .reason)" == *"too small"* ]] || { receiver a .; false; }
	cmp before.img vda.img
}

@test "the initramfs is under 12 MiB, has what it needs, and is the same each time" {
	[ "$(stat -c %s "$INITRD")" -lt $((12 << 20)) ]
	xz -dc "$INITRD" | cpio -t --quiet > list
	for f in init usr/bin/ezio-recv usr/lib/ezio/busybox usr/lib/ezio/deploy usr/lib/ezio/udhcpc; do
		grep -qx "$f" list
	done
	for m in virtio_net virtio_blk virtio_pci sd_mod; do grep -q "/$m.ko$" list; done
	[ -z "$(grep '/mlx5_core.ko$' list)" ]
	"$BATS_TEST_DIRNAME/../contrib/pxe/ezio-initramfs" -o again.img -k "$VERSION" -b "$KERNEL"
	cmp "$INITRD" again.img
}

@test "an initramfs that cannot be made says why and leaves nothing" {
	make=$BATS_TEST_DIRNAME/../contrib/pxe/ezio-initramfs
	run -1 "$make" -o x.img -k 0.0.0
	[[ $output == "ezio-initramfs: there is no "*"/lib/modules/0.0.0: "* ]]
	run -2 "$make" -k "$VERSION"
	[[ $output == *"usage: "* ]]
	cp /bin/sh dynamic
	PATH=/usr/bin:/bin run -1 "$make" -o x.img -k "$VERSION" -b "$KERNEL" -B "$PWD/dynamic" -r "$PWD/absent"
	[ -z "$(ls x.img* 2>/dev/null)" ]
}

# deploys INITRD: a machine that boots it writes its disk.
deploys() {
	head -c 6M /dev/urandom > a.img
	served a
	head -c 6M /dev/urandom > vda.img
	machine -kernel "$KERNEL/boot/vmlinuz-$VERSION" -initrd "$1" \
		-append "console=ttyS0 ezio.torrent=$AT/a.torrent ezio.target=/dev/vda ezio.args=--peer=$PEER,--seed-idle=0 ezio.failed=poweroff" \
		-netdev user,id=n -device virtio-net-pci,netdev=n -drive file=vda.img,format=raw,if=virtio
	cmp a.img vda.img
	grep -q 'reboot: Power down' console
}

@test "an initramfs made by dracut with our module deploys" {
	cp -a /usr/lib/dracut base
	cp -a "$BATS_TEST_DIRNAME/../contrib/pxe/dracut/90ezio" base/modules.d/
	EZIO_PXE=$ROOT/contrib/pxe EZIO_RECV=$ROOT/bin/ezio-recv dracutbasedir=$PWD/base dracut --no-hostonly --kmoddir "$KERNEL/lib/modules/$VERSION" \
		-m ezio --gzip --tmpdir "$PWD" initrd.dracut "$VERSION"
	lsinitrd initrd.dracut > list || gzip -dc initrd.dracut | cpio -tv > list
	for f in usr/bin/ezio-recv usr/lib/ezio/deploy usr/lib/ezio/busybox; do grep -q "$f" list; done
	grep -q 'virtio_net.ko' list
	deploys initrd.dracut
}

@test "an initramfs made by initramfs-tools with our hook deploys" {
	mkdir -p conf/conf.d
	cp -a "$BATS_TEST_DIRNAME/../contrib/pxe/initramfs-tools/." conf/
	printf 'MODULES=list\nBUSYBOX=auto\nCOMPRESS=gzip\nRUNSIZE=10%%\n' > conf/initramfs.conf
	: > conf/modules
	# It knows no other place for modules than /lib/modules, and asks /boot what the kernel can
	# unpack: they are there for it alone.
	mkdir -p /lib/modules
	EZIO_PXE=$ROOT/contrib/pxe EZIO_RECV=$ROOT/bin/ezio-recv unshare -m sh -ec 'mount --bind "$1/lib/modules" /lib/modules; mount --bind "$1/boot" /boot
		exec mkinitramfs -d conf -o initrd.tools "$2"' sh "$KERNEL" "$VERSION"
	gzip -dc initrd.tools | cpio -t --quiet > list
	for f in usr/bin/ezio-recv usr/lib/ezio/deploy scripts/init-premount/ezio; do grep -qx "$f" list; done
	grep -q 'virtio_net.ko' list
	deploys initrd.tools
}
