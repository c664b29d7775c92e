#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the seed knows of its receivers, on a terminal and at the end; and receivers that end when
# nobody needs them. The page has its own tests: tests/page.

load helper

image() {
	head -c "${2-24M}" /dev/urandom > "$1.img"
	ezio-btfiles -q --raw -s "$1.img" | ezio-mktorrent -q -n "$1" > "$1.torrent"
}

@test "who received what: a table, an event, exit code 1 for one that did not" {
	image lab
	seed lab.torrent lab.img --exit-after 2
	code=0
	ezio-recv -q -t "$URL" -d /dev/null --name lab-03 || code=$?
	[ "$code" = 4 ]
	recv one.img --name lab-01
	recv two.img --name lab-02 -q
	code=0
	wait "$SEED" || code=$?
	cat ezio-seed.err
	[ "$code" = 1 ]
	grep -q '1 of 3 receivers did not finish: lab-03$' ezio-seed.err
	jq -e -s 'map(select(.event == "summary")) | length == 1 and (.[0].torrents[0]
		| .name == "lab" and .counts.done == 2 and .counts.unfinished == 1 and .seed_sent_bytes >= .size
		and (.receivers | map({(.name): .state}) | add == {"lab-01": "done", "lab-02": "done", "lab-03": "refused"})
		and all(.receivers[]; .name != "lab-03" or .reason == "it is a character device"))' ezio-seed.out
	jq -e -s 'map(select(.event == "receiver") | .receiver | .name + " " + .state) | index("lab-01 done") and index("lab-03 refused")' ezio-seed.out
	jq -e -s '.[-1].event == "exit" and .[-1].code == 1' ezio-seed.out
}

@test "plain: receivers are told of as they come and go, and the table at the end" {
	image lab
	start ezio-seed -t lab.torrent -d lab.img --listen :0 --tracker-listen 127.0.0.1:0 --exit-after 1 --progress plain
	SEED=$PID
	became ezio-seed.err 'ezio-recv -t http'
	URL=$(grep -o 'http://[^ ]*torrent' ezio-seed.err)
	recv one.img --name lab-01 -q
	wait "$SEED"
	grep -q '^ezio-seed: lab-01 (127.0.0.1) is done after ' ezio-seed.err
	grep -q '^ezio-seed: lab: 24.0 MiB to 1 of 1 receivers in .*; the seed sent 24.0 MiB, 1.00 times the image$' ezio-seed.err
	grep -qE '^  receiver +address +state +time +rate +device$' ezio-seed.err
	grep -qE '^  lab-01 +127.0.0.1 +done +[0-9.]+ s +[0-9.]+ MiB/s +one.img$' ezio-seed.err
}

@test "a machine that comes again takes the place of its earlier attempt" {
	image lab
	head -c 24M /dev/urandom > full.img
	seed lab.torrent lab.img --exit-after 1
	fails 4 ezio-recv -q -t "$URL" -d full.img --name lab-01
	recv full.img --name lab-01 --force
	code=0
	wait "$SEED" || code=$?
	[ "$code" = 0 ]
	jq -e -s 'map(select(.event == "summary"))[0].torrents[0].receivers | length == 1 and .[0].attempts == 2 and .[0].state == "done"' ezio-seed.out
}

@test "one that was killed and finishes the second time is not missed" {
	image lab 48M
	seed lab.torrent lab.img --exit-after 1
	start ezio-recv -t "$URL" -d one.img --listen :0 --name lab-01 --download-limit 1MB
	KILLED=$PID
	became ezio-seed.out '"name":"lab-01".*"state":"receiving"'
	kill -9 "$KILLED"
	recv one.img --name lab-01
	code=0
	wait "$SEED" || code=$?
	cat ezio-seed.err
	[ "$code" = 0 ]
}

@test "a killed receiver is missed; --exit-idle waits for those at work" {
	image lab 36M
	seed lab.torrent lab.img --upload-limit 4MB --exit-idle 5s
	start ezio-recv -t "$URL" -d killed.img --listen :0 --name lab-02 --download-limit 500kB
	KILLED=$PID
	became ezio-seed.out '"name":"lab-02".*"state":"receiving"'
	kill -9 "$KILLED"
	recv one.img --name lab-01
	code=0
	wait "$SEED" || code=$?
	[ "$code" = 1 ]
	grep -q '1 of 2 receivers did not finish: lab-02$' ezio-seed.err
}

