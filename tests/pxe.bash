# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the bats files with machines in qemu share.

setup_file() {
	export KERNEL VERSION
	read -r KERNEL VERSION < <("$BATS_TEST_DIRNAME/kernel")
	export INITRD=$BATS_FILE_TMPDIR/initrd.img
	"$BATS_TEST_DIRNAME/../contrib/pxe/ezio-initramfs" -o "$INITRD" -k "$VERSION" -b "$KERNEL"
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

# machine OPTIONS...: a computer of 512 MiB that is off again within four minutes. Its console is in
# the file console.
machine() {
	timeout -k 5 240 qemu-system-x86_64 -M pc -accel tcg -m 512 -nographic -no-reboot \
		-device virtio-rng-pci "$@" </dev/null >console 2>&1 || { tail -n 40 console; return 1; }
	tr -d '\r' <console | grep 'ezio\|reboot' || true
}
