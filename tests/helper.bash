# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the bats files share. Every test works in a directory of its own and takes down what it put
# up: processes by their ids, loop devices and mounts by their names.

ROOT=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
PATH=$ROOT/bin:$PATH:/usr/sbin:/sbin
export PATH LC_ALL=C
bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_TMPDIR"
	: >pids; : >loops; : >mounts; : >parts; : >netns; : >machines
}

teardown() {
	cd "$BATS_TEST_TMPDIR"
	local x
	while read -r x; do kill -9 "$x" 2>/dev/null || true; done <machines
	tac pids | while read -r x; do kill "$x" 2>/dev/null || true; done
	tac pids | while read -r x; do
		for _ in $(seq 200); do kill -0 "$x" 2>/dev/null || break; sleep 0.1; done
		kill -9 "$x" 2>/dev/null || true
	done
	tac mounts | while read -r x; do umount "$x" 2>/dev/null || umount -l "$x"; done
	while read -r x; do ip netns del "$x"; done <netns
	while read -r x; do delpart "$x" 1 2>/dev/null || true; done <parts
	tac loops | while read -r x; do
		# It may have been detached already, and be somebody else's by now.
		case $(losetup --noheadings --output BACK-FILE "$x" 2>/dev/null) in
		"$BATS_TEST_TMPDIR"/* | /dev/*) losetup -d "$x" 2>/dev/null || true ;;
		esac
	done
}

# files: a directory with a tree of real files, made once for each bats file.
files() {
	local dir=$BATS_FILE_TMPDIR/files
	if [ ! -d "$dir" ]; then
		mkdir -p "$dir/sub/deep"
		cp -a /usr/share/doc/partclone /usr/share/perl5 "$dir/sub" 2>/dev/null || true
		head -c 24M /dev/urandom >"$dir/random"
		head -c 3M /dev/zero >"$dir/zeros"
		seq 100000 >"$dir/sub/deep/text"
	fi
	echo "$dir"
}

# ext4 FILE [SIZE]: an image with those files in it.
ext4() {
	mkfs.ext4 -q -F -d "$(files)" "$1" "${2-160M}"
}

# loop FILE [OPTIONS]: attach a loop device; its name is in $DEV.
loop() {
	DEV=$(losetup "${@:2}" --find --show "$1")
	echo "$DEV" >>loops
}

# unloop DEVICE: detach it now, and not again at the end, when it may be somebody else's.
unloop() {
	losetup -d "$1"
	sed -i "\\,^$1\$,d" loops
}

# mnt DEVICE DIR [OPTIONS]
mnt() {
	mkdir -p "$2"
	mount "${@:3}" "$1" "$2"
	echo "$BATS_TEST_TMPDIR/$2" >>mounts
}

# tree DIR: every file's checksum and name.
tree() {
	(cd "$1" && find . -type f -not -path './lost+found/*' -print0 | sort -z | xargs -0 sha1sum)
}

# same_files IMAGE: the ext4 filesystem on IMAGE is clean and has the files it should have.
same_files() {
	e2fsck -fn "$1"
	mkdir -p dump
	debugfs -R "rdump / dump" "$1" 2>/dev/null
	diff <(tree "$(files)") <(tree dump)
	rm -rf dump
}

# start COMMAND...: in the background, its streams in $1.out and $1.err, its id in $PID.
start() {
	local name out err
	name=$(basename "$1")
	exec {out}>"$name.out" {err}>"$name.err" # here, so that both are there when this returns
	"$@" >&"$out" 2>&"$err" 3>&- &
	PID=$!
	exec {out}>&- {err}>&-
	echo "$PID" >>pids
}

# within SECONDS COMMAND...: try it until it succeeds. The time is for a machine that is busy with other
# things: what must not take long is measured otherwise.
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "in vain: $*"
			tail -n 5 ./*.err ./*.out 2>/dev/null
			return 1
		fi
		sleep 0.1
	done
}

# says FILE PATTERN [N]: it stands there, in N lines at least.
says() { [ "$(cat "$1" 2>/dev/null | grep -c -- "$2")" -ge "${3-1}" ]; }

# became FILE PATTERN: it comes to stand there.
became() { within 60 says "$1" "$2" || { cat "$1"; return 1; }; }

# gone ID: that process has ended.
gone() { ! kill -0 "$1" 2>/dev/null; }

# serving: the seed has said at which ports it listens; without a tracker there is none for that.
serving() {
	gone "$SEED" || [ -n "$(started .port)" ]
}

# started FIELD: of what the seed said when it began to serve.
started() { jq -r "select(.event == \"start\" and has(\"tracker_port\")) | $1" ezio-seed.out 2>/dev/null | head -n 1; }

# seed TORRENT SOURCE [OPTIONS]: start ezio-seed on free ports; $URL is its torrent.
seed() {
	: >ezio-seed.out
	start ezio-seed -t "$1" -d "$2" --listen :0 --tracker-listen :0 --progress json "${@:3}"
	SEED=$PID
	within 60 serving
	PEER_PORT=$(started .port)
	[ -n "$PEER_PORT" ] || { cat ezio-seed.err >&2; return 1; }
	TRACKER=http://127.0.0.1:$(started .tracker_port)
	URL=$TRACKER/a.torrent
}

# somebody_misses BYTES [TORRENT]: the seed's tracker hears of a peer that lacks so much.
somebody_misses() {
	local hash
	hash=$(infohash "${2-a.torrent}" | sed 's/../%&/g')
	curl -sf -o /dev/null "$TRACKER/announce?info_hash=$hash&peer_id=-XX0000-000000000001&port=9&left=$1&uploaded=0&downloaded=0"
}

# recv TARGET [OPTIONS]: receive from $URL, without lingering.
recv() {
	ezio-recv -t "$URL" -d "$1" --listen :0 --seed-idle 0 "${@:2}"
}

# infohash FILE: as libtorrent computes it.
infohash() {
	/usr/bin/python3 -c 'import libtorrent, sys; print(libtorrent.torrent_info(sys.argv[1]).info_hashes().v1)' "$1"
}

# fails CODE COMMAND...: it must exit with CODE, print nothing on stdout and one line (and perhaps
# a hint) on stderr, which stays in $err.
fails() {
	local want=$1
	shift
	local code=0
	timeout 120 "$@" >fails.out 2>fails.err || code=$?
	err=$(cat fails.err)
	echo "exit $code: $err"
	[ "$code" = "$want" ]
	[ ! -s fails.out ]
	[ "$(grep -cv '^hint: ' fails.err)" = 1 ]
	grep -q "^ezio-[a-z]*: " fails.err
	! grep -qi 'panic\|goroutine' fails.err
}