@test "who is done stays as long as another needs it, and no longer" {
	image lab
	seed lab.torrent lab.img
	somebody_misses 1000 lab.torrent
	start ezio-recv -t "$URL" -d one.img --listen :0 --seed-idle 5m --progress json
	FIRST=$PID
	became ezio-recv.out '"event":"done"'
	sleep 3 # time in which it must not leave
	kill -0 "$FIRST"
	somebody_misses 0 lab.torrent
	within 60 gone "$FIRST" # not five minutes
	wait "$FIRST"
}

@test "an ordinary tracker's figures are enough to leave by" {
	image lab
	mkdir -m 755 whitelist
	infohash lab.torrent > whitelist/list
	local port
	listens() { (echo >/dev/tcp/127.0.0.1/$port) 2>/dev/null; }
	tracks() {
		port=$((20000 + RANDOM % 10000))
		start opentracker -d "$PWD/whitelist" -w list -u nobody -p $port -P $port
		until gone "$PID" || listens; do sleep 0.1; done
		! gone "$PID" # that port was taken
	}
	within 60 tracks
	ezio-btfiles -q --raw -s lab.img | ezio-mktorrent -q -n lab -t "http://127.0.0.1:$port/announce" > a.torrent
	start ezio-seed -t a.torrent -d lab.img --listen :0 --no-tracker --progress json
	timeout 120 ezio-recv -t a.torrent -d one.img --listen :0 --seed-idle 5m
	cmp lab.img one.img
}

@test "several images over one port, each under its name" {
	image sda1
	image sda2 12M
	seed sda1.torrent sda1.img -t sda2.torrent -d sda2.img --exit-after 2
	jq -e -s 'map(select(.event == "start" and .tracker_port))[0].torrents | map(.torrent) == ["/sda1.torrent", "/sda2.torrent"]' ezio-seed.out
	[ "$(curl -s -o /dev/null -w '%{http_code}' "$TRACKER/a.torrent")" = 404 ]
	curl -sf "$TRACKER/" | grep -q 'ezio-recv -t http://127.0.0.1:[0-9]*/sda2.torrent'
	curl -sf "$TRACKER/status.json" | jq -e '.torrents | map(.name) == ["sda1", "sda2"]'
	curl -sf "$TRACKER/metrics" | grep -q '^ezio_image_bytes{.*torrent="sda2"} 1.2582912e+07'
	ezio-recv -t "$TRACKER/sda1.torrent" -d one.img --listen :0 &
	local one=$!
	echo "$one" >>pids
	ezio-recv -t "$TRACKER/sda2.torrent" -d two.img --listen :0
	wait "$one" "$SEED" # not bats' own countdown, which is a child too
	cmp sda1.img one.img
	cmp sda2.img two.img
	grep -q '"event":"exit".*"code":0' ezio-seed.out
}

@test "pairs of torrents and sources that are none" {
	image sda1
	fails 2 ezio-seed -t sda1.torrent -t sda1.torrent -d sda1.img
	[[ $err == *"2 torrents (-t) for 1 sources (-d)"* ]]
	fails 2 ezio-seed -t sda1.torrent -d sda1.img -t sda1.torrent -d sda1.img --listen :0 --tracker-listen :0
	[[ $err == *"the same image twice"* ]]
	fails 2 ezio-seed -d sda1.img
	fails 2 ezio-seed -t sda1.torrent
}

# screen: what is on the terminal. keys KEY...: pressed there.
screen() { tmux -L "$PANE" capture-pane -p -t s; }
keys() { tmux -L "$PANE" send-keys -t s "$@"; }

# shows PATTERN: it comes to stand on the terminal.
shows() {
	within 60 on_screen "$1" || { cat pane >&2; return 1; }
}

on_screen() {
	screen > pane
	grep -qE -- "$1" pane
}

# terminal COLUMNS LINES COMMAND: on a terminal of that size.
terminal() {
	PANE=ezio$BASHPID
	tmux -L "$PANE" -f /dev/null new-session -d -s s -x "$1" -y "$2" "$3"
	tmux -L "$PANE" display-message -p '#{pid}' >>pids # the server, and with it what runs on its terminal
}

