#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ezio_ui.py [-w SECONDS] [-l SECONDS]: shows how the torrents of the daemon ezio are doing. A torrent
# that is complete since -w seconds and has uploaded nothing for -l seconds is stopped; when all are,
# so is the daemon, and the exit status is 0, or that of a torrent that failed. A failure stays on the
# terminal until somebody presses q: Clonezilla clears the screen and does not look at the status.

usage="usage: ezio_ui.py [-w SECONDS] [-l SECONDS]"
options=$(getopt -n ezio_ui.py -o hw:l: -l help,wait:,last-upload:,simple -- "$@") || { echo "$usage" >&2; exit 2; }
eval set -- "$options"
least=15 idle=15 simple=
while [ "$1" != -- ]; do
	case $1 in
	-h | --help) echo "$usage"; exit 0 ;;
	-w | --wait) least=$2; shift ;;
	-l | --last-upload) idle=$2; shift ;;
	--simple) simple=1 ;; # one line, as ezio_cli.py has it
	esac
	shift
done
[ -t 1 ] && [ "$TERM" != dumb ] || simple=1
state=${EZIO_STATE:-/run/ezio}/127.0.0.1:50051
lives() { local name; read -r -d '' name 2>/dev/null <"/proc/$1/cmdline" && [ "$name" = ezio ]; }
read -r daemon 2>/dev/null <"$state/pid" && lives "$daemon" || { echo "ezio_ui.py: no ezio runs here" >&2; exit 1; }

# field NAME: that of $event, in $value.
field() {
	value=0
	[[ $event =~ \"$1\":\"?([^,\"}]*) ]] && value=${BASH_REMATCH[1]}
}

# look DIR: adds a torrent to the totals, and to $table; sets $over when there is nothing to wait for.
declare -A complete uploaded
look() {
	local phase done_bytes total up down
	event=$(grep -s '"event":"progress"' "$1/events" | tail -n 1)
	field phase; phase=$value
	field done_bytes; done_bytes=$value
	field total_bytes; total=$value
	field rate_down; down=$value
	field rate_up; up=$value
	field peers
	over=
	if [ -e "$1/exit" ]; then
		over=1 phase=ended down=0 up=0
		[ "$(<"$1/exit")" = 0 ] || phase="failed ($(<"$1/exit"))"
	elif [ "$phase" = uploading ] || [ "$phase" = serving ]; then
		total=$done_bytes
		complete[$1]=${complete[$1]-$SECONDS}
		[ "$up" = 0 ] || uploaded[$1]=$SECONDS
		if [ $((SECONDS - complete[$1])) -ge "$least" ] && [ $((SECONDS - ${uploaded[$1]-${complete[$1]}})) -ge "$idle" ]; then
			kill "$(<"$1/pid")" 2>/dev/null
		fi
	else
		remain=$((remain + 1))
	fi
	all_done=$((all_done + done_bytes)) all=$((all + total)) all_down=$((all_down + down)) all_up=$((all_up + up))
	table+=$(printf '%-24s %-12s %5d %% of %8d MB  D: %6s GB/min  U: %6s GB/min  %3d peers' "$(<"$1/path")" "$phase" \
		$((done_bytes * 100 / (total ? total : 1))) $((total / 1000000)) "$(gigabytes $down)" "$(gigabytes $up)" "$value")$'\n'
}

# gigabytes RATE: in GiB a minute, as EZIO shows rates.
gigabytes() { printf '%d.%02d' $(($1 * 60 / 1073741824)) $(($1 * 6000 / 1073741824 % 100)); }

show() {
	local sum
	sum="[T: $SECONDS][P: $((all_done * 100 / (all ? all : 1)))%][D: $(gigabytes $all_down)GB/min][U: $(gigabytes $all_up)GB/min][R: $remain]"
	if [ -n "$simple" ]; then
		printf '%s\r' "$sum"
	else
		printf '\033[H\033[J%s\n\n%s\n' "EZIO   $sum" "$table"
	fi
}

SECONDS=0
ezio-recv --version
while :; do
	ended=1 table= remain=0 all=0 all_done=0 all_down=0 all_up=0
	torrents=("$state"/t.*/)
	[ -d "${torrents[0]}" ] || ended=
	for t in "${torrents[@]}"; do
		[ -d "$t" ] || continue
		look "${t%/}"
		[ -n "$over" ] || ended=
	done
	show
	[ -z "$ended" ] || break
	lives "$daemon" || { echo; echo "ezio_ui.py: ezio has ended before its torrents" >&2; exit 1; }
	if [ -z "$simple" ] && [ -t 0 ]; then
		read -r -s -n 1 -t 1 key && [ "$key" = q ] && exit 0
	else
		sleep 1
	fi
done
echo

status=0
for t in "${torrents[@]}"; do
	code=$(<"${t}exit")
	[ "$code" = 0 ] && continue
	[ $status = 0 ] && status=$code
	echo "$(<"${t}path") FAILED:" >&2
	tail -n 2 "${t}log" >&2
done
if [ $status != 0 ] && [ -t 0 ] && [ -t 1 ]; then
	echo "This machine is not deployed. Press q to go on."
	until read -r -s -n 1 key && [ "$key" = q ]; do :; done
fi
kill "$daemon" 2>/dev/null
for _ in {1..100}; do lives "$daemon" || break; sleep 0.1; done
echo "Finished. Exiting..."
exit $status
