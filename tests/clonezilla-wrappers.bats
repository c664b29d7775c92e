#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# contrib/clonezilla in the place of EZIO's programs: what ocs-btsrv, ocs-ezio-seeder and
# ocs-ezio-leecher of Clonezilla run, in their order, with their options, files and pauses (but for
# the length of these), on two machines with Debian's opentracker.

load helper

PATH=$ROOT/contrib/clonezilla:$PATH

# machine NAME ADDRESS: a machine with processes and a network of its own, of which $NAME becomes the
# first process.
machine() {
	unshare --net --pid --mount --fork --mount-proc bash -c 'sleep 1000 & wait' 2>/dev/null 3>&- & # as a first process it reaps others'
	local outer=$!
	# It is bash when it has its own /proc.
	within 60 eval "pgrep -x bash -P $outer >first"
	eval $1=$(cat first)
	cat first >>machines # all of its processes end with the first
	ip link set $1$$ netns ${!1}
	on ${!1} ip link set lo up
	on ${!1} ip addr add $2/24 dev $1$$
	on ${!1} ip link set $1$$ up
}

# A lab: a server and a client, and nothing on them but what Clonezilla has.
lab() {
	ip link add name SERVER$$ type veth peer name CLIENT$$
	machine SERVER 10.8.0.1
	machine CLIENT 10.8.0.2
	BTZONE=$PWD/partimag/btzone
	mkdir -p log
}

# on MACHINE COMMAND...: the machines have different states, but one filesystem.
on() { EZIO_STATE=$PWD/run-$1 nsenter --target $1 --net --pid --mount --wd="$PWD" "${@:2}"; }

# script MACHINE FUNCTION ARGUMENTS...: run a function of this file there.
script() { on $1 bash -c "$(declare -f $2)"'; "$@"' "$2" "${@:2}" 3>&-; }

# image NAME FS: a partition's image as `partclone -c -T` and Clonezilla leave it in btzone:
# IMG/NAME/ with the slices, IMG/NAME.torrent.info.
image() {
	mkdir -p "$BTZONE/lab"
	partclone.$2 -c -T -s "$1.img" -o "$BTZONE/lab/$1" 2>/dev/null >&2
	mv -f "$BTZONE/lab/$1/torrent.info" "$BTZONE/lab/$1.torrent.info"
}

# listens MACHINE ADDRESS PORT: somebody does, there.
listens() { on $1 bash -c "echo >/dev/tcp/$2/$3" 2>/dev/null; }

# runs MACHINE NAME: such a program does, there. ended MACHINE NAME: none does.
runs() { on $1 pgrep $2 >/dev/null; }
ended() { ! runs "$@"; }

# create_metainfo_file and start_tarcker of ocs-btsrv, for one partition.
metainfo_and_tracker() {
	partclone_create_torrent.py -p "$1" -t http://10.8.0.1:$2/announce -c Clonezilla \
		-i "$BTZONE/lab/$1.torrent.info" -o "$BTZONE/lab/$1.torrent"
	mkdir -p tracker-$1
	infohash "$BTZONE/lab/$1.torrent" >tracker-$1/whitelist.txt
	on $SERVER opentracker -p $2 -P $2 -d "$PWD/tracker-$1" -w /whitelist.txt >log/tracker.log 2>&1 3>&- &
	within 60 listens $SERVER 10.8.0.1 $2
}

