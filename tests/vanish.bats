#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Machines whose cable is pulled: no FIN, no RST, nothing at all.

load helper
load interop

setup_file() { capture; }

# peers NAME N: the last thing that NAME said was that it has N connections.
peers() {
	[ "$(jq -s 'map(select(.event == "progress"))[-1].peers' "$1.out" 2>/dev/null)" = "$2" ]
}

# said NAME N SINCE SECONDS: it said so within that time of that moment.
said() {
	jq -en "$when first(inputs | select(.event == \"progress\" and .peers == $2 and when >= $3)) | when - $3 | ., . < $4" "$1.out"
}

# has_percent NAME N: so much of the image is there.
has_percent() {
	[ "$(jq -s 'map(.done_bytes // 0) | max * 100 / 88000000 | floor' "$1.out")" -ge "$2" ]
}

# cable N up|down: at the switch, so that the machine itself sees nothing but silence.
cable() {
	ip -n "${room}switch" link set "port$1" "$2"
}

@test "a pulled cable is noticed within seconds; plugged in again, the receiver goes on" {
	room seed r1 r2
	local now
	torrent
	seed_at seed --upload-limit 6MiB
	recv_at r1 "$URL" --seed-idle 30s
	recv_at r2 "$URL" --seed-idle 0
	within 60 peers seed 2
	within 60 peers r1 2
	within 60 has_percent r2 20
	now=$(date +%s.%N)
	cable 3 down
	# Three seconds to notice, one until it is said, and some for a machine that is busy.
	within 60 peers seed 1
	within 60 peers r1 1
	said seed 1 "$now" 8
	said r1 1 "$now" 8
	kill -0 "${RUNS[r2]}"
	sleep 5
	now=$(date +%s.%N)
	cable 3 up
	within 60 peers seed 2
	said seed 2 "$now" 8
	received r2
	quit r1
}
