#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What people and programs see while it works.

load helper

image() {
	ext4 e.img
	ezio-btfiles -q -s e.img | ezio-mktorrent -q > a.torrent
}

@test "a bar on a terminal, with rate, percent, time left and peers" {
	image
	seed a.torrent e.img --upload-limit 20MiB
	COLUMNS=120 script -qec "stty cols 120; ezio-recv -t $URL -d t.img --listen :0 --seed-idle 0" typescript
	tr '\r' '\n' < typescript > lines
	grep -E 'receiving' lines | grep -E '[0-9]+%' | grep -E 'iB/s' | grep -E '1 peer'
	grep -E 'receiving.*left' lines
	ezio-verify -q -t a.torrent -d t.img
}

@test "plain lines elsewhere, few of them; nothing with -q" {
	image
	seed a.torrent e.img
	recv t.img > out 2> err
	[ ! -s out ]
	grep -E '^ezio-recv: receiving [0-9]+%' err
	[ "$(wc -l < err)" -lt 10 ]
	rm t.img
	recv t.img -q > out 2> err
	[ ! -s out ]
	[ ! -s err ]
}

@test "json is one object a line on stdout, errors too" {
	image
	seed a.torrent e.img
	recv t.img --progress json > out
	jq -e -s '.[0].event == "start" and .[-1] == {"event": "exit", "time": .[-1].time, "code": 0}' out
	code=0
	ezio-recv -t "$URL" -d /dev/null --listen :0 --progress json > out 2> err || code=$?
	[ "$code" = 4 ]
	jq -e -s 'any(.[]; .event == "error") and .[-1].code == 4' out
	grep -q '^ezio-recv: refuse /dev/null' err
}

@test "a receiver says what it waits for" {
	image
	ezio-mktorrent -q -t http://127.0.0.1:9/announce <(ezio-btfiles -q -s e.img) > dead.torrent
	start ezio-recv -t dead.torrent -d t.img --listen :0 --progress plain
	became ezio-recv.err 'waiting for peers.*127.0.0.1:9.*connection refused'
}
