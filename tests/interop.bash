# SPDX-License-Identifier: GPL-2.0-or-later
#
# A room of machines for foreign clients. Each machine is a network namespace with one address on a
# switch of the room's own. On 127.0.0.1 it could not be done: transmission takes no peer there for
# real, and qBittorrent no two at one address. And so every program has its usual ports to itself,
# nothing is set but what keeps a client from looking for the world, and the host's network sees
# none of it.

room=ezio$BASHPID-

# room NAME...: plug in machines; ${IP[NAME]} is the address of each. With FAMILY=6 they have no
# other than IPv6, and ${IP[NAME]} has its brackets.
room() {
	local name n=0
	declare -gA IP
	namespace switch
	ip -n "${room}switch" link add br0 type bridge
	ip -n "${room}switch" link set br0 up
	for name; do
		n=$((n + 1))
		namespace "$name"
		ip link add eth0 netns "$room$name" type veth peer name "port$n" netns "${room}switch"
		ip -n "${room}switch" link set "port$n" master br0 up
		if [ "${FAMILY-4}" = 6 ]; then
			ip -n "$room$name" addr add "fd00::$n/64" dev eth0 nodad
			IP[$name]=[fd00::$n]
		else
			ip -n "$room$name" addr add "10.0.0.$n/24" dev eth0
			IP[$name]=10.0.0.$n
		fi
		ip -n "$room$name" link set eth0 up
	done
}

namespace() {
	ip netns add "$room$1"
	echo "$room$1" >>namespaces
	ip -n "$room$1" link set lo up
}

# The shared teardown stops the programs; their networks go after them.
eval "$(declare -f teardown | sed '1s/teardown/teardown_programs/')"

teardown() {
	teardown_programs
	[ ! -e namespaces ] || while read -r x; do ip netns del "$x"; done <namespaces
}

# at NAME COMMAND...: on that machine.
at() {
	nsenter --net="/run/netns/$room$1" -- "${@:2}"
}

# launch NAME COMMAND...: on that machine in the background; its streams in NAME.out and NAME.err,
# its id in $PID and ${RUNS[NAME]}.
launch() {
	declare -gA RUNS
	nsenter --net="/run/netns/$room$1" -- "${@:2}" >"$1.out" 2>"$1.err" 3>&- &
	PID=$!
	RUNS[$1]=$PID
	echo "$PID" >>pids
}

# quit NAME: stop what was launched there, and wait until it has.
quit() {
	kill "${RUNS[$1]}" 2>/dev/null || true
	within 60 gone "${RUNS[$1]}"
}

# capture: once for each bats file, an ext4 image and its btfiles directory, whose name is the
# torrent's: clients look for DIR/root/<offset>.
capture() {
	cd "$BATS_FILE_TMPDIR"
	head -c 40M /dev/urandom >"$(files)/more"
	ext4 e.img 200M
	partclone.extfs -c -T -s e.img -o root/ 2>/dev/null | ezio-mktorrent -q >16M.torrent
	[ -s 16M.torrent ]
}

# torrent [OPTIONS]: a.torrent of that image in 1 MiB pieces.
torrent() {
	ezio-mktorrent -q --piece-length 1MiB -d "$BATS_FILE_TMPDIR/e.img" "$@" "$BATS_FILE_TMPDIR/root" >a.torrent
	HASH=$(infohash a.torrent)
}

# when: the time of an event, in seconds, to jq.
when='def when: .time | sub("Z$"; "") | split(".") | (.[0] + "Z" | fromdate) + ("0." + (.[1] // "0") | tonumber);'

# seconds NAME [EVENT]: how long the receiver there took, from its start to done, or to that event.
seconds() {
	jq -n "$when first(inputs | select(.event == \"start\") | when) as \$began | first(inputs | select(${2-.event == \"done\"})) | when - \$began" "$1.out"
}

# seed_at NAME [OPTIONS]: ezio-seed there, of the image; $TRACKER and $URL are its tracker's.
seed_at() {
	launch "$1" ezio-seed -t a.torrent -d "$BATS_FILE_TMPDIR/e.img" --progress json "${@:2}"
	became "$1.out" '"tracker_port"'
	TRACKER=http://${IP[$1]}:6969
	URL=$TRACKER/a.torrent
}