@test "--ui: rows on the terminal, sorted by keys, found, resized; q ends it with the table" {
	image lab 48M
	terminal 120 24 "ezio-seed -t lab.torrent -d lab.img --listen :0 --tracker-listen 127.0.0.1:0 --upload-limit 600kB --ui; echo exit code \$?; exec sleep 1000"
	shows 'nobody is here'
	shows 'who is there and how they are doing: http://127.0.0.1:'
	URL=$(grep -o 'http://127.0.0.1:[0-9]*' pane | tail -n 1)/a.torrent
	ezio-recv -q -t "$URL" -d /dev/null --name lab-07 || [ $? = 4 ]
	for n in 10 9; do
		start ezio-recv -t "$URL" -d "t$n.img" --listen :0 --name "lab-$n"
	done
	shows '^lab-07 127.0.0.1 +refused: it is a character device'
	shows '^lab-10 127.0.0.1 +receiving +\[=+ *\] +[0-9]+% +[0-9.]+ [KM]iB/s +([0-9]+ min )?[0-9]+ s left +t10.img'
	[ "$(grep -n '^lab-07' pane | cut -d: -f1)" -lt "$(grep -n '^lab-10' pane | cut -d: -f1)" ] # trouble first
	keys Left
	shows '^RECEIVER \^'
	[ "$(grep -o '^lab-[0-9]*' pane | xargs)" = 'lab-07 lab-9 lab-10' ]
	keys r
	shows '^RECEIVER v'
	[ "$(grep -o '^lab-[0-9]*' pane | xargs)" = 'lab-10 lab-9 lab-07' ]
	keys / t9.img Enter
	shows '^find: t9.img'
	[ "$(grep -o '^lab-[0-9]*' pane | xargs)" = lab-9 ]
	tmux -L "$PANE" resize-window -t s -x 70 -y 12
	shows '^lab-9 +receiving +[0-9]+%'
	keys Escape
	shows '^lab-10 +receiving'
	tmux -L "$PANE" resize-window -t s -x 120 -y 24
	# What was to be seen while they receive has been; a second seed brings the rest at once.
	curl -sf -o a.torrent "$URL"
	start ezio-seed -t a.torrent -d lab.img --listen :0 --no-tracker
	shows '^lab-9 127.0.0.1 +done +\[==============\] 100% +took'
	keys q
	shows '^exit code 130'
	grep -qE '^  lab-9 +127.0.0.1 +done' pane
	grep -q '^ezio-seed: lab: 48.0 MiB to 2 of 3 receivers' pane
}

@test "--ui without a terminal: lines; with events on the same terminal: refused" {
	image lab
	start ezio-seed -t lab.torrent -d lab.img --listen :0 --tracker-listen 127.0.0.1:0 --ui --exit-after 1
	SEED=$PID
	became ezio-seed.err 'ezio-recv -t http'
	! grep -q $'\e' ezio-seed.err || false
	URL=$(grep -o 'http://[^ ]*torrent' ezio-seed.err)
	recv one.img -q
	wait "$SEED"
	terminal 80 24 "ezio-seed -t lab.torrent -d lab.img --ui --progress json; echo exit code \$?; exec sleep 1000"
	shows '^exit code 2'
	grep -q 'want the same terminal' pane
}

# stamped COMMAND...: in the background; what it says on stderr goes to the file lines, each line after
# the time at which it came.
stamped() {
	mkfifo said
	while IFS= read -r line; do echo "$EPOCHREALTIME $line"; done <said >lines 3>&- &
	echo $! >>pids
	"$@" 2>said 3>&- &
	echo $! >>pids
}

@test "a receiver is never silent for long, and says what it waits for" {
	image lab
	ezio-btfiles -q --raw -s lab.img | ezio-mktorrent -q -n lab -t http://127.0.0.1:9/announce > dead.torrent
	began=$EPOCHREALTIME
	stamped ezio-recv -t dead.torrent -d t.img --listen :0 --progress plain
	reason='waiting for peers: tracker http://127.0.0.1:9/announce says connection refused'
	# The first line may come before the tracker's answer.
	within 60 says lines "$reason" 3
	cat lines
	[ "$(tail -n +2 lines | grep -vc "$reason")" = 0 ]
	# Ten seconds, and five for a machine that has other things to do; lib/progress has the ten alone.
	awk -v last="$began" '$1 - last > 15 { print "silent for", $1 - last, "s"; bad = 1 } { last = $1 } END { exit bad }' lines
	# A server that takes its time to give the torrent.
	python3 -c 'import socket, time; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True); c = s.accept(); time.sleep(300)' > port 3>&- &
	echo $! >>pids
	became port '^[0-9]'
	start ezio-recv -t "http://127.0.0.1:$(cat port)/a.torrent" -d t2.img --listen :0
	became ezio-recv.err "waiting for the torrent http://127.0.0.1:$(cat port)/a.torrent, since [5-9].0 s"
}
