#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# More ways to boot machines that are written to: servers as docs/pxe.md has them, and initramfs made
# by others. `make test-pxe` runs it, as it takes minutes.

load helper
load pxe

# classroom SERVER N: as docs/pxe.md has it; N machines on a network of their own
classroom() {
	head -c 30M /dev/urandom > s.img
	ezio-btfiles -q -s s.img | ezio-mktorrent -q > s.torrent
	"$BATS_TEST_DIRNAME/classroom" "$1" "$2" "$KERNEL/boot/vmlinuz-$VERSION" "$INITRD" s.torrent s.img 30M \
		|| { tail -n 30 console* ./*.log; return 1; }
	for i in $(seq "$2"); do
		cmp s.img "$i.img"
		grep -q 'reboot: Power down' "console$i"
	done
	jq -e --argjson n "$2" '[.torrents[].receivers[] | select(.state == "done" and .device == "/dev/vda" and .name)] | length == $n' status.json
}

@test "two machines, dnsmasq and a seed, by what docs/pxe.md says" {
	classroom dnsmasq 2
	jq -e '[.torrents[].receivers[].name] | sort == ["ezio-525400000001", "ezio-525400000002"]' status.json
}

@test "the same by ISC's DHCP server" {
	classroom isc 1
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
