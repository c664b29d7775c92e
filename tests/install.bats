#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What make install puts where, the unit of a standing seed and the container. The packages are
# tests/package's.

load helper

# in_repository COMMAND...: what is built already is not built again.
in_repository() { (cd "$ROOT" && "$@"); }

@test "make install and make uninstall" {
	in_repository make install DESTDIR="$PWD/d" PREFIX=/opt/ezio >log
	for tool in ezio-btfiles ezio-mktorrent ezio-seed ezio-recv ezio-verify; do
		[ -x d/opt/ezio/bin/$tool ]
		man -l d/opt/ezio/share/man/man8/$tool.8 | grep -q "^NAME"
		bash -n d/opt/ezio/share/bash-completion/completions/$tool
		fish -n d/opt/ezio/share/fish/vendor_completions.d/$tool.fish
		grep -qx "#compdef $tool" d/opt/ezio/share/zsh/site-functions/_$tool
	done
	grep -q "^ExecStart=/opt/ezio/bin/ezio-seed " d/opt/ezio/lib/systemd/system/ezio-seed@.service
	[ -s d/opt/ezio/share/doc/ezio/README.md ]
	[ -x d/opt/ezio/share/ezio/contrib/clonezilla/ezio ]
	in_repository make uninstall DESTDIR="$PWD/d" PREFIX=/opt/ezio >>log
	[ -z "$(find d -type f)" ]
}

@test "the unit: systemd understands it, and its privileges suffice" {
	unit=$PWD/ezio-seed@lab.service
	sed "s|@BINDIR@|$ROOT/bin|" "$ROOT/contrib/systemd/ezio-seed@.service" | grep -v ^Documentation= >"$unit"
	systemd-analyze verify "$unit" 2>&1 | tee said
	[ ! -s said ]
	systemd-analyze security --offline=yes --threshold=30 "$unit" >/dev/null

	# A disk and a directory that only root may read.
	ext4 e.img 64M
	chmod 600 e.img
	ezio-btfiles -q -s e.img -o t | ezio-mktorrent -q >a.torrent
	loop e.img -r
	. "$ROOT/contrib/systemd/example.conf"
	[ -z "$OPTIONS" ]
	chmod 711 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/* .
	cp "$ROOT/bin/ezio-seed" . # the repository may be closed to others
	for SOURCE in e.img t $DEV; do
		rm -f out err
		setpriv --reuid 61234 --regid 61234 --clear-groups --no-new-privs --bounding-set -all,+dac_read_search \
			--inh-caps -all,+dac_read_search --ambient-caps -all,+dac_read_search \
			./ezio-seed -t a.torrent -d $SOURCE -l :0 --tracker-listen 127.0.0.1:0 --progress json >out 2>err 3>&- &
		echo $! >>pids
		became out '"serving"' || { cat err; false; }
		URL=http://127.0.0.1:$(jq -r 'select(.tracker_port) | .tracker_port' out | head -n 1)/a.torrent
		recv t.img -q
		ezio-verify -q -t a.torrent -d t.img
		rm t.img
	done
}

@test "the container: what it holds is enough for a deployment" {
	mkdir -p c/proc c/sys c/data
	# FROM scratch, and of the rest only COPY brings files.
	file=$ROOT/contrib/container/Containerfile
	[ "$(grep -c ^FROM $file)" = 1 ] && grep -qx "FROM scratch" $file
	sed -n 's/^COPY //p' $file | while read -r line; do
		set -- $line
		mkdir -p "c${*: -1}"
		for source in "${@:1:$#-1}"; do cp "$ROOT/$source" "c${*: -1}"; done
	done
	path=$(sed -n 's/^ENV PATH=//p' $file)
	ext4 c/data/e.img 64M
	# contained COMMAND...: as an engine would, with a network and /proc of its own
	cat >contained <<-'END'
		set -e
		ip link set lo up
		mount -t proc proc c/proc
		mount -t sysfs sys c/sys
		within() { env -i PATH=$1 $(command -v chroot) c "${@:2}"; }
		within $1 ezio-btfiles -q --raw -s /data/e.img >c/data/torrent.info
		within $1 ezio-mktorrent -q -o /data/a.torrent /data/torrent.info
		within $1 ezio-seed -q -t /data/a.torrent -d /data/e.img -l :0 --tracker-listen 127.0.0.1:6969 --exit-after 1 &
		until (echo >/dev/tcp/127.0.0.1/6969) 2>/dev/null; do kill -0 $!; sleep 0.1; done
		within $1 ezio-recv -q -t http://127.0.0.1:6969/a.torrent -d /data/t.img -l :0
		wait $!
		within $1 ezio-verify -q -t /data/a.torrent -d /data/t.img
	END
	unshare --net --pid --mount --fork --kill-child bash contained "$path" 3>&-
	same_files c/data/t.img
}