# What ocs-ezio-seeder does. OPTIONS is its $ezio_daemon_opt.
ocs_ezio_seeder() {
	pkill -f -15 "^ezio"
	rm -f log/ezio-seeder.pid
	ezio $1 --cache-size 512 --aio-threads 4 --slow-start --slow-start-period 1 >log/ezio-seeder.log 2>log/ezio-seeder.err &
	echo $! >log/ezio-seeder.pid
	until [ "$(cat $EZIO_STATE/127.0.0.1:50051/pid 2>/dev/null)" = $! ]; do sleep 0.1; done # sleep 2; countdown 10
	shift
	while [ $# -gt 0 ]; do
		ezio_add_torrent.py -S -c 6 -u 5 "$1" "$2"
		shift 2
	done
}

# What ocs-ezio-leecher does. UI is ezio_ui.py or ezio_cli.py and what it gives to it. The statuses,
# which Clonezilla does not look at, go to files.
ocs_ezio_leecher() {
	local ui=$1
	pkill -f -15 "^ezio"
	pkill -f -15 "^ezio-static"
	ezio --cache-size 512 --aio-threads 4 >log/ezio-leecher.log 2>log/ezio-leecher.err &
	until [ "$(cat $EZIO_STATE/127.0.0.1:50051/pid 2>/dev/null)" = $! ]; do sleep 0.1; done # countdown 10
	shift
	while [ $# -gt 0 ]; do
		ezio_add_torrent.py -c 6 -u 5 "$1" $2 || echo $? >>log/added
		shift 2
	done
	$ui >log/ui 2>log/ui.err
	echo $? >log/code
	wait
}

two_partitions() {
	ext4 sda1.img
	mkfs.vfat -F 32 -C sda2.img 70000 >/dev/null
	mcopy -s -i sda2.img "$(files)/sub/deep/text" ::
	lab
	image sda1 extfs
	image sda2 vfat
	metainfo_and_tracker sda1 6969
	metainfo_and_tracker sda2 6971
}

blank() { # NAME: a device as large as that partition, with something else on it
	head -c "$(stat -c %s $1.img)" /dev/urandom >$1.target
	loop $1.target
}

@test "partclone_create_torrent.py: options, output, status, infohash" {
	ext4 sda1.img 64M
	partclone.extfs -c -T -s sda1.img -o t 2>/dev/null >&2
	run -0 partclone_create_torrent.py -p sda1 -t http://10.0.0.1:6969/announce -c Clonezilla -i t/torrent.info -o a.torrent
	[ "$output" = "a.torrent created successfully" ]
	[ "$(infohash a.torrent)" = "$("$ROOT/tests/libtorrent-create" sda1 Clonezilla <t/torrent.info)" ]
	run -0 partclone_create_torrent.py --partition-name=vg/root --creator CloneZilla --output b.torrent <t/torrent.info
	grep -aq '4:name7:vg-root' b.torrent
	run -2 partclone_create_torrent.py -p sda1 -o c.torrent
	run -1 partclone_create_torrent.py -p sda1 -o c.torrent -c x -i absent
	[[ $output == "ezio-mktorrent: "* ]]
	[ ! -e c.torrent ]
}

@test "from an image: seeder -m img, leecher with two partitions and ezio_ui.py" {
	two_partitions
	script $SERVER ocs_ezio_seeder -F "$BTZONE/lab/sda1.torrent" "$BTZONE/lab" "$BTZONE/lab/sda2.torrent" "$BTZONE/lab"
	[ -n "$(on $SERVER ps -www --no-headers -C ezio -o pid,cmd)" ] # ocs-live-feed-img waits for this
	blank sda1; sda1=$DEV
	blank sda2; sda2=$DEV
	script $CLIENT ocs_ezio_leecher "ezio_ui.py -w 2" "$BTZONE/lab/sda1.torrent" $sda1 "$BTZONE/lab/sda2.torrent" $sda2
	[ "$(cat log/code)" = 0 ]
	[ ! -e log/added ]
	[ "$(tail -n 1 log/ui)" = "Finished. Exiting..." ]
	ezio-verify -q -t "$BTZONE/lab/sda1.torrent" -d $sda1
	ezio-verify -q -t "$BTZONE/lab/sda2.torrent" -d $sda2
	same_files $sda1
	fsck.vfat -n $sda2
	on $SERVER kill -15 "$(cat log/ezio-seeder.pid)" # stop_bt_srv
	within 60 ended $SERVER ezio
	[ ! -e run-$SERVER/127.0.0.1:50051 ]
}

@test "from a device: seeder -m raw-dev, leecher with ezio_cli.py on a small terminal" {
	two_partitions
	loop sda1.img
	script $SERVER ocs_ezio_seeder "" "$BTZONE/lab/sda1.torrent" $DEV
	blank sda1
	script $CLIENT ocs_ezio_leecher "ezio_cli.py -w 1 -l 1" "$BTZONE/lab/sda1.torrent" $DEV
	[ "$(cat log/code)" = 0 ]
	tr '\r' '\n' <log/ui | grep -qE '^\[T: [0-9]+\]\[P: +[0-9]+%\]\[D: [0-9.]+GB/min\]\[U: [0-9.]+GB/min\]\[R: 1\]$'
	same_files $DEV
}

@test "on a terminal: a table of all partitions; a failure stays until q" {
	two_partitions
	script $SERVER ocs_ezio_seeder -F "$BTZONE/lab/sda1.torrent" "$BTZONE/lab"
	blank sda1
	# Something else has the port that the first torrent would have.
	on $CLIENT opentracker -p 6881 -P 6881 -d "$PWD/tracker-sda1" -w /whitelist.txt >/dev/null 2>&1 3>&- &
	within 60 listens $CLIENT 127.0.0.1 6881
	on $CLIENT ezio >log/leecher 2>&1 3>&- &
	on $CLIENT ezio_add_torrent.py -c 6 -u 5 "$BTZONE/lab/sda1.torrent" $DEV
	TERM=linux on $CLIENT script -qec "ezio_ui.py -w 1 -l 1" typescript </dev/null >screen
	grep -qE "$DEV +(receiving|checking|uploading) +[0-9]+ % of +[0-9]+ MB +D: +[0-9.]+ GB/min" screen
	grep -q "Finished. Exiting..." screen
	on $CLIENT ezio >log/leecher 2>&1 3>&- &
	on $CLIENT ezio_add_torrent.py "$BTZONE/lab/sda1.torrent" /dev/full && false
	mkfifo keys
	exec 5<>keys
	code=0
	TERM=linux on $CLIENT script -qec "ezio_ui.py" typescript <keys >screen 5>&- 3>&- &
	became screen "Press q"
	grep -q "/dev/full FAILED:" screen
	grep -q "refuse /dev/full" screen
	echo x >&5
	on $CLIENT pgrep -f ezio_ui.py
	echo q >&5
	wait $! || code=$?
	exec 5>&-
	[ $code = 4 ]
}

@test "a partition that fails: the others are deployed, and the status says so" {
	two_partitions
	script $SERVER ocs_ezio_seeder -F "$BTZONE/lab/sda1.torrent" "$BTZONE/lab" "$BTZONE/lab/sda2.torrent" "$BTZONE/lab"
	blank sda1; sda1=$DEV
	head -c 20M /dev/zero >small
	loop small
	script $CLIENT ocs_ezio_leecher "ezio_ui.py -w 1 -l 1" "$BTZONE/lab/sda2.torrent" $DEV "$BTZONE/lab/sda1.torrent" $sda1 2>added
	[ "$(cat log/added)" = 4 ]
	grep -q "^ezio-recv: refuse $DEV" added
	[ "$(cat log/code)" = 4 ]
	grep -q "^$DEV FAILED:" log/ui.err
	same_files $sda1
}

@test "the daemon killed hard takes its programs along; the next one starts clean" {
	two_partitions
	seeder() { script $SERVER ocs_ezio_seeder -F "$BTZONE/lab/sda1.torrent" "$BTZONE/lab"; }
	seeder
	first=$(cat log/ezio-seeder.pid)
	[ "$(on $SERVER pgrep -f '^ezio ')" = "$first" ]
	on $SERVER kill -9 $first
	within 60 ended $SERVER ezio-seed
	seeder
	seeder # while the one before is still ending
	[ "$(ls -d run-$SERVER/127.0.0.1:50051/t.* | wc -l)" = 1 ]
	[ "$(on $SERVER pgrep -c ezio-seed)" = 1 ]
	[ "$(on $SERVER pgrep -f '^ezio ')" = "$(cat log/ezio-seeder.pid)" ]
	on $SERVER ezio_shutdown.py
	! on $SERVER pgrep ezio || false
	on $SERVER ezio_shutdown.py # nothing to do
}

@test "ezio_add_torrent.py and ezio_ui.py without a daemon, or with nonsense" {
	lab
	touch a.torrent
	run -2 ezio_add_torrent.py a.torrent
	run -1 ezio_add_torrent.py absent /dev/null
	run -1 on $CLIENT ezio_ui.py -w 1
	[[ $output == *"no ezio runs here" ]]
	run -2 ezio --nonsense
	on $CLIENT ezio >log/ezio 2>&1 3>&- &
	run -1 on $CLIENT ezio_add_torrent.py a.torrent /dev/null
	[[ $output == "ezio-recv: torrent "* ]]
}