# recv_at NAME TORRENT [OPTIONS]: ezio-recv there, in the background, to NAME.img.
recv_at() {
	launch "$1" timeout 300 ezio-recv -t "$2" -d "$1.img" --progress json "${@:3}"
}

# received NAME...: those receivers end well, and their images are right by the filesystem's own
# check, by every file in it and by every file of the btfiles directory.
received() {
	local name f
	for name; do
		wait "${RUNS[$name]}" || { cat "$name.err"; return 1; }
		same_files "$name.img"
		for f in "$BATS_FILE_TMPDIR"/root/0*; do
			cmp -n "$(stat -c %s "$f")" -i "0:$((16#$(basename "$f")))" "$f" "$name.img"
		done
	done
}

# counts NAME WHAT N: the tracker at NAME counts N that are complete, or have downloaded, by what
# the clients tell it.
counts() {
	local hash
	hash=$(sed 's/../%&/g' <<<"$HASH")
	[ "$(at "$1" curl -sgf -m 5 "http://${IP[$1]}:6969/scrape?info_hash=$hash" |
		grep -ao "[0-9]*:${2}i[0-9]*e" | grep -o '[0-9]*e$')" = "${3}e" ]
}

# opentracker_at NAME: Debian's build knows whitelisted torrents only, and reads the list after it
# has locked itself up in its directory as nobody. HTTP is on port 6969, UDP on 6970.
opentracker_at() {
	mkdir -m 755 whitelist
	echo "$HASH" >whitelist/list
	launch "$1" opentracker -d "$PWD/whitelist" -w list -u nobody -p 6969 -P 6970
}

# share DIR: a copy of the btfiles directory for a foreign client to seed from.
share() {
	mkdir -p "$1"
	cp -a "$BATS_FILE_TMPDIR/root" "$1"
}

# same_btfiles DIR: what a client has there is the btfiles directory, byte for byte.
same_btfiles() {
	diff -r -x torrent.info "$BATS_FILE_TMPDIR/root" "$1/root"
}

# The clients. CLIENT NAME TORRENT DIR: run it on that machine with that torrent and DIR/root, which
# it checks if it is there, fetches if it is not, and uploads until it is told to quit. Their
# settings are what they come with, except that they neither ask a router for ports nor look for
# peers anywhere but at the trackers.

qbittorrent() {
	mkdir -p "$1.profile/qBittorrent/config"
	cat >"$1.profile/qBittorrent/config/qBittorrent.conf" <<-CONF
		[LegalNotice]
		Accepted=true
		[Network]
		PortForwardingEnabled=false
		[Preferences]
		WebUI\Enabled=false
		[BitTorrent]
		Session\DHTEnabled=false
		Session\LSDEnabled=false
		Session\PeXEnabled=false
	CONF
	launch "$1" env HOME="$PWD" QT_QPA_PLATFORM=offscreen qbittorrent-nox --profile="$PWD/$1.profile" --save-path="$PWD/$3" "$PWD/$2"
}

aria2() {
	launch "$1" aria2c --no-conf -T "$2" -d "$3" -V --seed-ratio=0 --file-allocation=none \
		--enable-dht=false --enable-dht6=false --enable-peer-exchange=false --summary-interval=1 --console-log-level=notice
}

transmission() {
	mkdir -p "$1.conf" "$1.watch"
	cp "$2" "$1.watch/a.torrent"
	launch "$1" transmission-daemon -f -g "$PWD/$1.conf" -c "$PWD/$1.watch" -w "$PWD/$3" -r 127.0.0.1 \
		--no-dht --no-lpd --no-portmap --log-info
}

libtorrent() {
	launch "$1" "$BATS_TEST_DIRNAME/libtorrent-peer" "${@:2}"
}

# anacrolix: its own command of that name, which has DIR from where it runs.
anacrolix() {
	local version=v1.61.0 bin=$BATS_FILE_TMPDIR/anacrolix
	[ -x "$bin/torrent" ] || GOBIN=$bin CGO_ENABLED=0 timeout 300 go install "github.com/anacrolix/torrent/cmd/torrent@$version"
	launch "$1" env -C "$3" "$bin/torrent" download --no-dht --no-port-forward --no-webtorrent --no-pex --seed "$PWD/$2"
}
