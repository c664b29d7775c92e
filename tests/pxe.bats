#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Machines that boot from the network and are written to: contrib/pxe, in qemu without KVM, with
# Debian's kernel and qemu's own DHCP and TFTP servers.

load helper
load pxe

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
	! grep -q 'trying again' console || false
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
