#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ezio_add_torrent.py: gives a torrent and its device (or directory, with ezio -F) to the daemon ezio,
# and returns when that seeds it or receives. If it cannot, its error is shown and its exit status
# returned.

usage="usage: ezio_add_torrent.py [-a ADDRESS] [-S] [-s] [-c CONNECTIONS] [-u UPLOADS] TORRENT PATH"
options=$(getopt -n ezio_add_torrent.py -o ha:Ssc:u: -l help,address:,seeding,sequential,connections:,uploads: -- "$@") ||
	{ echo "$usage" >&2; exit 2; }
eval set -- "$options"
address=127.0.0.1:50051 how=recv
while [ "$1" != -- ]; do
	case $1 in
	-h | --help) echo "$usage"; exit 0 ;;
	-a | --address) address=$2; shift ;;
	-S | --seeding) how=seed ;;
	-c | --connections | -u | --uploads) shift ;; # ours need no such bounds
	esac                                          # nor an order (-s): the rarest piece comes first
	shift
done
shift
[ $# = 2 ] || { echo "$usage" >&2; exit 2; }
fail() { echo "ezio_add_torrent.py: $1" >&2; exit 1; }
[ -r "$1" ] || fail "cannot read $1"
state=${EZIO_STATE:-/run/ezio}/${address/#localhost:/127.0.0.1:}

lives() { local name; read -r -d '' name 2>/dev/null <"/proc/$1/cmdline" && [ "$name" = ezio ]; }
alive() { read -r daemon 2>/dev/null <"$state/pid" && lives "$daemon"; }
for _ in {1..100}; do alive && break; sleep 0.1; done # it may only just have been started
alive || fail "no ezio runs at $address"

# Whole or not at all: the daemon looks for t.*. A number in front keeps them in order.
new=$(mktemp -d "$state/new.XXXXXX") || exit 1
t=$state/t.$(date +%s%N)
cp "$1" "$new/torrent" && echo $how >"$new/how" && printf '%s' "$2" >"$new/path" && mv "$new" "$t" || exit 1
echo >"$state/bell"

begun='"event":"start"'
[ $how = seed ] && begun='"event":"start".*"phase":"serving"'
until grep -qs "$begun" "$t/events"; do
	if [ -e "$t/exit" ]; then
		cat "$t/log" >&2
		exit "$(<"$t/exit")"
	fi
	[ -d "$t" ] && alive || fail "ezio at $address has ended"
	sleep 0.1
done
