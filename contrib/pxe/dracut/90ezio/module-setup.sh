#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A module of dracut: an initramfs that deploys by EZIO when the kernel's command line has ezio.*,
# and boots as ever otherwise. `dracut --add ezio --no-hostonly FILE VERSION`.

# ezio_pxe: where the parts are that all kinds of initramfs share
ezio_pxe() {
	local d
	for d in "$EZIO_PXE" /usr/share/ezio/contrib/pxe /usr/local/share/ezio/contrib/pxe; do
		[[ $d && -e $d/deploy ]] && echo "$d" && return
	done
	derror "ezio: there is no /usr/share/ezio/contrib/pxe/deploy: make install"
	return 1
}

# ezio_static NAME [PATH]: PATH, or a program of that name that needs no libraries
ezio_static() {
	local p
	for p in "$2" "/usr/local/bin/$1" $(type -Pa "$1"); do
		[[ -x $p ]] || continue
		grep -q -a '/ld-linux\|/ld-musl' "$p" || { echo "$p"; return; }
	done
	derror "ezio: there is no $1, or none that is statically linked"
	return 1
}

check() {
	return 255 # it is taken only when it is asked for
}

depends() {
	echo base udev-rules
}

installkernel() {
	hostonly='' instmods af_packet =drivers/net/ethernet =drivers/net/usb =drivers/net/phy virtio_net virtio_pci \
		virtio_blk virtio_scsi nvme ahci sd_mod =drivers/ata vmxnet3 hv_netvsc hv_storvsc
}

install() {
	local pxe busybox recv
	pxe=$(ezio_pxe) && recv=$(ezio_static ezio-recv "$EZIO_RECV") && busybox=$(ezio_static busybox) || return 1
	inst_simple "$recv" /usr/bin/ezio-recv
	inst_simple "$busybox" /usr/lib/ezio/busybox
	inst_simple "$pxe/deploy" /usr/lib/ezio/deploy
	inst_simple "$pxe/udhcpc" /usr/lib/ezio/udhcpc
	inst_hook cmdline 20 "$moddir/cmdline.sh"
	inst_hook initqueue/settled 20 "$moddir/deploy.sh"
	inst_hook pre-mount 20 "$moddir/deploy.sh"
}
